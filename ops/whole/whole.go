// Package whole writes a file or a folder whole or not at all: it is filled under another
// name beside its place and renamed when it is complete. A crash or an error leaves what
// was there before.
//
//	err := whole.File("report.html", r.HTML)
package whole

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// File writes a file, or replaces the one that is there. The folder must exist.
func File(path string, fill func(io.Writer) error) error {
	return Checked(path, fill, func(string) error { return nil })
}

// Checked is File with a look at the complete file, under the name tmp, before it gets its own.
func Checked(path string, fill func(io.Writer) error, check func(tmp string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: the folder %s is not there: make it first", path, filepath.Dir(path))
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s: no file can be made in the folder %s: %w", path, filepath.Dir(path), fs.ErrPermission)
	}
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(fill(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	if err := check(f.Name()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Folder makes a new folder and the folders above it; fill gets the name to write under
// until then. A folder that is there already is an error, unless replace is given.
func Folder(dir string, replace bool, fill func(tmp string) error) error {
	if _, err := os.Stat(dir); err == nil && !replace {
		return fmt.Errorf("%s is there already: give a new folder", dir)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	if replace {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return os.Rename(tmp, dir)
}
