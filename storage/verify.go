package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Verify wraps the content of an object so that reading it fails with ErrCorrupt
// unless it is exactly info.Size bytes with the digest info.SHA256. The last
// bytes are handed out only when the digest is right, so that a caller who reads
// Size bytes and stops is safe too. Closing closes r. It is for implementers of
// Store, whose Get must return it.
func Verify(r io.ReadCloser, info Info) io.ReadCloser {
	return &verifier{r: r, info: info, left: info.Size, sum: sha256.New()}
}

type verifier struct {
	r    io.ReadCloser
	info Info
	left int64 // bytes not yet read
	sum  hash.Hash
	err  error // what every further Read answers
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if v.left > 0 {
		if len(p) == 0 {
			return 0, nil
		}
		n, err := v.r.Read(p[:min(int64(len(p)), v.left)])
		v.sum.Write(p[:n])
		v.left -= int64(n)
		switch {
		case v.left > 0 && err == io.EOF:
			v.err = fmt.Errorf("%s: %w: %d of %d bytes are missing", v.info.Key, ErrCorrupt, v.left, v.info.Size)
			return n, v.err
		case v.left > 0:
			v.err = err
			return n, err
		}
		if v.err = v.check(); !errors.Is(v.err, io.EOF) {
			return 0, v.err
		}
		return n, nil
	}
	v.err = v.check() // an empty object
	return 0, v.err
}

// check runs once, when all bytes were read; io.EOF means they are right.
func (v *verifier) check() error {
	if got := hex.EncodeToString(v.sum.Sum(nil)); got != v.info.SHA256 {
		return fmt.Errorf("%s: %w: sha256 is %s, should be %s", v.info.Key, ErrCorrupt, got, v.info.SHA256)
	}
	return io.EOF
}

func (v *verifier) Close() error { return v.r.Close() }
