// Package spool takes in a stream whose digest or size must be known before it
// can be sent on: small ones in memory, large ones in a temporary file.
package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
)

// maxMemory is the size up to which no file is made.
const maxMemory = 1 << 20 // bytes

// Spool is written once, then read. Close frees it. It is not for concurrent use.
type Spool struct {
	mem   bytes.Buffer
	file  *os.File // nil while all is in mem
	named bool     // the file still has its name
	sum   hash.Hash
	size  int64
	err   error // a failed Write spoils the whole
}

func New() *Spool { return &Spool{sum: sha256.New()} }

func (s *Spool) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.file == nil && s.mem.Len()+len(p) > maxMemory {
		if s.err = s.spill(); s.err != nil {
			return 0, s.err
		}
	}
	var w io.Writer = &s.mem
	if s.file != nil {
		w = s.file
	}
	n, err := w.Write(p)
	s.sum.Write(p[:n])
	s.size += int64(n)
	s.err = err
	return n, err
}

// spill moves what is in memory into a file.
func (s *Spool) spill() error {
	f, err := os.CreateTemp("", "itool-spool-*")
	if err != nil {
		return err
	}
	// Without a name it goes away with the process, however that ends. Where open
	// files cannot be removed, Close does it.
	s.named = os.Remove(f.Name()) != nil
	s.file = f
	_, err = s.mem.WriteTo(f)
	s.mem = bytes.Buffer{}
	return err
}

func (s *Spool) Size() int64    { return s.size }                             // bytes written so far
func (s *Spool) SHA256() string { return hex.EncodeToString(s.sum.Sum(nil)) } // of them, in hex

// Reader reads all that was written, from the start; it may be called again.
func (s *Spool) Reader() *io.SectionReader {
	if s.file != nil {
		return io.NewSectionReader(s.file, 0, s.size)
	}
	return io.NewSectionReader(bytes.NewReader(s.mem.Bytes()), 0, s.size)
}

// Close frees memory and file; writing on fails.
func (s *Spool) Close() error {
	s.mem = bytes.Buffer{}
	s.err = os.ErrClosed
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	err := f.Close()
	if s.named {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
