package worker_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"itool/broker"
	"itool/broker/embed"
	"itool/ops/courier"
	"itool/ops/worker"
	"itool/schemas"
	"itool/storage"
	"itool/storage/disk"
)

// TestAnItemThatKillsItsProcess: an item kills every process that works on it. After five of them it is given up,
// and the items behind it have their results.
func TestAnItemThatKillsItsProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until the items of dead processes come again, some 15 seconds")
	}
	t.Parallel()
	server, err := embed.Start(embed.Config{Dir: t.TempDir(), Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	folder := t.TempDir()
	w := &world{t, connectTo(t, server.URL(), folder)}
	w.another(run)
	put(w, "root", 2, poison, []schemas.Score{{ExampleID: poison}})
	for i := range 4 {
		put(w, "root", 2, fmt.Sprint("healthy", i), []schemas.Score{{ExampleID: fmt.Sprint(i)}})
	}
	deaths, done := 0, broker.Address{Run: run, Record: "failed", Round: 2, Key: poison}
	for end := time.Now().Add(3 * time.Minute); ; { // as a container is started again
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), brokerVar+"="+server.URL(), storeVar+"="+folder)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		died := make(chan struct{})
		go func() { _ = cmd.Wait(); close(died) }()
		failed := w.waitFor(done, died)
		_ = cmd.Process.Kill()
		<-died
		if failed {
			break
		}
		if deaths++; time.Now().After(end) {
			t.Fatalf("the item is not given up after %d deaths", deaths)
		}
	}
	rows, _, err := courier.Rows[schemas.Failed](t.Context(), w.c, run, "failed", 2, poison)
	if err != nil || rows[0].Reason != schemas.ReasonAttempts || rows[0].Attempts != worker.MaxAttempts ||
		!strings.Contains(rows[0].Error, "workers died") {
		t.Errorf("got %+v, %v", rows, err)
	}
	if deaths != worker.MaxAttempts {
		t.Errorf("%d processes died of it, want %d", deaths, worker.MaxAttempts)
	}
	w.start(1, doer{perItem, echo}) // for what the last process left
	for i := range 4 {
		await[schemas.Score](w, "candidate", 2, fmt.Sprint("healthy", i))
	}
}

// waitFor waits for a record; false: the process has died before.
func (w *world) waitFor(at broker.Address, died <-chan struct{}) bool {
	w.t.Helper()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-died:
			return false
		case <-tick.C:
		}
		if there, err := w.c.Broker.Has(w.t.Context(), at); err == nil && there {
			return true
		}
	}
}

// connectTo connects to a broker by its address, and to a store in a folder.
func connectTo(t *testing.T, url, folder string) *courier.Courier {
	t.Helper()
	b, err := broker.Connect(t.Context(), broker.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	s, err := disk.Open(folder)
	if err == nil {
		_, err = storage.Identify(t.Context(), s, "workertest")
	}
	if err != nil {
		t.Fatal(err)
	}
	return &courier.Courier{Broker: b, Store: s}
}
