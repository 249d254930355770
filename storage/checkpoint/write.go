package checkpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"itool/storage"
	"itool/storage/internal/spool"
)

// Write stores the parts that the callback creates, then the manifest. The same content
// has the same digest and is stored once; writing it again is no error. If parent is not
// nil, the new checkpoint also has the parts of parent, except those with a name that the
// callback created. To leave out parts of the parent, pass a copy without them.
//
// The callback may call create from many goroutines. It must close every part. If the
// callback or a part fails, or ctx ends, there is no checkpoint.
func Write(
	ctx context.Context, s storage.Store, prefix string, parent *Manifest,
	write func(create func(name string) (io.WriteCloser, error)) error,
) (Manifest, error) {
	w := &writer{parts: map[string]*partWriter{}}
	w.put = func(name string, sp *spool.Spool) (Part, error) {
		p := Part{name, sp.SHA256(), sp.Size()}
		return p, putPart(ctx, s, prefix, p, sp.Reader())
	}
	w.ctxErr = ctx.Err

	m, err := w.run(write)
	if err == nil && parent != nil {
		err = inherit(ctx, s, prefix, &m, parent.Parts)
	}
	if err == nil {
		err = commit(ctx, s, prefix, &m)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("checkpoint: write to %s: %w", prefix, err)
	}
	return m, nil
}

// writer collects the parts that a callback creates.
type writer struct {
	put    func(name string, sp *spool.Spool) (Part, error)
	ctxErr func() error // the context's error

	mu    sync.Mutex
	parts map[string]*partWriter
	done  bool
}

// run calls the callback and checks that all its parts were closed without an error.
func (w *writer) run(write func(create func(name string) (io.WriteCloser, error)) error) (Manifest, error) {
	err := write(w.create)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true

	var m Manifest
	for name, p := range w.parts {
		closed, closeErr := p.discard()
		switch {
		case closeErr != nil && !errors.Is(err, closeErr):
			err = errors.Join(err, fmt.Errorf("part %s: %w", name, closeErr))
		case !closed && err == nil:
			err = fmt.Errorf("part %s was not closed", name)
		}
		m.Parts = append(m.Parts, p.part)
	}
	return m, err
}

func (w *writer) create(name string) (io.WriteCloser, error) {
	if err := storage.CheckKey(name); err != nil {
		return nil, fmt.Errorf("part name: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return nil, fmt.Errorf("part %s: created after the checkpoint was finished", name)
	}
	if w.parts[name] != nil {
		return nil, fmt.Errorf("part %s: created twice", name)
	}
	p := &partWriter{w: w, name: name, sp: spool.New()}
	w.parts[name] = p
	return p, nil
}

// partWriter buffers a part in a spool, because its key, the digest, is known only at the
// end.
type partWriter struct {
	w    *writer
	name string

	mu     sync.Mutex
	sp     *spool.Spool // nil after Close
	closed bool         // by the callback
	part   Part
	err    error
}

func (p *partWriter) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sp == nil {
		return 0, os.ErrClosed
	}
	if err := p.w.ctxErr(); err != nil {
		return 0, err
	}
	n, err := p.sp.Write(b)
	p.err = err
	return n, err
}

// Close stores the part. A second call returns the same error as the first.
func (p *partWriter) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sp == nil {
		return p.err
	}
	p.closed = true
	if p.err == nil {
		p.part, p.err = p.w.put(p.name, p.sp)
	}
	p.err = errors.Join(p.err, p.sp.Close())
	p.sp = nil
	return p.err
}

// discard frees a part that was not closed. It says whether the part was closed, and with
// which error.
func (p *partWriter) discard() (closed bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sp != nil {
		p.sp.Close()
		p.sp = nil
	}
	return p.closed, p.err
}

// putPart stores content under its digest, unless it exists.
func putPart(ctx context.Context, s storage.Store, prefix string, p Part, r io.ReadSeeker) error {
	key := partKey(prefix, p.SHA256)
	info, err := s.PutIfAbsent(ctx, key, r, p.Size)
	if errors.Is(err, storage.ErrExists) && info.SHA256 != p.SHA256 {
		// The stored object is damaged or was put by another program: replace it, since the
		// key says which content belongs there.
		if _, err = r.Seek(0, io.SeekStart); err == nil {
			info, err = s.Put(ctx, key, r, p.Size)
		}
	}
	if err != nil && !errors.Is(err, storage.ErrExists) {
		return err
	}
	if info.SHA256 != p.SHA256 { // possible if r is a file, as in ImportDir
		return errors.Join(errors.New("the content changed while it was read; import it again"), s.Delete(ctx, key))
	}
	return nil
}

// inherit adds the parent's parts whose names m does not have. It fails if the store does
// not have one of them any more.
func inherit(ctx context.Context, s storage.Store, prefix string, m *Manifest, parent []Part) error {
	own := make(map[string]bool, len(m.Parts))
	for _, p := range m.Parts {
		own[p.Name] = true
	}
	for _, p := range parent {
		if own[p.Name] {
			continue
		}
		info, err := s.Stat(ctx, partKey(prefix, p.SHA256))
		if err == nil && (info.SHA256 != p.SHA256 || info.Size != p.Size) {
			err = storage.ErrCorrupt
		}
		if err != nil {
			return fmt.Errorf("inherit part %s: %w", p.Name, err)
		}
		m.Parts = append(m.Parts, p)
	}
	return nil
}

// commit stores the manifest: from then on the checkpoint exists.
func commit(ctx context.Context, s storage.Store, prefix string, m *Manifest) error {
	m.Parts = m.sorted()
	if err := m.check(); err != nil {
		return err
	}
	raw := m.encode()
	if len(raw) > maxManifest {
		return fmt.Errorf("%d parts need a manifest of %d bytes, at most %d are allowed; pack small files together",
			len(m.Parts), len(raw), maxManifest)
	}
	key := manifestKey(prefix, m.Digest())
	info, err := s.PutIfAbsent(ctx, key, bytes.NewReader(raw), int64(len(raw)))
	if errors.Is(err, storage.ErrExists) {
		if info.SHA256 == m.Digest() {
			return nil
		}
		_, err = s.Put(ctx, key, bytes.NewReader(raw), int64(len(raw))) // replaces a damaged manifest
	}
	return err
}

// ImportDir stores all files of a folder as a checkpoint. It follows symbolic links to
// files, which model caches use. It ignores empty folders. A file that can seek is read
// twice instead of being copied, and is not sent if the store already has its content.
func ImportDir(ctx context.Context, s storage.Store, prefix string, fsys fs.FS) (Manifest, error) {
	var m Manifest
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return ctx.Err()
		}
		var p Part
		if err == nil {
			p, err = importFile(ctx, s, prefix, fsys, name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		m.Parts = append(m.Parts, p)
		return nil
	})
	if err == nil {
		err = commit(ctx, s, prefix, &m)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("checkpoint: import to %s: %w", prefix, err)
	}
	return m, nil
}

func importFile(ctx context.Context, s storage.Store, prefix string, fsys fs.FS, name string) (Part, error) {
	if err := storage.CheckKey(name); err != nil {
		return Part{}, fmt.Errorf("rename the file: %w", err)
	}
	// Stat before opening: opening a pipe would wait for a writer.
	if st, err := fs.Stat(fsys, name); err != nil {
		return Part{}, err
	} else if !st.Mode().IsRegular() {
		return Part{}, fmt.Errorf("not a regular file but %v; remove it or import its target", st.Mode().Type())
	}
	f, err := fsys.Open(name)
	if err != nil {
		return Part{}, err
	}
	defer f.Close()
	r, ok := f.(io.ReadSeeker)
	if !ok {
		sp := spool.New()
		defer sp.Close()
		if _, err := io.Copy(sp, contextReader{ctx.Err, f}); err != nil {
			return Part{}, err
		}
		p := Part{name, sp.SHA256(), sp.Size()}
		return p, putPart(ctx, s, prefix, p, sp.Reader())
	}
	sum := sha256.New()
	n, err := io.Copy(sum, contextReader{ctx.Err, r})
	if err == nil {
		_, err = r.Seek(0, io.SeekStart)
	}
	if err != nil {
		return Part{}, err
	}
	p := Part{name, hex.EncodeToString(sum.Sum(nil)), n}
	return p, putPart(ctx, s, prefix, p, r)
}

// contextReader stops reading when the context ends.
type contextReader struct {
	ctxErr func() error
	r      io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctxErr(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
