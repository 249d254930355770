// Package tempfile makes files that are not yet finished, so that what a killed
// process left behind can be told from what a living one is writing.
package tempfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Create makes a new file in dir, held by this process until it is closed. Move
// it into place or remove it.
func Create(dir string) (*os.File, error) {
	for range 100 {
		f, err := os.CreateTemp(dir, "t-*")
		if err != nil {
			return nil, err
		}
		if err := lockFile(f); err != nil {
			f.Close()
			os.Remove(f.Name())
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		// Between the two calls above a Sweep may have taken it for an orphan.
		if _, err := os.Lstat(f.Name()); err == nil {
			return f, nil
		}
		f.Close()
	}
	return nil, fmt.Errorf("create a temporary file in %s: something keeps deleting it", dir)
}

// Sweep removes the files in dir that no process holds any more.
func Sweep(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "t-*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // finished or swept meanwhile
		}
		if err != nil {
			return err
		}
		if isOrphan(f) {
			err = os.Remove(name) // while the lock is held: see Create
		}
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// SyncDir makes names created, moved or deleted in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
