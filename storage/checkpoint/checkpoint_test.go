package checkpoint_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"itool/storage"
	"itool/storage/checkpoint"
	"itool/storage/disk"
	"itool/storage/storagetest"
)

// remote hides the method OpenLocal of a disk store, so that it behaves like a remote one.
type remote struct{ storage.Store }

func TestCheckpoint(t *testing.T) {
	roots := map[storage.Store]string{}
	open := func(t *testing.T) storage.Store {
		dir := t.TempDir()
		s, err := disk.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		roots[s] = dir
		roots[remote{s}] = dir
		return s
	}
	damage := func(t *testing.T, s storage.Store, key string) {
		name := filepath.Join(roots[s], "objects", key)
		p, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p[0] ^= 1
		if err := os.WriteFile(name, p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("local", func(t *testing.T) { storagetest.RunCheckpoint(t, open, damage) })
	t.Run("remote", func(t *testing.T) {
		storagetest.RunCheckpoint(t, func(t *testing.T) storage.Store { return remote{open(t)} }, damage)
	})
}

// TestDigestIsFrozen: digests travel in records, so the digest of a manifest must never change.
func TestDigestIsFrozen(t *testing.T) {
	m := checkpoint.Manifest{Parts: []checkpoint.Part{
		{Name: "b/c.bin", SHA256: strings.Repeat("0a", 32), Size: 7},
		{Name: "a.json", SHA256: strings.Repeat("ff", 32), Size: 0},
	}}
	raw := `{"format":"itool-checkpoint/1","parts":[{"name":"a.json","sha256":"` + strings.Repeat("ff", 32) +
		`","size":0},{"name":"b/c.bin","sha256":"` + strings.Repeat("0a", 32) + `","size":7}]}`
	if got, want := m.Digest(), digest(raw); got != want {
		t.Errorf("got %s, want %s, the sha256 of %s", got, want, raw)
	}
}

func TestHostileManifests(t *testing.T) {
	s, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sha := strings.Repeat("0a", 32)
	part := func(name, sha, size string) string {
		return fmt.Sprintf(`{"name":%q,"sha256":%q,"size":%s}`, name, sha, size)
	}
	wrap := func(parts ...string) string {
		return `{"format":"itool-checkpoint/1","parts":[` + strings.Join(parts, ",") + `]}`
	}
	cases := map[string]string{
		"empty":              ``,
		"not JSON":           `parts: []`,
		"other type":         `[]`,
		"no format":          `{"parts":[` + part("a", sha, "1") + `]}`,
		"newer format":       `{"format":"itool-checkpoint/2","parts":[]}`,
		"no parts":           wrap(),
		"climbs out":         wrap(part("../../etc/passwd", sha, "1")),
		"absolute":           wrap(part("/etc/passwd", sha, "1")),
		"digest is a path":   wrap(part("a", "../../../x", "1")),
		"upper-case digest":  wrap(part("a", strings.ToUpper(sha), "1")),
		"negative size":      wrap(part("a", sha, "-1")),
		"size too large":     wrap(part("a", sha, "99999999999999999999")),
		"fractional size":    wrap(part("a", sha, "1.5")),
		"twice":              wrap(part("a", sha, "1"), part("a", sha, "1")),
		"file and folder":    wrap(part("a", sha, "1"), part("a/b", sha, "1")),
		"unsorted":           wrap(part("b", sha, "1"), part("a", sha, "1")),
		"white space":        wrap(" " + part("a", sha, "1")),
		"more behind":        wrap(part("a", sha, "1")) + "\n",
		"unknown field":      `{"format":"itool-checkpoint/1","more":1,"parts":[` + part("a", sha, "1") + `]}`,
		"deep":               strings.Repeat("[", 100_000),
		"larger than 16 MiB": `{"format":"` + strings.Repeat("x", 17<<20) + `"}`,
	}
	for name, raw := range cases {
		t.Run(name, func(t *testing.T) {
			d := digest(raw)
			if _, err := s.Put(t.Context(), "p/manifests/"+d+".json", strings.NewReader(raw), -1); err != nil {
				t.Fatal(err)
			}
			if _, m, err := checkpoint.Open(t.Context(), s, "p", d); err == nil {
				t.Errorf("%.200s: accepted as %+v", raw, m)
			} else if !errors.Is(err, storage.ErrCorrupt) && !strings.Contains(err.Error(), "format") {
				t.Errorf("%.200s: %v, want ErrCorrupt or an error about the format", raw, err)
			}
		})
	}
}

func TestCache(t *testing.T) {
	d, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &countingStore{Store: d}
	files := map[string][]byte{
		"a": []byte("part a"), "same-as-a": []byte("part a"), "b": bytes.Repeat([]byte("b"), 2<<20),
	}
	m := write(t, d, files)
	cache := filepath.Join(t.TempDir(), "not", "yet", "there")
	read := func() error {
		fsys, _, err := checkpoint.Open(t.Context(), s, "p", m.Digest(), checkpoint.Cache(cache))
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		for range 4 {
			for name, want := range files {
				wg.Go(func() {
					if got, err := fs.ReadFile(fsys, name); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s: %d bytes, %v", name, len(got), err)
					}
				})
			}
		}
		wg.Wait()
		return nil
	}
	steps := []struct {
		name    string
		prepare func() error
		fetched int // parts
	}{
		{"first", func() error { return nil }, 2},
		{"again", func() error { return nil }, 0},
		{"a file was removed", func() error { return os.Remove(filepath.Join(cache, digest("part a"))) }, 1},
		{"a file was truncated", func() error { return os.Truncate(filepath.Join(cache, digest("part a")), 3) }, 1},
		{"the folder was removed", func() error { return os.RemoveAll(cache) }, 2},
		{"a killed process left a temporary file", func() error {
			return os.WriteFile(filepath.Join(cache, "t-123"), nil, 0o600)
		}, 0},
	}
	for _, step := range steps {
		s.reset()
		if err := step.prepare(); err != nil {
			t.Fatal(err)
		}
		if err := read(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if got := s.parts; got != step.fetched {
			t.Errorf("%s: %d parts fetched, want %d", step.name, got, step.fetched)
		}
	}
}

// countingStore is a remote store that counts the parts that are read.
type countingStore struct {
	storage.Store
	mu    sync.Mutex
	parts int
}

func (c *countingStore) reset() { c.parts = 0 }

func (c *countingStore) Get(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	if strings.Contains(key, "/parts/") {
		c.mu.Lock()
		c.parts++
		c.mu.Unlock()
	}
	return c.Store.Get(ctx, key)
}

func write(t *testing.T, s storage.Store, files map[string][]byte) checkpoint.Manifest {
	t.Helper()
	m, err := checkpoint.Write(t.Context(), s, "p", nil, func(create func(string) (io.WriteCloser, error)) error {
		for name, content := range files {
			w, err := create(name)
			if err != nil {
				return err
			}
			if _, err := w.Write(content); err != nil {
				return err
			}
			if err := w.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
