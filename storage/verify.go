package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Verify wraps the content of an object. Reading fails with ErrCorrupt unless the content
// has exactly info.Size bytes and the digest info.SHA256. The last bytes are returned only
// if the digest is right, so a caller that reads Size bytes and then stops is safe too.
// Closing the result closes r. Verify is for implementers of Store: Get must return its
// result.
func Verify(r io.ReadCloser, info Info) io.ReadCloser {
	return &verifier{r: r, info: info, left: info.Size, sum: sha256.New()}
}

type verifier struct {
	r    io.ReadCloser
	info Info
	left int64 // bytes not yet read
	sum  hash.Hash
	err  error // the result of every further Read
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

// check runs once, when all bytes were read. It returns io.EOF if they are right.
func (v *verifier) check() error {
	if got := hex.EncodeToString(v.sum.Sum(nil)); got != v.info.SHA256 {
		return fmt.Errorf("%s: %w: sha256 is %s, want %s", v.info.Key, ErrCorrupt, got, v.info.SHA256)
	}
	return io.EOF
}

func (v *verifier) Close() error { return v.r.Close() }
