package worker

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"itool/ops/courier"
)

// A stage reads through plain files and readers, so it cannot tell a damaged file from a store that
// does not answer. The files and readers below report an error of the store to the item, too. If the
// stage then fails with any error of its own, the item waits and is tried again.

// blame returns a function that marks an error of the store as a *courier.InfraError, or as a *waitError
// if the store lacks what it should have, and notes it. Other errors pass through it unchanged.
func (it *item) blame(ctx context.Context) func(error) error {
	return func(err error) error {
		if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrClosed) {
			return err // caused by the stage itself
		}
		err = it.promised(ctx, err)
		it.note(err)
		return err
	}
}

// promised is an error of the store about an object that a record of the run names.
func (it *item) promised(ctx context.Context, err error) error {
	if isLost(err) {
		return lost(err)
	}
	return courier.Infra(ctx, err)
}

// note remembers the last error of broker or store: serve returns it instead of the stage's error.
func (it *item) note(err error) {
	var infra *courier.InfraError
	var wait *waitError
	switch {
	case errors.As(err, &infra):
		it.away.Store(infra)
	case errors.As(err, &wait):
		it.missing.Store(wait)
	}
}

// folder is a checkpoint whose files report errors of the store. Its list of files is in memory: Stat
// and ReadDir cannot fail because of the store.
type folder struct {
	fsys  fs.FS
	blame func(error) error
}

var (
	_ fs.ReadDirFS = folder{}
	_ fs.StatFS    = folder{}
)

func (f folder) Open(name string) (fs.File, error) {
	file, err := f.fsys.Open(name)
	if err != nil {
		return nil, f.blame(err)
	}
	// A local file is complete and needs no store. Its user may want to map it into memory.
	if _, local := file.(io.ReaderAt); local {
		return file, nil
	}
	if _, dir := file.(fs.ReadDirFile); dir { // in memory, too
		return file, nil
	}
	return stream{file, reader{file, f.blame}}, nil
}

func (f folder) Stat(name string) (fs.FileInfo, error)      { return fs.Stat(f.fsys, name) }
func (f folder) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(f.fsys, name) }

// stream is a file that is read over the network.
type stream struct {
	fs.File
	r reader
}

func (s stream) Read(p []byte) (int, error) { return s.r.Read(p) }

// reader reports the errors of r.
type reader struct {
	r     io.Reader
	blame func(error) error
}

func (r reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil {
		err = r.blame(err)
	}
	return n, err
}
