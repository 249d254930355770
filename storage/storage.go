// Package storage is the contract of an object store: it keeps bytes under a key and
// returns them unchanged, or reports that they are damaged. It does not know what the
// bytes mean.
//
// storage/disk keeps objects in a local folder, storage/minio in an S3 bucket.
// storage/storagetest is the test suite that both pass. storage/checkpoint builds whole
// folders out of single objects.
//
//	s, err := disk.Open("/var/lib/itool")
//	info, err := s.Put(ctx, "runs/r1/report.html", r, -1)
package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"time"
)

// Store keeps objects by key. Many goroutines and many processes may call all methods at
// the same time.
//
// An object is complete or it does not exist: a reader never sees a half-written object,
// not even after a crash or a cancelled context. When Put or PutIfAbsent has returned
// without an error, the object is durable.
//
// A key must obey CheckKey. No key may be a "/"-prefix of another key ("a" and "a/b"). The
// caller is responsible for that, because only a folder tree can check it without cost.
// storage/disk refuses the second put. Another store may accept both objects; then it must
// keep both. No store may lose the first object.
type Store interface {
	// Put stores all bytes of r under key and replaces an existing object. size is the
	// number of bytes that r will give, or −1 if it is unknown. If r gives fewer or more
	// bytes, Put returns an error and stores nothing. Put does not close r. It checks for
	// a cancelled context between two reads: a reader that blocks also blocks Put.
	Put(ctx context.Context, key string, r io.Reader, size int64) (Info, error)

	// PutIfAbsent stores the object only if key does not exist. Otherwise it returns
	// ErrExists and the Info of the existing object, which then counts as put now where the
	// store can do that (see Info.Modified); it may have read r in that case. If
	// many callers put the same key, exactly one stores its object. Over a network even
	// that one can get ErrExists: its first answer was lost and the request was repeated.
	// So compare Info.SHA256 with your own digest before you conclude that another caller
	// stored the object.
	PutIfAbsent(ctx context.Context, key string, r io.Reader, size int64) (Info, error)

	// Get opens an object, or returns ErrNotExist. The reader checks the digest: reading
	// damaged content ends with ErrCorrupt instead of io.EOF, before all Size bytes were
	// returned. If it is closed before the end, nothing was checked. The reader returns
	// the opened object to its end, even if the object is replaced meanwhile.
	Get(ctx context.Context, key string) (io.ReadCloser, Info, error)

	// Stat returns the Info of an object, or ErrNotExist. It does not verify the content.
	Stat(ctx context.Context, key string) (Info, error)

	// List yields the objects whose key begins with prefix, in byte order of the keys. The
	// prefix may be empty or end inside a name. SHA256 is empty: use Stat to get it.
	// Objects that are put or deleted during the call may be listed or not. List ends
	// after the first error.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Delete removes an object. Deleting an object that does not exist is no error.
	Delete(ctx context.Context, key string) error
}

// Local is an optional ability of a Store whose objects are local files.
type Local interface {
	// OpenLocal opens the file of an object. The object is the first Info.Size bytes; the
	// file may be longer. The content is not verified: compare it with Info.SHA256 before
	// you trust it. The file never changes, because replacing the object creates a new
	// file; so it may be mapped into memory. The caller closes it.
	OpenLocal(ctx context.Context, key string) (*os.File, Info, error)
}

// Info describes a stored object.
type Info struct {
	Key    string
	Size   int64  // bytes
	SHA256 string // of the content, lower-case hex; empty from List
	// Modified is when the object was put last, also by a PutIfAbsent that found it; from List
	// only, and zero where that is not known.
	Modified time.Time
}

// The errors that callers can branch on, with errors.Is. Stores wrap them with their name
// and the key. ErrNotExist also matches fs.ErrNotExist, and ErrExists fs.ErrExist.
var (
	ErrNotExist error = &sentinel{"no such object", fs.ErrNotExist}
	ErrExists   error = &sentinel{"object already exists", fs.ErrExist}
	ErrCorrupt        = errors.New("object is corrupt")
	ErrFull           = errors.New("no room left") // nothing is stored until there is room
	ErrBadKey         = errors.New("bad key")
)

// sentinel is an error that also matches the error kind but does not repeat its text.
type sentinel struct {
	text string
	kind error
}

func (e *sentinel) Error() string { return e.text }
func (e *sentinel) Unwrap() error { return e.kind }

const (
	maxKey  = 512 // bytes
	maxName = 255 // bytes between two slashes: the limit of file systems and of MinIO
)

// CheckKey returns an error if a key is not allowed; it wraps ErrBadKey and says why. A
// key consists of names with slashes between them. A name has 1 to 255 characters of
// [A-Za-z0-9._=-] and is neither "." nor "..". The whole key has at most 512 bytes. Every
// store calls CheckKey in every method.
func CheckKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed: %.40q…", ErrBadKey, len(key), maxKey, key)
	}
	for name := range strings.SplitSeq(key, "/") {
		switch {
		case name == "" || name == "." || name == "..":
			return fmt.Errorf("%w: %q contains the name %q", ErrBadKey, key, name)
		case len(name) > maxName:
			return fmt.Errorf("%w: %q has a name of %d bytes, at most %d are allowed",
				ErrBadKey, key, len(name), maxName)
		}
		if i := strings.IndexFunc(name, notAllowed); i >= 0 {
			return fmt.Errorf("%w: %q: only letters, digits and . _ = - are allowed between slashes", ErrBadKey, key)
		}
	}
	return nil
}

// CheckPrefix returns an error if a prefix is not allowed as the argument of List. It must
// be empty or the beginning of an allowed key.
func CheckPrefix(prefix string) error {
	switch {
	case prefix == "":
		return nil
	case strings.HasSuffix(prefix, "/"):
		return CheckKey(strings.TrimSuffix(prefix, "/"))
	}
	if CheckKey(prefix) == nil {
		return nil
	}
	// It may become a key with one more letter: "a/.." is the beginning of "a/..x".
	return CheckKey(prefix + "x")
}

func notAllowed(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("._=-", r)
}
