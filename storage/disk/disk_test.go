package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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
		t.Errorf("temporary files are left behind: %q, %v", left, err)
	}
}

func TestOpen(t *testing.T) {
	file := func(name, content string) func(dir string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644) }
	}
	cases := []struct {
		name    string
		prepare func(dir string) error
		want    string // in the error; empty: it opens
	}{
		{"empty", func(string) error { return nil }, ""},
		{"a process was killed while it created the store", func(dir string) error {
			return os.Mkdir(filepath.Join(dir, "tmp"), 0o755)
		}, ""},
		{"a folder with other files", file("thesis.tex", ""), `holds "thesis.tex" and is not a storage folder`},
		{"newer format", file("format", "itool storage folder, format 2\n"), "use the version that created the folder"},
		{"a temporary file was left behind", func(dir string) error {
			if _, err := disk.Open(dir); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "tmp", "t-123"), []byte("half an obj"), 0o600)
		}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := c.prepare(dir); err != nil {
				t.Fatal(err)
			}
			_, err := disk.Open(dir)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				wantNoTemporaries(t, dir)
			} else if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%v, want an error that contains %q and the folder", err, c.want)
			}
		})
	}
	if _, err := disk.Open(filepath.Join(t.TempDir(), "a", "b")); err != nil {
		t.Errorf("open a folder that does not exist: %v, want it to be created", err)
	}
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Open(name); err == nil {
		t.Error("a file was opened as a folder")
	}
}

// TestDamagedFiles damages every byte of a small object's file in turn, and tries every
// shorter length of the file: reading must always fail with ErrCorrupt.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "objects", "k")
	if _, err := s.Put(t.Context(), "k", strings.NewReader("seven!!"), -1); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, i int, bad []byte) {
		t.Helper()
		if err := os.WriteFile(name, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		r, _, err := s.Get(t.Context(), "k")
		if err == nil {
			_, err = io.ReadAll(r)
			r.Close()
		}
		if !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("%s %d: %v, want ErrCorrupt", what, i, err)
		}
		if _, err := s.PutIfAbsent(t.Context(), "k", strings.NewReader("x"), 1); !errors.Is(err, storage.ErrExists) {
			t.Errorf("%s %d: put if absent: %v, want ErrExists", what, i, err)
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x20 // this also turns hex digits into upper case
		try("byte", i, bad)
		try("cut at", i, good[:i])
	}
	try("longer by", 1, append(bytes.Clone(good), '\n'))
	for _, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Errorf("list: %v", err)
		}
	}
}

// TestEmptyFoldersDoNotBlockKeys: a key may have the name of empty folders that a killed
// writer left behind.
func TestEmptyFoldersDoNotBlockKeys(t *testing.T) {
	dir := t.TempDir()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "objects", "a", "b", "c"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutIfAbsent(t.Context(), "a/b", strings.NewReader("x"), 1); err != nil {
		t.Error(err)
	}
	if err := s.Delete(t.Context(), "a/b"); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "objects")); err != nil || len(entries) > 0 {
		t.Errorf("after delete: %v, %v, want no folders", entries, err)
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, err := disk.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			p := make([]byte, size)
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				key := fmt.Sprintf("k/%d", i%10)
				if _, err := s.Put(b.Context(), key, bytes.NewReader(p), int64(size)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, err := disk.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			if _, err := s.Put(b.Context(), "k", bytes.NewReader(make([]byte, size)), -1); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			for b.Loop() {
				r, _, err := s.Get(b.Context(), "k")
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}
