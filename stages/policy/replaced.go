package policy

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// replaced is a folder in which one file at the top has another text, and another file does not exist.
type replaced struct {
	fs.FS
	name, text string
	hidden     string
}

// Open implements fs.FS.
func (r replaced) Open(name string) (fs.File, error) {
	if name == r.hidden {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if name != r.name {
		return r.FS.Open(name)
	}
	return textFile{strings.NewReader(r.text), name}, nil
}

// ReadDir implements fs.ReadDirFS.
func (r replaced) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(r.FS, name)
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		full := path.Join(name, e.Name())
		return full == r.name || full == r.hidden
	})
	if err != nil || name != "." {
		return entries, err
	}
	entries = append(entries, fs.FileInfoToDirEntry(textFile{strings.NewReader(r.text), r.name}))
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// textFile is an open file and its own fs.FileInfo.
type textFile struct {
	*strings.Reader
	name string
}

func (f textFile) Close() error               { return nil }
func (f textFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f textFile) Name() string               { return f.name }
func (f textFile) Size() int64                { return f.Reader.Size() }
func (f textFile) Mode() fs.FileMode          { return 0o444 }
func (f textFile) ModTime() time.Time         { return time.Time{} }
func (f textFile) IsDir() bool                { return false }
func (f textFile) Sys() any                   { return nil }
