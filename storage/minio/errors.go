package minio

import (
	"context"
	"errors"
	"fmt"
	"io"

	mc "github.com/minio/minio-go/v7"

	"itool/storage"
)

// storageError turns an error of the client library into the contract's error, or adds
// what to do.
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
		return fmt.Errorf("the bucket was deleted: %w", err)
	case "XMinioParentIsObject", "XMinioObjectExistsAsDirectory":
		return fmt.Errorf("%w: the key of one object is the beginning of another's", storage.ErrBadKey)
	case "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "QuotaExceeded":
		return fmt.Errorf("%w: %w", storage.ErrFull, err)
	case "XAmzContentChecksumMismatch", "BadDigest":
		return fmt.Errorf("the content changed while it was sent; put it again: %w", err)
	case "RequestTimeTooSkewed":
		return fmt.Errorf("the clocks of this machine and of the server differ by more than 15 minutes;"+
			" set them by NTP: %w", err)
	case "ExpiredToken", "ExpiredTokenException":
		return fmt.Errorf("the session token has expired; get other keys: %w", err)
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch":
		return fmt.Errorf("the server refuses these keys (%s); check access key, secret key and the policy: %w",
			response.Code, err)
	}
	return fmt.Errorf("%s: %w", response.Code, err)
}

// content is the body of an object that is being read.
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
