package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/singleflight"

	"itool/storage"
	"itool/storage/internal/tempfile"
)

// ErrMissing: the manifest lists a part that the store does not have. The error is also
// storage.ErrCorrupt.
var ErrMissing = errors.New("it is not in the store")

// Option changes how Open reads parts.
type Option func(*opener)

// Cache keeps parts in a local folder, under their digest. A part is fetched and verified
// when any process opens it for the first time; later it is trusted. Many processes may
// share the folder, and any file in it may be deleted at any time. A store whose objects
// are local files (storage.Local) needs no cache and ignores it.
func Cache(dir string) Option { return func(o *opener) { o.cache = dir } }

// Open reads and verifies the manifest with this digest, and returns the checkpoint as a
// file system. A missing manifest is storage.ErrNotExist; a damaged manifest or part is
// storage.ErrCorrupt. A part that the store does not have is ErrCorrupt too: a reader that
// looks for an optional file must not conclude that the checkpoint never had it.
//
// Over the network and without a cache, parts are streams, which are verified when they
// are read to their end. Otherwise parts are verified when they are opened for the first
// time. Their files then are also io.ReaderAt and io.Seeker and have a method Fd() uintptr
// like *os.File: their first Stat().Size() bytes can be mapped into memory from offset 0.
//
// ctx applies to the file system, not only to this call: when it ends, opening and reading
// fail.
func Open(ctx context.Context, s storage.Store, prefix, digest string, opts ...Option) (fs.FS, Manifest, error) {
	m, err := Load(ctx, s, prefix, digest)
	if err != nil {
		return nil, Manifest{}, err
	}
	o := &opener{store: s, prefix: prefix}
	for _, opt := range opts {
		opt(o)
	}
	open := func(p Part) (fs.File, error) { return o.open(ctx, p) }
	return newTree(m, open), m, nil
}

// opener opens single parts.
type opener struct {
	store  storage.Store
	prefix string
	cache  string // folder, or ""

	flight   singleflight.Group
	verified sync.Map // digests of the local parts whose content was verified
}

func (o *opener) open(ctx context.Context, p Part) (fs.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	local, ok := o.store.(storage.Local)
	var f fs.File
	var err error
	switch {
	case ok:
		f, err = o.openLocal(ctx, local, p)
	case o.cache != "":
		f, err = o.openCached(ctx, p)
	default:
		f, err = o.openStream(ctx, p)
	}
	if errors.Is(err, storage.ErrNotExist) {
		return nil, fmt.Errorf("%w: part %s: %w", storage.ErrCorrupt, p.SHA256, ErrMissing)
	}
	return f, err
}

func (o *opener) openStream(ctx context.Context, p Part) (*streamFile, error) {
	r, info, err := o.store.Get(ctx, partKey(o.prefix, p.SHA256))
	if err != nil {
		return nil, err
	}
	// The store verifies the content against its own digest: that must be the manifest's.
	if err := sameContent(info, p); err != nil {
		r.Close()
		return nil, err
	}
	return &streamFile{ReadCloser: r, part: p}, nil
}

func (o *opener) openLocal(ctx context.Context, s storage.Local, p Part) (*localFile, error) {
	f, info, err := s.OpenLocal(ctx, partKey(o.prefix, p.SHA256))
	if err != nil {
		return nil, err
	}
	lf := newLocalFile(f, p)
	if err := sameContent(info, p); err != nil {
		f.Close()
		return nil, err
	}
	if _, done := o.verified.Load(p.SHA256); done {
		return lf, nil
	}
	_, err, _ = o.flight.Do(p.SHA256, func() (any, error) {
		if err := verify(ctx, f, p); err != nil {
			return nil, err
		}
		o.verified.Store(p.SHA256, true)
		return nil, nil
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return lf, nil
}

func (o *opener) openCached(ctx context.Context, p Part) (*localFile, error) {
	name := filepath.Join(o.cache, p.SHA256)
	for range 10 { // try again if another process deletes the file between fetch and open
		f, err := openWhole(name, p.Size)
		if err != nil {
			return nil, err
		}
		if f != nil {
			return newLocalFile(f, p), nil
		}
		fetch := func() (any, error) {
			// A flight that ended since the look above may have brought it.
			f, err := openWhole(name, p.Size)
			if err != nil {
				return nil, err
			}
			if f != nil {
				f.Close()
				return nil, nil
			}
			return nil, o.fetch(ctx, p, name)
		}
		if _, err, _ := o.flight.Do(p.SHA256, fetch); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("cache %s: another program keeps deleting the files in it", o.cache)
}

// openWhole opens a file of the cache. It is nil if the file is not there or not whole, as after a full disk or a
// power loss.
func openWhole(name string, size int64) (*os.File, error) {
	f, err := os.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if st, err := f.Stat(); err == nil && st.Mode().IsRegular() && st.Size() == size {
		return f, nil
	}
	f.Close()
	return nil, nil
}

// fetch copies a part into the cache. The file gets its name only when its content is
// verified and synced.
func (o *opener) fetch(ctx context.Context, p Part, name string) error {
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return err
	}
	if err := tempfile.Sweep(o.cache); err != nil {
		return err
	}
	r, err := o.openStream(ctx, p)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := tempfile.Create(o.cache)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = io.Copy(f, r); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return tempfile.SyncDir(o.cache)
}

// verify compares the content of f with the part. It does not move the offset of f.
func verify(ctx context.Context, f io.ReaderAt, p Part) error {
	sum := sha256.New()
	n, err := io.Copy(sum, contextReader{ctx.Err, io.NewSectionReader(f, 0, p.Size)})
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != p.Size || got != p.SHA256 {
		return fmt.Errorf("%w: %d bytes with sha256 %s, want %d with %s", storage.ErrCorrupt, n, got, p.Size, p.SHA256)
	}
	return nil
}

// sameContent compares what the store says about a part with what the manifest says.
func sameContent(info storage.Info, p Part) error {
	if info.SHA256 != p.SHA256 || info.Size != p.Size {
		return fmt.Errorf("%w: the store has %d bytes with sha256 %s, the manifest says %d with %s",
			storage.ErrCorrupt, info.Size, info.SHA256, p.Size, p.SHA256)
	}
	return nil
}
