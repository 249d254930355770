//go:build linux || darwin || freebsd || netbsd || openbsd

package tempfile_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"itool/storage/internal/tempfile"
)

// TestSweepKeepsOpenFiles creates files and sweeps at the same time: Sweep never removes
// an open file of Create, and always removes a closed one.
func TestSweepKeepsOpenFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "not-ours"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				f, err := tempfile.Create(dir)
				if err != nil {
					t.Error(err)
					return
				}
				if err := tempfile.Sweep(dir); err != nil {
					t.Error(err)
				}
				if _, err := os.Stat(f.Name()); err != nil {
					t.Errorf("an open file was removed: %v", err)
				}
				f.Close()
			}
		})
	}
	wg.Wait()
	if err := tempfile.Sweep(dir); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "not-ours" {
		t.Errorf("left: %v, %v, want only not-ours", left, err)
	}
}
