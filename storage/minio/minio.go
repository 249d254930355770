// Package minio is the Store in a bucket of MinIO or of another S3 server. It is the only
// package that knows S3.
//
//	s, err := minio.Open(ctx, minio.Config{Endpoint: "localhost:9000", Bucket: "itool", AccessKey: a, SecretKey: k})
//	info, err := s.Put(ctx, "runs/r1/report.html", r, -1)
//
// Every object is one PUT and never a multipart upload: that makes PutIfAbsent
// (If-None-Match: *) atomic on every server. The SHA-256 must be known before the content
// is sent. A reader that can seek is read twice; any other reader is buffered in memory or
// in a temporary file (TMPDIR). The SHA-256 is sent twice: as a checksum that the server
// compares with the received bytes, and as metadata that Get compares with the bytes that
// it reads. Servers other than MinIO may refuse objects above 5 GiB.
//
// A failed request is repeated up to ten times within some seconds. It fails if the
// connection is stalled for a minute.
package minio

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"path"
	"strings"
	"time"

	mc "github.com/minio/minio-go/v7"

	"itool/storage"
	"itool/storage/internal/spool"
)

// Store keeps objects in one bucket, under one prefix.
type Store struct {
	core      mc.Core
	transport *http.Transport
	bucket    string
	prefix    string // "" or ending in "/"
	name      string
}

var _ storage.Store = (*Store)(nil)

const (
	digestHeader = "Itool-Sha256" // user metadata, sent as X-Amz-Meta-Itool-Sha256
	contentType  = "application/octet-stream"
)

// Open connects to the server. The bucket must exist, unless Create is set.
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("storage/minio: %w", err)
	}
	s := &Store{bucket: c.Bucket, name: "minio:" + c.Endpoint + "/" + c.Bucket}
	if c.Prefix != "" {
		s.prefix = c.Prefix + "/"
		s.name += "/" + c.Prefix
	}
	if err := s.connect(ctx, c); err != nil {
		return nil, fmt.Errorf("storage/minio: open bucket %s at %s: %w", c.Bucket, c.Endpoint, err)
	}
	return s, nil
}

// lookups are the styles of Config.Style.
var lookups = map[string]mc.BucketLookupType{
	"": mc.BucketLookupAuto, "path": mc.BucketLookupPath, "host": mc.BucketLookupDNS,
}

func (s *Store) connect(ctx context.Context, c Config) error {
	var err error
	if s.transport, err = transport(c.Secure); err != nil {
		return err
	}
	if c.CA != "" {
		if err := trust(s.transport, c.CA); err != nil {
			return err
		}
	}
	keys, err := c.keys(ctx)
	if err != nil {
		return err
	}
	client, err := mc.New(c.Endpoint, &mc.Options{
		Creds:        keys,
		Secure:       c.Secure,
		Region:       c.Region,
		Transport:    s.transport,
		BucketLookup: lookups[c.Style],
	})
	if err != nil {
		return err
	}
	s.core = mc.Core{Client: client}
	exists, err := client.BucketExists(ctx, c.Bucket)
	if err == nil && !exists && !c.Create {
		return errNoBucket
	}
	if err == nil && !exists {
		err = client.MakeBucket(ctx, c.Bucket, mc.MakeBucketOptions{Region: c.Region})
		if code := mc.ToErrorResponse(err).Code; code == "BucketAlreadyOwnedByYou" || code == "BucketAlreadyExists" {
			err = nil // another process was faster
		}
	}
	return storageError(ctx, err)
}

var errNoBucket = errors.New("there is no such bucket: check its name; " +
	"`itool up` and `itool doctor --create` create one")

// String names the store in logs.
func (s *Store) String() string { return s.name }

// Format prints String for every verb, so that no verb prints the fields with the secrets.
func (s *Store) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.name) }

// Close closes idle connections. The store can still be used.
func (s *Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// Put stores an object; see storage.Store.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, size int64) (storage.Info, error) {
	info, err := s.put(ctx, key, r, size, false)
	if err != nil {
		return storage.Info{}, fmt.Errorf("storage/minio: put %.600q: %w", key, err)
	}
	return info, nil
}

// PutIfAbsent stores an object unless it exists; see storage.Store.
func (s *Store) PutIfAbsent(ctx context.Context, key string, r io.Reader, size int64) (storage.Info, error) {
	// Asking first saves sending the content of an object that exists. The PUT decides.
	info, err := s.renew(ctx, key)
	if err == nil {
		err = storage.ErrExists
	} else if errors.Is(err, storage.ErrNotExist) || errors.Is(err, storage.ErrCorrupt) {
		info, err = s.put(ctx, key, r, size, true)
		if errors.Is(err, storage.ErrExists) {
			info, _ = s.Stat(ctx, key) // empty if the object is damaged or was deleted just now
		}
	}
	if err != nil {
		return info, fmt.Errorf("storage/minio: put %.600q: %w", key, err)
	}
	return info, nil
}

// renew describes an object that is wanted again and makes it count as put now, so that what removes old waste spares
// it: the server copies it onto itself. That is best effort, as a server may refuse such a copy.
func (s *Store) renew(ctx context.Context, key string) (storage.Info, error) {
	info, etag, err := s.stat(ctx, key)
	if err != nil {
		return storage.Info{}, err
	}
	dst := mc.CopyDestOptions{
		Bucket: s.bucket, Object: s.prefix + key, ReplaceMetadata: true, // without it, S3 refuses a copy onto itself
		ContentType: contentType, UserMetadata: map[string]string{digestHeader: info.SHA256},
	}
	src := mc.CopySrcOptions{Bucket: s.bucket, Object: s.prefix + key, MatchETag: etag}
	_, err = s.core.Client.CopyObject(ctx, dst, src)
	if err = storageError(ctx, err); errors.Is(err, storage.ErrNotExist) { // it was deleted just now
		return storage.Info{}, err
	}
	return info, ctx.Err()
}

func (s *Store) put(ctx context.Context, key string, r io.Reader, size int64, ifAbsent bool) (storage.Info, error) {
	if err := check(ctx, key); err != nil {
		return storage.Info{}, err
	}
	body, sum, done, err := hashBody(ctx, r)
	if err != nil {
		return storage.Info{}, err
	}
	defer func() { _ = done() }() // an error would only leave a temporary file behind
	if size >= 0 && body.Size() != size {
		return storage.Info{}, fmt.Errorf("the reader gave %d bytes, %d were announced", body.Size(), size)
	}
	info := storage.Info{Key: key, Size: body.Size(), SHA256: hex.EncodeToString(sum)}
	opts := mc.PutObjectOptions{
		DisableMultipart: true,
		// No signature per chunk, which costs a second hash on both sides: the checksum
		// below is a signed header and covers the content.
		DisableContentSha256: true,
		ContentType:          contentType,
		UserMetadata: map[string]string{
			digestHeader:            info.SHA256,
			"X-Amz-Checksum-Sha256": base64.StdEncoding.EncodeToString(sum),
		},
	}
	if ifAbsent {
		opts.SetMatchETagExcept("*")
	}
	for attempt := range 10 {
		content := io.NewSectionReader(body, 0, info.Size)
		_, err = s.core.Client.PutObject(ctx, s.bucket, s.prefix+key, content, info.Size, opts)
		if !passes(ctx, err, attempt) {
			break
		}
	}
	if err = storageError(ctx, err); err != nil {
		return storage.Info{}, err
	}
	return info, nil
}

// passes reports answers to a PUT that another attempt may not get. Amazon S3 says
// ConditionalRequestConflict while another conditional PUT of the key is under way. MinIO on one
// drive says AccessDenied while another request removes the empty folder above the object; a real
// denial stays one, so it is asked again a few times only, after a moment.
func passes(ctx context.Context, err error, attempt int) bool {
	switch mc.ToErrorResponse(err).Code {
	case "ConditionalRequestConflict":
		return true
	case "AccessDenied":
		if attempt >= 3 {
			return false
		}
		select {
		case <-time.After(20 * time.Millisecond):
			return true
		case <-ctx.Done():
		}
	}
	return false
}

// hashBody reads r to find its size and digest. body gives the content again, as often as
// needed, until done is called.
func hashBody(ctx context.Context, r io.Reader) (body *io.SectionReader, sum []byte, done func() error, err error) {
	if f, ok := r.(interface {
		io.ReaderAt
		io.Seeker
	}); ok {
		start, startErr := f.Seek(0, io.SeekCurrent)
		end, endErr := f.Seek(0, io.SeekEnd)
		if startErr == nil && endErr == nil && start <= end { // a pipe cannot
			body := io.NewSectionReader(f, start, end-start)
			sum := sha256.New()
			n, err := io.Copy(sum, &contextReader{ctx, body})
			if err == nil && n != body.Size() {
				err = io.ErrUnexpectedEOF
			}
			return body, sum.Sum(nil), func() error { return nil }, err
		}
	}
	sp := spool.New()
	if _, err := io.Copy(sp, &contextReader{ctx, r}); err != nil {
		sp.Close()
		return nil, nil, nil, err
	}
	sum, err = hex.DecodeString(sp.SHA256())
	return sp.Reader(), sum, sp.Close, err
}

// Get opens an object; see storage.Store.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	if err := check(ctx, key); err != nil {
		return nil, storage.Info{}, fmt.Errorf("storage/minio: get %.600q: %w", key, err)
	}
	r, object, _, err := s.core.GetObject(ctx, s.bucket, s.prefix+key, mc.GetObjectOptions{})
	if err = storageError(ctx, err); err != nil {
		return nil, storage.Info{}, fmt.Errorf("storage/minio: get %s: %w", key, err)
	}
	info, err := objectInfo(key, object)
	if err != nil {
		r.Close()
		return nil, storage.Info{}, fmt.Errorf("storage/minio: get %s: %w", key, err)
	}
	return storage.Verify(&content{contextReader{ctx, r}, r, key}, info), info, nil
}

// Stat describes an object; see storage.Store.
func (s *Store) Stat(ctx context.Context, key string) (storage.Info, error) {
	info, _, err := s.stat(ctx, key)
	if err != nil {
		return storage.Info{}, fmt.Errorf("storage/minio: stat %.600q: %w", key, err)
	}
	return info, nil
}

// stat describes an object; etag is the server's name of this content.
func (s *Store) stat(ctx context.Context, key string) (info storage.Info, etag string, err error) {
	if err := check(ctx, key); err != nil {
		return storage.Info{}, "", err
	}
	object, err := s.core.Client.StatObject(ctx, s.bucket, s.prefix+key, mc.StatObjectOptions{})
	if err = storageError(ctx, err); err != nil {
		return storage.Info{}, "", err
	}
	info, err = objectInfo(key, object)
	return info, object.ETag, err
}

func objectInfo(key string, object mc.ObjectInfo) (storage.Info, error) {
	info := storage.Info{Key: key, Size: object.Size, SHA256: object.UserMetadata[digestHeader]}
	if info.SHA256 == "" {
		return info, fmt.Errorf("%w: it has no digest, so another program stored it; store it with this one",
			storage.ErrCorrupt)
	}
	return info, nil
}

// List lists the bucket; see storage.Store. It skips objects whose name is not a valid
// key: another program stored them.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		fail := func(err error) {
			yield(storage.Info{}, fmt.Errorf("storage/minio: list %.600q: %w", prefix, err))
		}
		if err := errors.Join(ctx.Err(), storage.CheckPrefix(prefix)); err != nil {
			fail(err)
			return
		}
		ask := s.prefix + prefix
		if folder, name := path.Split(ask); name == "." || name == ".." {
			ask = folder // MinIO refuses such a prefix, although a name may begin with dots
		}
		options := mc.ListObjectsOptions{Prefix: ask, Recursive: true}
		for object := range s.core.Client.ListObjectsIter(ctx, s.bucket, options) {
			if err := storageError(ctx, object.Err); err != nil {
				fail(err)
				return
			}
			key := strings.TrimPrefix(object.Key, s.prefix)
			if storage.CheckKey(key) != nil || !strings.HasPrefix(key, prefix) {
				continue
			}
			if !yield(storage.Info{Key: key, Size: object.Size, Modified: object.LastModified}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			fail(err)
		}
	}
}

// Delete removes an object; see storage.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	err := check(ctx, key)
	if err == nil {
		err = storageError(ctx, s.core.Client.RemoveObject(ctx, s.bucket, s.prefix+key, mc.RemoveObjectOptions{}))
	}
	if err != nil && !errors.Is(err, storage.ErrNotExist) {
		return fmt.Errorf("storage/minio: delete %.600q: %w", key, err)
	}
	return nil
}

func check(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return storage.CheckKey(key)
}
