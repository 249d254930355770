package disk

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
	"syscall"
	"time"

	"itool/storage"
	"itool/storage/internal/tempfile"
)

// Put stores an object; see storage.Store.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, size int64) (storage.Info, error) {
	info, err := s.put(ctx, key, r, size, rename)
	if err != nil {
		return storage.Info{}, fmt.Errorf("storage/disk: put %s: %w", quote(key), full(err))
	}
	return info, nil
}

// PutIfAbsent stores an object unless it exists; see storage.Store.
func (s *Store) PutIfAbsent(ctx context.Context, key string, r io.Reader, size int64) (storage.Info, error) {
	info, err := s.Stat(ctx, key)
	if err == nil {
		// It is wanted again, so it counts as new: what removes old waste spares it. Best effort.
		now := time.Now()
		if err := os.Chtimes(s.path(key), now, now); !isAbsent(err) { // unless it was deleted just now
			return info, fmt.Errorf("storage/disk: put %s: %w", key, storage.ErrExists)
		}
	}
	// A damaged object exists too: only Put replaces it. os.Link decides which caller wins.
	info, err = s.put(ctx, key, r, size, link)
	if errors.Is(err, storage.ErrExists) {
		info, _ = s.Stat(ctx, key) // empty if the object is damaged or was deleted just now
	}
	if err != nil {
		return info, fmt.Errorf("storage/disk: put %s: %w", quote(key), full(err))
	}
	return info, nil
}

// full marks the errors of a disk, or a quota, that is used up.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", storage.ErrFull, err)
	}
	return err
}

// put writes a temporary file, syncs it, and calls publish to move it to its final name.
func (s *Store) put(
	ctx context.Context, key string, r io.Reader, size int64, publish func(from, to string) error,
) (storage.Info, error) {
	if err := check(ctx, key); err != nil {
		return storage.Info{}, err
	}
	f, err := tempfile.Create(s.tmp)
	if err != nil {
		return storage.Info{}, err
	}
	published := false
	defer func() {
		f.Close() // only after it is published: its lock protects it from tempfile.Sweep
		if !published {
			os.Remove(f.Name())
		}
	}()

	info, err := writeContent(f, &contextReader{ctx, r}, size)
	if err != nil {
		return storage.Info{}, err
	}
	info.Key = key
	if err := f.Sync(); err != nil {
		return storage.Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return storage.Info{}, err
	}
	if err := s.publish(f.Name(), key, publish); err != nil {
		return storage.Info{}, err
	}
	published = true
	return info, nil
}

func rename(from, to string) error { return os.Rename(from, to) }

// link is a rename that fails if the new name exists. The check is atomic.
func link(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}

// writeContent copies r into f and appends the trailer.
func writeContent(f *os.File, r io.Reader, size int64) (storage.Info, error) {
	sum := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(f, sum)}, r, make([]byte, 128<<10))
	if err != nil {
		return storage.Info{}, err
	}
	if size >= 0 && n != size {
		return storage.Info{}, fmt.Errorf("the reader gave %d bytes, %d were announced", n, size)
	}
	info := storage.Info{Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}
	_, err = f.Write(trailer(info))
	return info, err
}

// publish moves the finished file to the object's name. Other processes may delete empty
// folders at any moment, so it creates the folders again if the move fails.
func (s *Store) publish(from, key string, publish func(from, to string) error) error {
	to := s.path(key)
	for range 1000 {
		if err := s.makeFolders(filepath.Dir(to)); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if errors.Is(err, syscall.ENOTDIR) {
			return fmt.Errorf("%w: its beginning is the key of another object", storage.ErrBadKey)
		} else if err != nil {
			return err
		}
		err := publish(from, to)
		switch st, statErr := os.Lstat(to); {
		case err == nil:
			return tempfile.SyncDir(filepath.Dir(to))
		case errors.Is(err, fs.ErrNotExist):
			if _, gone := os.Lstat(from); gone != nil {
				return fmt.Errorf("another program deletes temporary files: %w", gone)
			}
		case statErr == nil && st.IsDir():
			// Empty folders that a killed process left behind do not block the key.
			if removeEmpty(to) == nil {
				continue
			}
			return fmt.Errorf("%w: it is the beginning of another object's key", storage.ErrBadKey)
		case errors.Is(err, fs.ErrExist):
			return storage.ErrExists
		default:
			return err
		}
	}
	return errors.New("another program deletes its folder again and again")
}

// makeFolders creates dir and its missing parents, and syncs them.
func (s *Store) makeFolders(dir string) error {
	if dir == s.objects {
		return nil
	}
	st, err := os.Lstat(dir)
	if err == nil && !st.IsDir() {
		return syscall.ENOTDIR
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := s.makeFolders(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, private); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return s.makeFolders(dir) // another process created a folder or a file of this name
		}
		return err
	}
	return tempfile.SyncDir(parent)
}

// removeEmpty removes dir if it contains only folders, at all levels.
func removeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			return fs.ErrExist
		}
		if err := removeEmpty(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return os.Remove(dir)
}

// isAbsent reports the errors that mean that an object does not exist: a folder of its
// path is missing, or is itself an object.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
