package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"itool/broker"
	"itool/integration/results"
	"itool/integration/rig"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/schemas"
	"itool/stages"
	"itool/storage"
	"itool/storage/disk"
)

// drainFor is how long the queue of a million is drained. On a fast machine it is empty before.
const drainFor = 25 * time.Minute

// backlog is a run with many items in a nats-server that is a process of its own.
type backlog struct {
	t      *testing.T
	c      *courier.Courier
	server *rig.Server
	store  string
	items  int
	rows   [][]string
}

// TestMillionItems: so many items are published, listed, watched and drained, and neither reader nor worker needs
// more memory for many than for few.
func TestMillionItems(t *testing.T) {
	items := 2000
	if results.Wanted() {
		items = 1_000_000
	} else if testing.Short() {
		t.Skip("builds and starts a nats-server; the full test run does it")
	}
	r := results.Begin("Scaling: a million items")
	b := newBacklog(t, items)
	b.publish()
	b.list()
	b.watch()
	done := b.drain()
	if !results.Wanted() && done < items {
		t.Errorf("only %d of %d items were drained", done, items)
	}
	head := []string{"what", "time", "for each", "memory of this side, MiB", "memory of the broker, MiB"}
	text := results.Table(append([][]string{head}, b.rows...)...)
	t.Log("\n" + text)
	err := r.Write("The broker is a nats-server with its own defaults (no flush for each message), one process; the " +
		"worker of 16 slots is another one, its items take no time. Memory is what lies in RAM at the end of the " +
		"row's work. It is drained for at most " + drainFor.String() + ".\n\n" + text)
	if err != nil {
		t.Error(err)
	}
}

func newBacklog(t *testing.T, items int) *backlog {
	t.Helper()
	b := &backlog{t: t, server: rig.NATSServer(t, "max_payload: 8MB"), store: t.TempDir(), items: items}
	s, err := disk.Open(b.store)
	if err == nil {
		_, err = storage.Identify(t.Context(), s, "millionofitems")
	}
	if err != nil {
		t.Fatal(err)
	}
	conn, err := broker.Connect(t.Context(), broker.Config{URL: b.server.URL, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	b.c = &courier.Courier{Broker: conn, Store: s}
	err = conn.CreateRun(t.Context(), run, 0)
	if err == nil {
		err = put(t.Context(), b.c, schemas.RecordRun, schemas.KeyRun, []schemas.Run{{Name: run, Config: "{}"}})
	}
	if err == nil {
		_, err = conn.Pull(t.Context(), run, stage, []string{"root.*.*"}, broker.PullOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// note adds a row: n items took so long, in a process of this memory.
func (b *backlog) note(what string, n int, began time.Time, memory float64) {
	took := time.Since(began)
	b.rows = append(b.rows, []string{what, took.Round(10 * time.Millisecond).String(),
		(took / time.Duration(max(n, 1))).Round(100 * time.Nanosecond).String(), fmt.Sprintf("%.0f", memory),
		fmt.Sprintf("%.0f", b.server.MemoryMiB())})
}

func (b *backlog) own() float64 {
	runtime.GC()
	return rig.MemoryMiB(os.Getpid())
}

func (b *backlog) key(i int) string { return fmt.Sprintf("i%07d", i) }

func (b *backlog) publishManifest() {
	b.t.Helper()
	began := time.Now()
	keys := make([]schemas.Manifest, b.items)
	for i := range keys {
		keys[i].Key = b.key(i)
	}
	m, err := schemas.Encode(schemas.Header{Run: run, Key: schemas.RecordCandidate}, keys)
	if err == nil {
		_, err = b.c.Publish(b.t.Context(), schemas.RecordManifest, m, nil)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.note(fmt.Sprintf("manifest of %d keys", b.items), b.items, began, b.own())
}

func (b *backlog) publish() {
	b.t.Helper()
	b.publishManifest()
	began := time.Now()
	task, err := schemas.Encode(schemas.Header{Run: run, Seed: stages.Seed(1, "", 0)}, []schemas.Score{{}})
	if err != nil {
		b.t.Fatal(err)
	}
	const atOnce = 128
	var all sync.WaitGroup
	var failed atomic.Int64
	for w := range atOnce {
		all.Go(func() {
			for i := w; i < b.items && b.t.Context().Err() == nil; i += atOnce {
				h := task.Header
				h.Key = b.key(i)
				at := schemas.Batch{Header: h, Body: task.Body}
				if _, err := b.c.Publish(b.t.Context(), schemas.RecordRoot, at, nil); err != nil {
					failed.Add(1)
					b.t.Logf("publish: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	if failed.Load() > 0 {
		b.t.Fatal("not all items are published")
	}
	b.note(fmt.Sprintf("%d items published, %d at once", b.items, atOnce), b.items, began, b.own())
}

// list reads all records one after the other, and keeps none.
func (b *backlog) list() {
	b.t.Helper()
	began, n := time.Now(), 0
	for _, err := range b.c.Broker.List(b.t.Context(), run, broker.Filter(schemas.RecordRoot, 0)) {
		if err != nil {
			b.t.Fatal(err)
		}
		n++
	}
	if n != b.items {
		b.t.Errorf("%d of %d items are listed", n, b.items)
	}
	b.note("listed, one after the other", n, began, b.own())
}

// watch looks as itool watch, the pool and /metrics do.
func (b *backlog) watch() {
	b.t.Helper()
	const looks = 20
	began := time.Now()
	for range looks {
		v, err := line.Rows(nil).Look(b.t.Context(), b.c, run)
		if err != nil || len(v.Rounds) != 1 || v.Rounds[0].Total != b.items {
			b.t.Fatalf("look: %+v, %v", v, err)
		}
		q, err := b.c.Broker.Queues(b.t.Context(), run)
		if err != nil || q[stage].Depth() != b.items {
			b.t.Fatalf("queues: %+v, %v", q, err)
		}
	}
	b.note("looked at as `itool watch` and the autoscaler do, once", looks, began, b.own())
}

// drain lets a worker work on the queue, and says how its memory was on the way.
func (b *backlog) drain() (done int) {
	b.t.Helper()
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Setenv(brokerVar, b.server.URL)
	b.t.Setenv(storeVar, b.store)
	w := rig.StartProgram(b.t, b.t.TempDir(), self)
	began, last := time.Now(), 0
	for _, share := range []int{1, 10, 25, 50, 75, 100} {
		for done < b.items*share/100 && time.Since(began) < drainFor {
			time.Sleep(50 * time.Millisecond)
			q, err := b.c.Broker.Queues(b.t.Context(), run) // to count the results would slow the server down
			if err != nil && !errors.Is(err, broker.ErrUnavailable) {
				b.t.Fatal(err)
			}
			if err == nil {
				done = max(done, b.items-q[stage].Depth())
			}
		}
		if done > last {
			b.note(fmt.Sprintf("drained by one worker: %d of %d", done, b.items), done, began, w.MemoryMiB())
		}
		last = done
	}
	return done
}
