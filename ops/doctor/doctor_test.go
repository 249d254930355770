package doctor_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"itool/broker"
	"itool/broker/embed"
	"itool/ops/courier/couriertest"
	"itool/ops/doctor"
	"itool/ops/line"
	"itool/schemas"
	"itool/storage"
	"itool/storage/disk"
)

// TestKernels: the chosen level is named, and an unknown one is refused with the choices.
func TestKernels(t *testing.T) {
	for _, c := range []struct {
		name, level, found, remedy string
	}{
		{"the best", "", "(this machine has ", ""},
		{"a chosen level", "go", "cpu/go (this machine has ", ""},
		{"an unknown level", "mmx", `"mmx"`, "name one of these"},
	} {
		f := doctor.Kernels(c.level)
		said := strings.Contains(f.Found, c.found) && strings.Contains(f.Remedy, c.remedy)
		if !said || (c.remedy == "") != (f.Remedy == "") {
			t.Errorf("%s: got %+v, want %q and the remedy %q", c.name, f, c.found, c.remedy)
		}
	}
}

// TestMachine: every finding says what it is about.
func TestMachine(t *testing.T) {
	all := doctor.Machine(t.TempDir())
	if len(all) == 0 || all[0].What != "cores" {
		t.Errorf("got %+v, want the cores first", all)
	}
	for _, f := range all {
		if f.What == "" || f.Found == "" {
			t.Errorf("an empty finding: %+v", f)
		}
	}
}

// TestBroker: a working broker needs no remedy, and the check leaves nothing behind; one that
// cannot be reached needs one.
func TestBroker(t *testing.T) {
	server, err := embed.Start(embed.Config{Dir: t.TempDir(), InProcessOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	connect := func() (*broker.Broker, error) {
		return broker.Connect(t.Context(), broker.Config{InProcess: server, Name: "doctor"})
	}
	found := map[string]doctor.Finding{}
	for range 2 {
		for _, f := range doctor.Broker(t.Context(), "here", connect) {
			found[f.What] = f
			if f.Remedy != "" {
				t.Errorf("a working broker: %+v", f)
			}
		}
	}
	for what, want := range map[string]string{
		"broker": "here answers in ", "messages": "up to 8.0 MiB", "limits": " in ", "rights": "make runs, publish",
		"copies": "streams, each on 1 servers", "clock": "differs from this machine's by ",
	} {
		if !strings.Contains(found[what].Found, want) {
			t.Errorf("%s: got %+v, want %q", what, found[what], want)
		}
	}
	if !strings.Contains(found["broker"].Found, ", 0 runs") {
		t.Errorf("a run is left: %+v", found["broker"])
	}
	b, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	before := found["copies"].Found
	if err := b.CreateRun(t.Context(), "doctor-another", 1<<20); err != nil {
		t.Fatal(err)
	}
	for _, f := range doctor.Broker(t.Context(), "here", connect) {
		if f.What == "copies" && f.Found != before {
			t.Errorf("beside another doctor: %q, before %q", f.Found, before)
		}
	}
	all := doctor.Broker(t.Context(), "there", func() (*broker.Broker, error) { return nil, errors.New("no answer") })
	if len(all) != 1 || all[0].Found != "no answer" || all[0].Remedy == "" {
		t.Errorf("no broker: %+v", all)
	}
}

// TestStore: the check leaves nothing behind, and a store that cannot write is found.
func TestStore(t *testing.T) {
	dir := t.TempDir()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	open := func() (storage.Store, error) { return s, nil }
	if f := doctor.Store(context.Background(), "disk:x", open)[0]; !strings.Contains(f.Remedy, "doctor --create") {
		t.Errorf("a store without an identity: %+v", f)
	}
	if _, err := storage.Identify(t.Context(), s, "identity1"); err != nil {
		t.Fatal(err)
	}
	f := doctor.Store(context.Background(), "disk:x", open)[0]
	if f.Remedy != "" || !strings.Contains(f.Found, "identity1") ||
		!strings.HasPrefix(f.Found, "disk:x writes, reads and deletes in ") {
		t.Errorf("a working store: %+v", f)
	}
	left := 0
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(d.Name(), "doctor") {
			left++
		}
		return err
	})
	if err != nil || left > 0 {
		t.Errorf("%d objects are left, %v", left, err)
	}
	f = doctor.Store(context.Background(), "x", func() (storage.Store, error) {
		return nil, errors.New("no such bucket")
	})[0]
	if f.Found != "no such bucket" || f.Remedy == "" {
		t.Errorf("no store: %+v", f)
	}
}

// wrongClock is a store whose server's clock is wrong.
type wrongClock struct {
	storage.Store
	ahead time.Duration
}

func (s wrongClock) ClockSkew(context.Context) (ahead, within time.Duration, err error) {
	return s.ahead, time.Second, nil
}

// overwriting is a store that does not know conditional writes.
type overwriting struct{ storage.Store }

func (s overwriting) PutIfAbsent(ctx context.Context, key string, r io.Reader, size int64) (storage.Info, error) {
	return s.Put(ctx, key, r, size)
}

// TestStoreFaults: what a store lacks is found before a run suffers from it.
func TestStoreFaults(t *testing.T) {
	s, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		store  storage.Store
		remedy string
	}{
		{"a clock that is an hour behind", wrongClock{s, -time.Hour}, "set both by NTP"},
		{"a clock that is right", wrongClock{s, time.Second}, ""},
		{"no conditional writes", overwriting{s}, "correct the address"},
	} {
		all := doctor.Store(t.Context(), "x", func() (storage.Store, error) { return c.store, nil })
		last := all[len(all)-1]
		if !strings.Contains(last.Remedy, c.remedy) || (c.remedy == "") != (last.Remedy == "") {
			t.Errorf("%s: got %+v, want the remedy %q", c.name, last, c.remedy)
		}
	}
}

// TestRuns: a run whose files are in another store is named.
func TestRuns(t *testing.T) {
	c := couriertest.Open(t)
	own, err := c.StoreID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f := doctor.Runs(t.Context(), c); f.Remedy != "" || !strings.HasPrefix(f.Found, "0 have not ended") {
		t.Errorf("no runs: %+v", f)
	}
	for run, store := range map[string]string{"here": own, "elsewhere": "identity2", "old": ""} {
		r := schemas.Run{Name: run, Store: store, Config: "{}", Dataset: "[]"}
		if err := line.Start(t.Context(), c, r); err != nil {
			t.Fatal(err)
		}
	}
	f := doctor.Runs(t.Context(), c)
	if !strings.Contains(f.Remedy, "elsewhere (store identity2)") ||
		!strings.HasPrefix(f.Found, "3 have not ended, 1 of") {
		t.Errorf("got %+v", f)
	}
}
