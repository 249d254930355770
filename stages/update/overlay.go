package update

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"
)

// overlay is a policy's folder with some files replaced by files in memory. It holds the
// new policy until the guard has accepted it, so that the guard examines exactly the
// bytes that are saved afterwards.
type overlay struct {
	under fs.FS
	files map[string][]byte
}

// newOverlay collects the files that write creates.
func newOverlay(under fs.FS, write func(func(string) (io.WriteCloser, error)) error) (*overlay, error) {
	o := &overlay{under, map[string][]byte{}}
	return o, write(func(name string) (io.WriteCloser, error) { return &draft{name: name, in: o}, nil })
}

// save writes the files in memory to create, in the order of their names.
func (o *overlay) save(create func(string) (io.WriteCloser, error)) error {
	for _, name := range slices.Sorted(maps.Keys(o.files)) {
		w, err := create(name)
		if err != nil {
			return err
		}
		if _, err := w.Write(o.files[name]); err != nil {
			w.Close()
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	return nil
}

// digest names the folder for the engine; parent is the digest of the folder underneath.
func (o *overlay) digest(parent string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", parent)
	for _, name := range slices.Sorted(maps.Keys(o.files)) {
		fmt.Fprintf(h, "%q %d\n", name, len(o.files[name]))
		h.Write(o.files[name])
	}
	return "draft-" + hex.EncodeToString(h.Sum(nil))
}

// Open implements fs.FS.
func (o *overlay) Open(name string) (fs.File, error) {
	data, ok := o.files[name]
	if !ok {
		return o.under.Open(name)
	}
	return &memory{Reader: bytes.NewReader(data), name: name}, nil
}

// draft is an open file that is in the overlay once it is closed.
type draft struct {
	bytes.Buffer
	name string
	in   *overlay
}

func (d *draft) Close() error {
	d.in.files[d.name] = d.Bytes()
	return nil
}

// memory is an open file and its own fs.FileInfo.
type memory struct {
	*bytes.Reader
	name string
}

func (m *memory) Close() error               { return nil }
func (m *memory) Stat() (fs.FileInfo, error) { return m, nil }
func (m *memory) Name() string               { return m.name }
func (m *memory) Size() int64                { return m.Reader.Size() }
func (m *memory) Mode() fs.FileMode          { return 0o444 }
func (m *memory) ModTime() time.Time         { return time.Time{} }
func (m *memory) IsDir() bool                { return false }
func (m *memory) Sys() any                   { return nil }
