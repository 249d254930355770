// Package spool buffers a stream whose digest or size must be known before it can be sent:
// a small stream in memory, a large one in a temporary file.
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

// maxMemory is the largest size that is kept in memory.
const maxMemory = 1 << 20 // bytes

// Spool is written first and read afterwards. Close frees it. It is not safe for
// concurrent use.
type Spool struct {
	mem   bytes.Buffer
	file  *os.File // nil as long as everything is in mem
	named bool     // the file still has its name: Close must remove it
	sum   hash.Hash
	size  int64
	err   error // of the first Write that failed; every later Write returns it too
}

// New returns an empty spool.
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

// spill moves the content from memory into a temporary file.
func (s *Spool) spill() error {
	f, err := os.CreateTemp("", "itool-spool-*")
	if err != nil {
		return err
	}
	// A file without a name disappears when the process ends, even by a crash. Some systems
	// cannot remove open files; there Close removes it.
	s.named = os.Remove(f.Name()) != nil
	s.file = f
	_, err = s.mem.WriteTo(f)
	s.mem = bytes.Buffer{}
	return err
}

// Size is the number of bytes written so far.
func (s *Spool) Size() int64 { return s.size }

// SHA256 is the digest of the bytes written so far, in lower-case hex.
func (s *Spool) SHA256() string { return hex.EncodeToString(s.sum.Sum(nil)) }

// Reader returns a new reader of all bytes written so far. It is valid until Close.
func (s *Spool) Reader() *io.SectionReader {
	if s.file != nil {
		return io.NewSectionReader(s.file, 0, s.size)
	}
	return io.NewSectionReader(bytes.NewReader(s.mem.Bytes()), 0, s.size)
}

// Close frees the memory and the file. A later Write fails.
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
