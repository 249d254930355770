package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"itool/storage"
	"itool/storage/disk"
	"itool/storage/storagetest"
)

func TestStore(t *testing.T) {
	roots := map[storage.Store]string{}
	open := func(t *testing.T) storage.Store {
		dir := t.TempDir()
		s, err := disk.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		roots[s] = dir
		t.Cleanup(func() { wantNoTemporaries(t, dir) })
		return s
	}
	storagetest.Run(t, open, func(t *testing.T, s storage.Store, key string) {
		name := filepath.Join(roots[s], "objects", key)
		p, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p[0] ^= 1
		if err := os.WriteFile(name, p, 0o644); err != nil {
			t.Fatal(err)
		}
	})
}

func wantNoTemporaries(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "tmp", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %q, %v", left, err)
	}
}
