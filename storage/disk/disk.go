// Package disk is the Store for a single machine: objects are files in a local folder.
//
//	<root>/format        the version of this layout
//	<root>/objects/<key> the content, then a trailer with size and SHA-256
//	<root>/tmp/          files being written
//
// A writer finishes and syncs a temporary file. Then a rename (Put) or a hard link
// (PutIfAbsent) makes the object visible. So an object is complete or does not exist, even
// if a process is killed, and exactly one of many processes wins PutIfAbsent. The file
// system must have hard links, and it must distinguish upper and lower case, as keys do.
//
// disk.go opens the store, reads and deletes; put.go writes; list.go lists; trailer.go has
// the end of an object's file.
package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"itool/storage"
	"itool/storage/internal/tempfile"
)

// Store keeps objects below one folder. Any number of Stores, in any number of
// processes, may use the same folder.
type Store struct {
	root    string
	objects string
	tmp     string
}

var (
	_ storage.Store = (*Store)(nil)
	_ storage.Local = (*Store)(nil)
)

// private is the mode of the folders that a store makes: only its owner can read what runs learn from.
// Files have the mode 0600. A folder that is there keeps its mode.
const private = 0o700

const format = "itool storage folder, format 1\n"

// Open opens the store in dir. It creates the store if dir does not exist or is empty, and
// removes temporary files that killed writers left behind. It refuses a folder with other
// content.
func Open(dir string) (*Store, error) { return open(dir, true) }

// OpenExisting opens the store in dir and creates nothing: a folder that holds no store is an
// error. For all who must not take a mistyped path for a new store.
func OpenExisting(dir string) (*Store, error) { return open(dir, false) }

func open(dir string, create bool) (*Store, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("storage/disk: open %s: %w", dir, err)
	}
	if _, err := os.Stat(filepath.Join(root, "format")); errors.Is(err, fs.ErrNotExist) && !create {
		return nil, fmt.Errorf("storage/disk: open %s: there is no store in this folder: check the path; "+
			"`itool up` and `itool doctor --create` create a store", root)
	}
	s := &Store{root: root, objects: filepath.Join(root, "objects"), tmp: filepath.Join(root, "tmp")}
	if err := s.prepare(); err != nil {
		return nil, fmt.Errorf("storage/disk: open %s: %w", root, err)
	}
	return s, nil
}

func (s *Store) prepare() error {
	if err := os.MkdirAll(s.root, private); err != nil {
		return err
	}
	if err := s.checkFormat(); err != nil {
		return err
	}
	for _, dir := range []string{s.objects, s.tmp} {
		if err := os.MkdirAll(dir, private); err != nil {
			return err
		}
	}
	if err := tempfile.SyncDir(s.root); err != nil {
		return err
	}
	return tempfile.Sweep(s.tmp)
}

// checkFormat reads the format file. It creates the file in an empty folder; if several
// processes do so at once, they write the same content.
func (s *Store) checkFormat() error {
	name := filepath.Join(s.root, "format")
	got, err := os.ReadFile(name)
	if err == nil {
		if !bytes.Equal(got, []byte(format)) {
			return fmt.Errorf("its file \"format\" begins with %.60q, this version reads only %q;"+
				" use the version that created the folder", got, format)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := os.ReadDir(s.root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// These three are no foreign content: another process may be creating the store now, or
		// was killed while it did.
		if n := e.Name(); n != "format" && n != "tmp" && n != "objects" {
			return fmt.Errorf("the folder holds %q and is not a storage folder; name an empty or a new one", n)
		}
	}
	if err := os.MkdirAll(s.tmp, private); err != nil {
		return err
	}
	f, err := tempfile.Create(s.tmp)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(format); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// String names the store in logs.
func (s *Store) String() string { return "disk:" + s.root }

// Get opens an object; see storage.Store.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	f, info, err := s.open(ctx, key)
	if err != nil {
		return nil, storage.Info{}, fmt.Errorf("storage/disk: get %s: %w", quote(key), err)
	}
	return storage.Verify(file{&contextReader{ctx, f}, f}, info), info, nil
}

// OpenLocal opens the object's file; see storage.Local.
func (s *Store) OpenLocal(ctx context.Context, key string) (*os.File, storage.Info, error) {
	f, info, err := s.open(ctx, key)
	if err != nil {
		return nil, storage.Info{}, fmt.Errorf("storage/disk: open %s: %w", quote(key), err)
	}
	return f, info, nil
}

// Stat reads an object's trailer; see storage.Store.
func (s *Store) Stat(ctx context.Context, key string) (storage.Info, error) {
	f, info, err := s.open(ctx, key)
	if err != nil {
		return storage.Info{}, fmt.Errorf("storage/disk: stat %s: %w", quote(key), err)
	}
	return info, f.Close()
}

// open opens the file of key and reads its trailer.
func (s *Store) open(ctx context.Context, key string) (*os.File, storage.Info, error) {
	if err := check(ctx, key); err != nil {
		return nil, storage.Info{}, err
	}
	f, err := os.Open(s.path(key))
	if isAbsent(err) {
		return nil, storage.Info{}, storage.ErrNotExist
	}
	if err != nil {
		return nil, storage.Info{}, err
	}
	info, err := readTrailer(f)
	if err != nil {
		f.Close()
		return nil, storage.Info{}, err
	}
	info.Key = key
	return f, info, nil
}

// Delete removes an object and the folders that this leaves empty.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.remove(ctx, key); err != nil {
		return fmt.Errorf("storage/disk: delete %s: %w", quote(key), err)
	}
	return nil
}

func (s *Store) remove(ctx context.Context, key string) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	path := s.path(key)
	// A folder is not an object: it holds the objects of longer keys.
	if st, err := os.Lstat(path); isAbsent(err) || err == nil && st.IsDir() {
		return nil
	} else if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !isAbsent(err) {
		return err
	}
	dir := filepath.Dir(path)
	if err := tempfile.SyncDir(dir); err != nil && !isAbsent(err) {
		return err
	}
	// os.Remove fails for a folder that is not empty; that ends the loop. A writer may have
	// just created this folder for its object: when it finds that the folder is gone, it
	// creates the folder again.
	for ; dir != s.objects && os.Remove(dir) == nil; dir = filepath.Dir(dir) {
	}
	return nil
}

func (s *Store) path(key string) string {
	return filepath.Join(s.objects, filepath.FromSlash(key))
}

// quote returns a valid key as it is, and any other text quoted and shortened, for errors.
func quote(key string) string {
	if storage.CheckKey(key) == nil {
		return key
	}
	return fmt.Sprintf("%.40q", key)
}

func check(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return storage.CheckKey(key)
}

// file reads through a contextReader and closes the file that it reads.
type file struct {
	io.Reader
	io.Closer
}

// contextReader stops reading when the context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
