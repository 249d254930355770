package worker

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"itool/ops/courier"
)

// A stage reads through plain files and readers, so it cannot tell a damaged file from a store that
// does not answer. The files and readers below report such errors to the item, too. The item then
// waits, even if the stage hides the error.

// blame returns a function that marks errors of the store as errors to wait for.
func (it *item) blame(ctx context.Context) func(error) error {
	return func(err error) error {
		if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrClosed) {
			return err // caused by the stage itself
		}
		err = courier.Infra(ctx, err)
		it.note(err)
		return err
	}
}

// note remembers an error of broker or store.
func (it *item) note(err error) {
	var infra *courier.InfraError
	if errors.As(err, &infra) {
		it.away.Store(infra)
	}
}

// folder is a checkpoint that reports errors of the store.
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
	// A local file is complete, and its user may want to map it into memory.
	if _, local := file.(io.ReaderAt); local {
		return file, nil
	}
	if _, dir := file.(fs.ReadDirFile); dir {
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
