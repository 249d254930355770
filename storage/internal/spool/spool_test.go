package spool_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"testing"

	"itool/storage/internal/spool"
)

func TestSpool(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, c := range []struct {
		name          string
		writes, bytes int
	}{
		{"nothing", 0, 0},
		{"small", 3, 10},
		{"the largest in memory", 1, 1 << 20},
		{"moves from memory to a file", 1<<10 + 1, 1 << 10},
		{"in a file from the first write", 1, 3 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := spool.New()
			var want []byte
			for i := range c.writes {
				p := bytes.Repeat([]byte{byte(i)}, c.bytes)
				want = append(want, p...)
				if n, err := s.Write(p); n != len(p) || err != nil {
					t.Fatal(n, err)
				}
			}
			sum := sha256.Sum256(want)
			if s.Size() != int64(len(want)) || s.SHA256() != hex.EncodeToString(sum[:]) {
				t.Errorf("size %d, sha256 %s, want %d and %x", s.Size(), s.SHA256(), len(want), sum)
			}
			for range 2 {
				if got, err := io.ReadAll(s.Reader()); err != nil || !bytes.Equal(got, want) {
					t.Errorf("read %d bytes, %v, want %d", len(got), err, len(want))
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if _, err := s.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
				t.Errorf("write after close: %v, want os.ErrClosed", err)
			}
			wantEmptyTemp(t)
		})
	}
}

func TestMissingTempFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()+"/gone")
	s := spool.New()
	defer s.Close()
	for range 2 { // the second write fails with the error of the first
		if _, err := s.Write(make([]byte, 2<<20)); err == nil {
			t.Error("no error although the temporary folder does not exist")
		}
	}
}

func wantEmptyTemp(t *testing.T) {
	t.Helper()
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("files are left in the temporary folder: %v, %v", left, err)
	}
}
