package format

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// What a packed file may unpack to. A bomb of a few kilobytes ends at freeUnpacked; real rows
// are packed 3 to 100 times.
const (
	freeUnpacked = 256 << 20 // bytes that any file may unpack to
	maxRatio     = 1000      // bytes of text for each packed byte, beyond them
	maxWindow    = 128 << 20 // bytes that a zstd decoder keeps: zstd --ultra -22 and --long=27 need as many
)

// packing names the compression of a file by its first bytes, or returns "".
func packing(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return "gzip"
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return "zstd"
	}
	return ""
}

// Unpack reads the text that r holds, packed or not. The caller closes it.
func Unpack(r io.Reader) (io.ReadCloser, error) {
	head := bufio.NewReader(r)
	magic, _ := head.Peek(4) // an error comes again
	u, err := unpack(packing(magic), head)
	if err != nil {
		return nil, err
	}
	if c, ok := u.(io.ReadCloser); ok {
		return c, nil
	}
	return io.NopCloser(u), nil
}

// unpack reads what r holds. The result is an io.Closer if there is something to release.
func unpack(packing string, r io.Reader) (io.Reader, error) {
	if packing == "" {
		return r, nil
	}
	u := &unpacker{packing: packing, packed: &counter{r: r}}
	var err error
	if packing == "gzip" {
		u.r, err = gzip.NewReader(u.packed)
	} else {
		var d *zstd.Decoder
		d, err = zstd.NewReader(u.packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err == nil {
			u.r, u.close = d, d.Close
		}
	}
	if err != nil {
		return nil, u.named(err)
	}
	return u, nil
}

// unpacker bounds what comes out by what went in, and says in its errors what is wrong.
type unpacker struct {
	packing string
	packed  *counter
	r       io.Reader
	close   func()
	n       int64 // bytes given
}

func (u *unpacker) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	u.n += int64(n)
	if u.n > freeUnpacked && u.n/maxRatio > u.packed.n {
		return 0, &BrokenError{What: fmt.Sprintf("%d packed bytes unpack to more than %d: no dataset is packed so "+
			"tightly; unpack it yourself if it is one", u.packed.n, u.n)}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, u.named(err)
	}
	return n, err
}

func (u *unpacker) Close() error {
	if u.close != nil {
		u.close()
	}
	return nil
}

// named says what a decoder's error means. An error of the reader below stays as it is.
func (u *unpacker) named(err error) error {
	if u.packed.err != nil && !errors.Is(u.packed.err, io.EOF) {
		return u.packed.err
	}
	what := fmt.Sprintf("the %s data is damaged (%v): fetch it again", u.packing, err)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		what = fmt.Sprintf("the %s data ends too early: the file is cut off; fetch it again", u.packing)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		what = fmt.Sprintf("unpacking it needs a window of more than %d MiB: pack it again without --long",
			maxWindow>>20)
	case u.n > 0 && (errors.Is(err, gzip.ErrHeader) || errors.Is(err, zstd.ErrMagicMismatch)):
		what = fmt.Sprintf("behind the %s data stands something else: fetch it again, or cut it off", u.packing)
	}
	return &BrokenError{What: what}
}

// counter counts what is read.
type counter struct {
	r   io.Reader
	n   int64
	err error // the last one
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n, c.err = c.n+int64(n), err
	return n, err
}
