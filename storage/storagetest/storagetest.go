// Package storagetest is the test suite that every storage.Store must pass.
//
//	func TestStore(t *testing.T) {
//		storagetest.Run(t, open, damage)
//		storagetest.RunCheckpoint(t, open, damage)
//	}
//
// A new store starts by passing this suite. Only two things may differ between stores: a
// store may refuse or accept a key that begins with another object's key ("a" and "a/b"),
// and a test may have no way to damage an object; then the tests that need it are skipped.
package storagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"

	"itool/storage"
)

// Open opens a store for one test. It is called once for each test.
type Open func(t *testing.T) storage.Store

// Damage changes one byte of a stored object without using the store. If it is nil, the
// tests that need it are skipped.
type Damage func(t *testing.T, s storage.Store, key string)

// Run runs the suite. Open may return the same empty store for all tests: every test uses
// only keys that begin with its own prefix.
func Run(t *testing.T, open Open, damage Damage) {
	tests := []struct {
		name string
		run  func(*testing.T, storage.Store)
	}{
		{"PutGetStatDelete", testPutGetStatDelete},
		{"Overwrite", testOverwrite},
		{"PutIfAbsent", testPutIfAbsent},
		{"PutAgain", testPutAgain},
		{"Missing", testMissing},
		{"BadKeys", testBadKeys},
		{"Sizes", testSizes},
		{"WrongSize", testWrongSize},
		{"ReaderFails", testReaderFails},
		{"KeyBelowKey", testKeyBelowKey},
		{"List", testList},
		{"ListStops", testListStops},
		{"Cancel", testCancel},
		{"PutIfAbsentRace", testPutIfAbsentRace},
		{"ReadersAndWriters", testReadersAndWriters},
		{"ConcurrentPutAndDelete", testConcurrentPutAndDelete},
		{"Large", testLarge},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
	t.Run("Corrupt", func(t *testing.T) {
		if damage == nil {
			t.Skip("the test of this store cannot damage an object")
		}
		testCorrupt(t, open(t), damage)
	})
}

func testCorrupt(t *testing.T, s storage.Store, damage Damage) {
	ctx := t.Context()
	for name, size := range map[string]int{"one": 1, "small": 100, "large": 1 << 20} {
		key := "corrupt/" + name
		put(t, s, key, pattern(size, 1))
		damage(t, s, key)
		r, info, err := s.Get(ctx, key)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
			r.Close()
		}
		if !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("%s: reading a damaged object: %d of %d bytes, %v, want ErrCorrupt", key, len(got), size, err)
		}
		// A caller that reads exactly Size bytes does not read until io.EOF.
		if r, info, err = s.Get(ctx, key); err == nil {
			if _, err := io.ReadFull(r, make([]byte, info.Size)); err == nil {
				t.Errorf("%s: io.ReadFull returned all bytes of a damaged object", key)
			}
			r.Close()
		}
		put(t, s, key, pattern(size, 2))
		wantContent(t, s, key, pattern(size, 2))
	}
}

// pattern returns size bytes. For two different seeds, the bytes differ at every offset.
func pattern(size int, seed byte) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i) ^ byte(i>>8)*31 ^ byte(i>>16)*17 ^ seed
	}
	return p
}

func digest(p []byte) string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}

func put(t *testing.T, s storage.Store, key string, p []byte) storage.Info {
	t.Helper()
	info, err := s.Put(t.Context(), key, bytes.NewReader(p), int64(len(p)))
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	if w := (storage.Info{Key: key, Size: int64(len(p)), SHA256: digest(p)}); info != w {
		t.Fatalf("put %s: info %+v, want %+v", key, info, w)
	}
	return info
}

// get reads a whole object and checks that its Info matches the content.
func get(ctx context.Context, s storage.Store, key string) ([]byte, error) {
	r, info, err := s.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p, err := io.ReadAll(r)
	if err == nil && (info != storage.Info{Key: key, Size: int64(len(p)), SHA256: digest(p)}) {
		err = errors.New("the Info of Get does not match the content")
	}
	return p, err
}

func wantContent(t *testing.T, s storage.Store, key string, p []byte) {
	t.Helper()
	got, err := get(t.Context(), s, key)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	if !bytes.Equal(got, p) {
		t.Fatalf("get %s: %d bytes %.20q, want %d bytes %.20q", key, len(got), got, len(p), p)
	}
}

func wantAbsent(t *testing.T, s storage.Store, key string) {
	t.Helper()
	if _, err := s.Stat(t.Context(), key); !errors.Is(err, storage.ErrNotExist) {
		t.Fatalf("stat %s: error %v, want ErrNotExist", key, err)
	}
	for info, err := range s.List(t.Context(), key) {
		t.Fatalf("list %s: %+v, %v, want nothing", key, info, err)
	}
}
