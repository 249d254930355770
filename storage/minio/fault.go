package minio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	mc "github.com/minio/minio-go/v7"

	"itool/storage"
)

const (
	dialTimeout = 5 * time.Second
	stallAfter  = time.Minute // without a byte in either direction
)

// storageError turns the client's errors into the contract's.
func storageError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var response mc.ErrorResponse
	if !errors.As(err, &response) {
		return err
	}
	switch response.Code {
	case "NoSuchKey":
		return storage.ErrNotExist
	case "PreconditionFailed":
		return storage.ErrExists
	case "NoSuchBucket":
		return fmt.Errorf("the bucket is gone: %w", err)
	case "XMinioParentIsObject", "XMinioObjectExistsAsDirectory":
		return fmt.Errorf("%w: one object's key is the beginning of another's", storage.ErrBadKey)
	case "XAmzContentChecksumMismatch", "BadDigest":
		return fmt.Errorf("the content changed while it was sent: %w", err)
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch":
		return fmt.Errorf("the server refuses these keys (%s); check access key, secret key and the policy: %w", response.Code, err)
	}
	return fmt.Errorf("%s: %w", response.Code, err)
}

// transport is the client library's, with a limit on standing still: neither the
// HTTP client nor S3 has one for bodies.
func transport(secure bool) (*http.Transport, error) {
	t, err := mc.DefaultTransport(secure)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return stallConn{c}, nil
	}
	return t, nil
}

// stallConn fails when nothing moves for stallAfter. A write puts off the
// reader's deadline too: it waits for the answer to what is being written.
type stallConn struct{ net.Conn }

func (c stallConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(stallAfter)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c stallConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(stallAfter)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// content is the body of an object on its way in.
type content struct {
	contextReader
	body io.Closer
	key  string
}

func (c *content) Read(p []byte) (int, error) {
	n, err := c.contextReader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("storage/minio: get %s: %w", c.key, storageError(c.ctx, err))
	}
	return n, err
}

func (c *content) Close() error { return c.body.Close() }

// contextReader stops reading when the context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
