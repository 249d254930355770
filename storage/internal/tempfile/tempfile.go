// Package tempfile creates temporary files for content that is not complete yet. It can
// distinguish a file that a killed process left behind from one that is being written.
package tempfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Create creates a new file in dir. This process holds a lock on it until it is closed.
// The caller moves the file to its final name or removes it.
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
		// Before the file was locked, a Sweep may have removed it as an orphan.
		if _, err := os.Lstat(f.Name()); err == nil {
			return f, nil
		}
		f.Close()
	}
	return nil, fmt.Errorf("create a temporary file in %s: another program keeps deleting it", dir)
}

// Sweep removes the temporary files in dir whose process has ended.
func Sweep(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "t-*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // finished or removed meanwhile
		}
		if err != nil {
			return err
		}
		if isOrphan(f) {
			err = os.Remove(name) // while we hold the lock: then Create notices the removal
		}
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// SyncDir makes the creation, renaming and removal of files in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
