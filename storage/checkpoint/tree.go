package checkpoint

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// tree is a manifest as a read-only file system. It leaves the opening of parts to open.
type tree struct {
	open    func(Part) (fs.File, error)
	parts   map[string]Part
	folders map[string][]fs.DirEntry // sorted by name; "." is the root
}

var (
	_ fs.ReadDirFS = (*tree)(nil)
	_ fs.StatFS    = (*tree)(nil)
)

func newTree(m Manifest, open func(Part) (fs.File, error)) *tree {
	t := &tree{open: open, parts: map[string]Part{}, folders: map[string][]fs.DirEntry{".": nil}}
	for _, p := range m.Parts {
		t.parts[p.Name] = p
		t.add(path.Dir(p.Name), entry{name: path.Base(p.Name), size: p.Size})
	}
	for _, entries := range t.folders {
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return t
}

// add puts e into dir. If dir is new, it also adds dir to its parent.
func (t *tree) add(dir string, e entry) {
	if _, known := t.folders[dir]; !known {
		t.add(path.Dir(dir), entry{name: path.Base(dir), dir: true})
	}
	t.folders[dir] = append(t.folders[dir], e)
}

func (t *tree) Open(name string) (fs.File, error) {
	e, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	if e.dir {
		return &folderFile{entry: e, left: t.folders[name]}, nil
	}
	f, err := t.open(t.parts[name])
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return f, nil
}

func (t *tree) Stat(name string) (fs.FileInfo, error) {
	e, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (t *tree) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := t.find("readdir", name)
	if err == nil && !e.dir {
		err = &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a folder")}
	}
	return slices.Clone(t.folders[name]), err
}

func (t *tree) find(op, name string) (entry, error) {
	if !fs.ValidPath(name) {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if p, ok := t.parts[name]; ok {
		return entry{name: path.Base(name), size: p.Size}, nil
	}
	if _, ok := t.folders[name]; ok {
		return entry{name: path.Base(name), dir: true}, nil
	}
	return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// entry describes a part or a folder. It is an fs.DirEntry and an fs.FileInfo.
type entry struct {
	name string
	size int64
	dir  bool
}

func (e entry) Name() string               { return e.name }
func (e entry) Size() int64                { return e.size }
func (e entry) IsDir() bool                { return e.dir }
func (e entry) Type() fs.FileMode          { return e.Mode().Type() }
func (e entry) Info() (fs.FileInfo, error) { return e, nil }
func (e entry) ModTime() time.Time         { return time.Time{} } // a manifest has no times
func (e entry) Sys() any                   { return nil }
func (e entry) String() string             { return fs.FormatDirEntry(e) }

func (e entry) Mode() fs.FileMode {
	if e.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// folderFile is an open folder.
type folderFile struct {
	entry
	left []fs.DirEntry
}

func (d *folderFile) Stat() (fs.FileInfo, error) { return d.entry, nil }
func (d *folderFile) Close() error               { return nil }

func (d *folderFile) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("it is a folder")}
}

func (d *folderFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(d.left)
	} else if len(d.left) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.left))
	out := slices.Clone(d.left[:n])
	d.left = d.left[n:]
	return out, nil
}

// streamFile is a part that is read over the network, once, from the start to the end.
type streamFile struct {
	io.ReadCloser
	part Part
}

func (f *streamFile) Stat() (fs.FileInfo, error) { return partInfo(f.part), nil }

// localFile is a part in a local file, which may be longer than the part.
type localFile struct {
	*io.SectionReader // Read, ReadAt, Seek
	file              *os.File
	part              Part
}

func newLocalFile(f *os.File, p Part) *localFile {
	return &localFile{io.NewSectionReader(f, 0, p.Size), f, p}
}

func (f *localFile) Stat() (fs.FileInfo, error) { return partInfo(f.part), nil }
func (f *localFile) Close() error               { return f.file.Close() }

// Fd returns the file descriptor, to map Stat().Size() bytes from offset 0. It is valid
// until Close.
func (f *localFile) Fd() uintptr { return f.file.Fd() }

func partInfo(p Part) entry { return entry{name: path.Base(p.Name), size: p.Size} }
