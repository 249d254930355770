package gc_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"itool/ops/gc"
	"itool/ops/site"
	"itool/storage"
)

// TestDeletePutAgain: waste that was put again between Find and Delete stays, as the record of a new run may be about
// to name it.
func TestDeletePutAgain(t *testing.T) {
	s, err := site.OpenFolder(t.Context(), t.TempDir(), site.NoPort, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	const old, again, gone = "runs/gone/bodies/1.zst", "runs/gone/bodies/2.zst", "runs/gone/bodies/3.zst"
	for _, key := range []string{old, again, gone} {
		if _, err := s.Store.Put(t.Context(), key, strings.NewReader("body"), -1); err != nil {
			t.Fatal(err)
		}
	}
	tomorrow := time.Now().Add(25 * time.Hour)
	w, err := gc.Find(t.Context(), s.Courier, gc.Options{OlderThan: 24 * time.Hour, Now: tomorrow})
	if err != nil || len(w.Objects) != 3 {
		t.Fatalf("found %v, %v, want three objects", w.Objects, err)
	}
	_, err = s.Store.PutIfAbsent(t.Context(), again, strings.NewReader("body"), -1)
	if !errors.Is(err, storage.ErrExists) {
		t.Fatalf("put again: %v, want ErrExists", err)
	}
	if err := s.Store.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Delete(t.Context(), s.Courier); n != 1 || err != nil {
		t.Errorf("deleted %d, %v, want 1", n, err)
	}
	if _, err := s.Store.Stat(t.Context(), again); err != nil {
		t.Errorf("put again since it was found: %v, want that it stays", err)
	}
	if _, err := s.Store.Stat(t.Context(), old); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("waste: %v, want ErrNotExist", err)
	}
}
