package worker_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync/atomic"

	"itool/storage"
)

// flaky is a store over a network. Its next calls fail, as many as fail says.
type flaky struct {
	store storage.Store // not embedded: a store over a network has no local files
	fail  atomic.Int64  // calls that are still to fail
	puts  atomic.Int64
}

var errAway = errors.New("connection refused")

func (f *flaky) trouble() error {
	if f.fail.Add(-1) >= 0 {
		return errAway
	}
	return nil
}

func (f *flaky) Put(ctx context.Context, key string, r io.Reader, size int64) (storage.Info, error) {
	f.puts.Add(1)
	if err := f.trouble(); err != nil {
		_, _ = io.CopyN(io.Discard, r, 1) // half of it was sent
		return storage.Info{}, err
	}
	return f.store.Put(ctx, key, r, size)
}

func (f *flaky) PutIfAbsent(ctx context.Context, key string, r io.Reader, size int64) (storage.Info, error) {
	if err := f.trouble(); err != nil {
		return storage.Info{}, err
	}
	return f.store.PutIfAbsent(ctx, key, r, size)
}

func (f *flaky) Get(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	if err := f.trouble(); err != nil {
		return nil, storage.Info{}, err
	}
	r, info, err := f.store.Get(ctx, key)
	return &flakyReader{r, f}, info, err
}

type flakyReader struct {
	io.ReadCloser
	f *flaky
}

func (r *flakyReader) Read(p []byte) (int, error) {
	if err := r.f.trouble(); err != nil {
		return 0, err
	}
	return r.ReadCloser.Read(p)
}

func (f *flaky) Stat(ctx context.Context, key string) (storage.Info, error) {
	if err := f.trouble(); err != nil {
		return storage.Info{}, err
	}
	return f.store.Stat(ctx, key)
}

func (f *flaky) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	if err := f.trouble(); err != nil {
		return func(yield func(storage.Info, error) bool) { yield(storage.Info{}, err) }
	}
	return f.store.List(ctx, prefix)
}

func (f *flaky) Delete(ctx context.Context, key string) error { return f.store.Delete(ctx, key) }
