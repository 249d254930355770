// Package storage keeps bytes under names and hands them out again, or says that
// they are damaged. It does not know what the bytes mean.
//
// storage/disk keeps them in a local folder, storage/minio in an S3 bucket,
// storage/storagetest is the suite that both pass, and storage/checkpoint builds
// whole folders out of single objects.
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
)

// Store keeps objects by key. All methods may be used by many goroutines and by
// many processes at once.
//
// Objects are whole or absent: a reader never sees a half-written one, not even
// after a crash or a cancelled context. What was acknowledged is durable.
//
// Keys obey CheckKey. No key may be a "/"-prefix of another ("a" and "a/b"):
// that is the caller's duty, since only a folder tree can refuse it for free.
// storage/disk, the strictest, refuses the second put. Another store may accept
// both, and then keeps both; none ever loses the first.
type Store interface {
	// Put stores all of r under key and replaces what was there. size is the
	// number of bytes r will give, or −1; a reader that gives fewer or more is an
	// error and nothing is stored. r is not closed. A cancelled context is
	// noticed between two reads: a reader that blocks for ever blocks Put.
	Put(ctx context.Context, key string, r io.Reader, size int64) (Info, error)

	// PutIfAbsent is Put, unless key is there: then it answers ErrExists with the
	// Info of the stored object, and r may have been read or not. Of many callers
	// exactly one stores. Over a network the winner itself can see ErrExists,
	// when its first answer was lost and the request repeated: compare SHA256
	// with your own before you call yourself the loser.
	PutIfAbsent(ctx context.Context, key string, r io.Reader, size int64) (Info, error)

	// Get opens an object, or answers ErrNotExist. The digest is checked while
	// reading: damaged content ends with ErrCorrupt, never with io.EOF, and never
	// gives all Size bytes. A reader closed early has checked nothing. The object
	// that was opened is read to its end even when it is replaced meanwhile.
	Get(ctx context.Context, key string) (io.ReadCloser, Info, error)

	// Stat answers what Get would, without the content; it does not verify it.
	Stat(ctx context.Context, key string) (Info, error)

	// List yields the objects whose key begins with prefix, which may be empty or
	// end inside a name, in byte order of the keys. SHA256 is left empty: ask
	// Stat. Objects put or deleted meanwhile may or may not be seen. After an
	// error nothing follows.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Delete removes an object. To delete what is not there is no error.
	Delete(ctx context.Context, key string) error
}

// Local is an optional ability of a Store whose objects are local files.
type Local interface {
	// OpenLocal opens the file whose first Info.Size bytes are the object (it may
	// be longer). Nothing is verified: compare with Info.SHA256 before trusting it.
	// The file may be mapped into memory; it never changes, replacing the object
	// makes a new file. The caller closes it.
	OpenLocal(ctx context.Context, key string) (*os.File, Info, error)
}

// Info describes a stored object.
type Info struct {
	Key    string
	Size   int64  // bytes
	SHA256 string // of the content, lower-case hex; empty from List
}

// Errors that callers branch on; they come wrapped with store and key. The first
// two are also fs.ErrNotExist and fs.ErrExist to errors.Is.
var (
	ErrNotExist error = &sentinel{"no such object", fs.ErrNotExist}
	ErrExists   error = &sentinel{"object is there already", fs.ErrExist}
	ErrCorrupt        = errors.New("object is corrupt")
	ErrBadKey         = errors.New("bad key")
)

// sentinel is a kind of another error without repeating its text.
type sentinel struct {
	text string
	kind error
}

func (e *sentinel) Error() string { return e.text }
func (e *sentinel) Unwrap() error { return e.kind }

const (
	maxKey  = 512 // bytes
	maxName = 255 // bytes between two slashes: what file systems and MinIO allow
)

// CheckKey says what is wrong with a key: slash-separated names of
// [A-Za-z0-9._=-], none empty, "." or "..", each at most 255 bytes, 512 in all.
// Every store calls it; the error wraps ErrBadKey.
func CheckKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed: %.40q…", ErrBadKey, len(key), maxKey, key)
	}
	for name := range strings.SplitSeq(key, "/") {
		switch {
		case name == "" || name == "." || name == "..":
			return fmt.Errorf("%w: %q has the name %q", ErrBadKey, key, name)
		case len(name) > maxName:
			return fmt.Errorf("%w: %q has a name of %d bytes, at most %d are allowed", ErrBadKey, key, len(name), maxName)
		}
		if i := strings.IndexFunc(name, notAllowed); i >= 0 {
			return fmt.Errorf("%w: %q: only letters, digits and . _ = - are allowed between slashes", ErrBadKey, key)
		}
	}
	return nil
}

// CheckPrefix says what is wrong with the argument of List: it must be a
// beginning of some allowed key, or empty.
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
	// With one more letter it may be a key: "a/.." is a beginning of "a/..x".
	return CheckKey(prefix + "x")
}

func notAllowed(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("._=-", r)
}
