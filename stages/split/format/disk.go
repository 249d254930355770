package format

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// DiskFile is a dataset file on disk.
type DiskFile struct {
	*File
	disk *os.File
	info fs.FileInfo // when it was opened
}

// OpenFile opens a file and finds out what it is. The caller closes it. Errors do not name the
// path.
func OpenFile(path string) (*DiskFile, error) { return Options{}.OpenFile(path) }

// OpenFile does the same for a file of which the user said more.
func (o Options) OpenFile(path string) (*DiskFile, error) { return openFile(path, o.Open) }

// OpenRows opens a file whose rows may have any form: Format stays empty.
func OpenRows(path string) (*DiskFile, error) { return openFile(path, openRows) }

func openFile(path string, open func(io.ReaderAt, int64) (*File, error)) (*DiskFile, error) {
	f, err := os.Open(path)
	if err != nil {
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		return nil, err
	}
	d := &DiskFile{disk: f}
	if d.info, err = f.Stat(); err == nil {
		switch mode := d.info.Mode(); {
		case mode.IsDir():
			err = errors.New("it is a folder: name the files in it")
		case !mode.IsRegular():
			err = fmt.Errorf("it is no file (%s): save its content as a file", mode.Type())
		default:
			d.File, err = open(f, d.info.Size())
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return d, nil
}

// Close closes the file.
func (d *DiskFile) Close() error { return d.disk.Close() }

// Digest reads the file and returns its SHA-256 in hex.
func (d *DiskFile) Digest() (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(d.disk, 0, d.size)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Unchanged returns an error if the file was written to since it was opened.
func (d *DiskFile) Unchanged() error {
	now, err := d.disk.Stat()
	if err == nil && (now.Size() != d.info.Size() || !now.ModTime().Equal(d.info.ModTime())) {
		err = errors.New("it changed while it was read: try again when it is complete")
	}
	return err
}
