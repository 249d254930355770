//go:build unix

package checkpoint_test

import (
	"bytes"
	"io"
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"

	"itool/storage/checkpoint"
	"itool/storage/disk"
)

// mappable has the methods that a loader of weights uses on an opened file.
type mappable interface {
	io.ReaderAt
	io.Seeker
	Fd() uintptr
}

func TestLocalFilesCanBeMapped(t *testing.T) {
	d, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("weights!"), 1000)
	m := write(t, d, map[string][]byte{"w": content, "other": nil})
	cache := t.TempDir()
	for name, open := range map[string]func() (fs.FS, checkpoint.Manifest, error){
		"disk": func() (fs.FS, checkpoint.Manifest, error) { return checkpoint.Open(t.Context(), d, "p", m.Digest()) },
		"cached": func() (fs.FS, checkpoint.Manifest, error) {
			return checkpoint.Open(t.Context(), remote{d}, "p", m.Digest(), checkpoint.Cache(cache))
		},
	} {
		fsys, _, err := open()
		if err != nil {
			t.Fatal(err)
		}
		f, err := fsys.Open("w")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		file, ok := f.(mappable)
		if !ok {
			t.Fatalf("%s: %T cannot be mapped", name, f)
		}
		got := mapFile(t, file.Fd(), len(content))
		if !bytes.Equal(got, content) {
			t.Errorf("%s: the mapped bytes differ", name)
		}
		at := make([]byte, 8)
		if _, err := file.ReadAt(at, 8000-8); err != nil && err != io.EOF || string(at) != "weights!" {
			t.Errorf("%s: ReadAt: %q, %v", name, at, err)
		}
		if n, err := file.ReadAt(at, 8000); n != 0 || err != io.EOF {
			t.Errorf("%s: ReadAt behind the end: %d bytes, %v, want io.EOF", name, n, err)
		}
	}
}

func mapFile(t *testing.T, fd uintptr, size int) []byte {
	t.Helper()
	p, err := unix.Mmap(int(fd), 0, size, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(p) })
	return p
}
