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

// Write stores what the callback creates, then the manifest. The same content
// gives the same digest and is stored once; to write it again is no error. The
// new checkpoint also has the parts of parent, if any, except those created
// anew; to leave some out, hand in a copy without them.
//
// create may be called from many goroutines. A part counts once it is closed, and
// every part must be. If the callback, a part or ctx fails there is no checkpoint.
func Write(ctx context.Context, s storage.Store, prefix string, parent *Manifest, write func(create func(name string) (io.WriteCloser, error)) error) (Manifest, error) {
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

// run calls back and checks that everything was closed without error.
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

// partWriter spools a part, since its key, the digest, is known at the end only.
type partWriter struct {
	w    *writer
	name string

	mu     sync.Mutex
	sp     *spool.Spool // nil after Close
	closed bool         // by its user
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

// Close stores the part. Closing again answers the same.
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

// discard frees what was not closed, and says whether it was.
func (p *partWriter) discard() (closed bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sp != nil {
		p.sp.Close()
		p.sp = nil
	}
	return p.closed, p.err
}

// putPart stores content under its digest, unless it is there.
func putPart(ctx context.Context, s storage.Store, prefix string, p Part, r io.ReadSeeker) error {
	key := partKey(prefix, p.SHA256)
	info, err := s.PutIfAbsent(ctx, key, r, p.Size)
	if errors.Is(err, storage.ErrExists) && info.SHA256 != p.SHA256 {
		// What lies there is damaged or foreign. The key says what belongs there.
		if _, err = r.Seek(0, io.SeekStart); err == nil {
			info, err = s.Put(ctx, key, r, p.Size)
		}
	}
	if err != nil && !errors.Is(err, storage.ErrExists) {
		return err
	}
	if info.SHA256 != p.SHA256 { // possible when r is a file: see ImportDir
		return errors.Join(errors.New("the content changed while it was read; import it again"), s.Delete(ctx, key))
	}
	return nil
}

// inherit adds the parts of a parent that m does not have, if they still exist.
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

// commit makes the checkpoint visible.
func commit(ctx context.Context, s storage.Store, prefix string, m *Manifest) error {
	m.Parts = m.sorted()
	if err := m.check(); err != nil {
		return err
	}
	raw := m.encode()
	if len(raw) > maxManifest {
		return fmt.Errorf("%d parts need a manifest of %d bytes, at most %d are allowed; pack small files together", len(m.Parts), len(raw), maxManifest)
	}
	key := manifestKey(prefix, m.Digest())
	info, err := s.PutIfAbsent(ctx, key, bytes.NewReader(raw), int64(len(raw)))
	if errors.Is(err, storage.ErrExists) {
		if info.SHA256 == m.Digest() {
			return nil
		}
		_, err = s.Put(ctx, key, bytes.NewReader(raw), int64(len(raw))) // it is damaged
	}
	return err
}

// ImportDir stores all files of a folder, following symbolic links to files (as
// model caches have them). Empty folders are not kept. Files that can seek are
// read twice instead of being copied, and not at all sent when the store has them.
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
	// Before opening it: opening a pipe would wait for a writer.
	if st, err := fs.Stat(fsys, name); err != nil {
		return Part{}, err
	} else if !st.Mode().IsRegular() {
		return Part{}, fmt.Errorf("it is no file but %v; remove it or import its target", st.Mode().Type())
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
