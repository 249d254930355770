package doctor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/broker"
	"itool/broker/embed"
	"itool/ops/doctor"
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

// TestBroker: a working broker needs no remedy; one that cannot be reached does.
func TestBroker(t *testing.T) {
	server, err := embed.Start(embed.Config{Dir: t.TempDir(), InProcessOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	f := doctor.Broker(t.Context(), "here", func() (*broker.Broker, error) {
		return broker.Connect(t.Context(), broker.Config{InProcess: server, Name: "doctor"})
	})
	if f.Remedy != "" || !strings.HasPrefix(f.Found, "here answers in ") || !strings.Contains(f.Found, ", 0 runs, ") {
		t.Errorf("a working broker: %+v", f)
	}
	f = doctor.Broker(t.Context(), "there", func() (*broker.Broker, error) { return nil, errors.New("no answer") })
	if f.Found != "no answer" || f.Remedy == "" {
		t.Errorf("no broker: %+v", f)
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
	if f := doctor.Store(context.Background(), "disk:x", open); !strings.Contains(f.Remedy, "doctor --create") {
		t.Errorf("a store without an identity: %+v", f)
	}
	if _, err := storage.Identify(t.Context(), s, "identity1"); err != nil {
		t.Fatal(err)
	}
	f := doctor.Store(context.Background(), "disk:x", open)
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
	})
	if f.Found != "no such bucket" || f.Remedy == "" {
		t.Errorf("no store: %+v", f)
	}
}
