package minio_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"itool/storage"
	"itool/storage/minio"
	"itool/storage/storagetest"
)

const (
	access = "access-key-of-the-test"
	secret = "secret-key-of-the-test"
)

func open(t *testing.T, f *fake, prefix string) *minio.Store {
	t.Helper()
	s, err := minio.Open(t.Context(), minio.Config{
		Endpoint: f.endpoint, Bucket: "bucket", Create: true, Prefix: prefix, AccessKey: access, SecretKey: secret,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	for _, prefix := range []string{"", "team/itool"} {
		t.Run("prefix="+prefix, func(t *testing.T) {
			var f *fake
			start := func(t *testing.T) storage.Store {
				f = startFake(t)
				return open(t, f, prefix)
			}
			damage := func(t *testing.T, s storage.Store, key string) {
				f.damage(t, strings.TrimSuffix("bucket/"+prefix, "/")+"/"+key)
			}
			storagetest.Run(t, start, damage)
			storagetest.RunCheckpoint(t, start, damage)
		})
	}
}

// TestRenew: an object that a PutIfAbsent finds is copied onto itself to count as new. A server may refuse that, and
// the object may be deleted just before it.
func TestRenew(t *testing.T) {
	f := startFake(t)
	s := open(t, f, "")
	again := func() error {
		_, err := s.PutIfAbsent(t.Context(), "k", strings.NewReader("content"), -1)
		return err
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
	f.set(func() { f.refuse = "NotImplemented" })
	if err := again(); !errors.Is(err, storage.ErrExists) {
		t.Errorf("a server that refuses copies: %v, want ErrExists", err)
	}
	f.set(func() { f.refuse, f.copying = "", func() { delete(f.objects, "bucket/k") } })
	if err := again(); err != nil {
		t.Errorf("deleted before the copy: %v, want that it is stored", err)
	}
	if _, err := s.Stat(t.Context(), "k"); err != nil {
		t.Errorf("stored again: %v", err)
	}
}

func TestBusyServer(t *testing.T) {
	f := startFake(t)
	s := open(t, f, "")
	f.set(func() { f.busy = 2 })
	if _, err := s.Put(t.Context(), "k", strings.NewReader("content"), -1); err != nil {
		t.Errorf("put to a server that is busy for two requests: %v", err)
	}
	f.set(func() { f.busy = 1 << 30 })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Stat(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stat of a server that stays busy: %v, want context.DeadlineExceeded", err)
	}
}

func TestForeignObjects(t *testing.T) {
	f := startFake(t)
	s := open(t, f, "")
	f.set(func() {
		f.objects["bucket/no-digest"] = object{size: 1}
		f.objects["bucket/odd name"] = object{size: 1}
	})
	_, _, err := s.Get(t.Context(), "no-digest")
	if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "no digest") {
		t.Errorf("get: %v, want ErrCorrupt and why", err)
	}
	info, err := s.PutIfAbsent(t.Context(), "no-digest", strings.NewReader("y"), 1)
	if !errors.Is(err, storage.ErrExists) {
		t.Errorf("put if absent: %+v, %v, want ErrExists", info, err)
	}
	var keys []string
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	if len(keys) != 1 || keys[0] != "no-digest" {
		t.Errorf("list: %q, want only no-digest", keys)
	}
	f.set(func() { clear(f.objects); clear(f.buckets) })
	if _, err := s.Stat(t.Context(), "k"); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("stat: %v, want ErrNotExist", err)
	}
}

// TestMissingBucket: without Create a mistyped bucket is an error, and is not made.
func TestMissingBucket(t *testing.T) {
	f := startFake(t)
	c := minio.Config{Endpoint: f.endpoint, Bucket: "mistyped", AccessKey: access, SecretKey: secret}
	_, err := minio.Open(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "mistyped") || !strings.Contains(err.Error(), "doctor --create") {
		t.Errorf("got %v, want an error with the bucket and the remedy", err)
	}
	f.set(func() {
		if len(f.buckets) > 0 {
			t.Errorf("buckets were made: %v", f.buckets)
		}
	})
	c.Create = true
	if _, err := minio.Open(t.Context(), c); err != nil {
		t.Error(err)
	}
}

func TestServerUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // now the port refuses connections
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = minio.Open(ctx, minio.Config{
		Endpoint: l.Addr().String(), Bucket: "bucket", AccessKey: access, SecretKey: secret,
	})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) || strings.Contains(err.Error(), secret) {
		t.Errorf("%v, want an error with the endpoint and without the secret", err)
	}
}

func TestConfig(t *testing.T) {
	good := minio.Config{Endpoint: "host:9000", Bucket: "bucket", AccessKey: access, SecretKey: secret}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*minio.Config){
		"endpoint is empty": func(c *minio.Config) { c.Endpoint = "" },
		"has a scheme":      func(c *minio.Config) { c.Endpoint = "https://host" },
		"has a user":        func(c *minio.Config) { c.Endpoint = "me:" + secret + "@host" },
		"bucket is empty":   func(c *minio.Config) { c.Bucket = "" },
		"key is empty":      func(c *minio.Config) { c.SecretKey = "" },
		"prefix: bad key":   func(c *minio.Config) { c.Prefix = "/a" },
		"prefix has 300":    func(c *minio.Config) { c.Prefix = strings.Repeat("nn/", 99) + "nnn" },
	} {
		c := good
		change(&c)
		_, err := minio.Open(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecretsStayHidden(t *testing.T) {
	c := minio.Config{Endpoint: "host:9000", Bucket: "bucket", AccessKey: access, SecretKey: secret}
	s := open(t, startFake(t), "")
	shows := func(text string) bool {
		return strings.Contains(text, secret) || strings.Contains(text, access) ||
			strings.Contains(text, fmt.Sprintf("%x", secret))
	}
	for _, value := range []any{
		c, &c, c.SecretKey, []minio.Secret{c.SecretKey}, map[string]any{"c": c}, s, struct{ S *minio.Store }{s},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if got := fmt.Sprintf(verb, value); shows(got) {
				t.Errorf("%s of %T shows a secret: %s", verb, value, got)
			}
		}
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", value)
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", value)
		if shows(log.String()) {
			t.Errorf("a log of %T shows a secret: %s", value, &log)
		}
	}
	if got, err := json.Marshal(c); err != nil || strings.Contains(string(got), secret) {
		t.Errorf("JSON shows a secret: %s, %v", got, err)
	}
	if got := s.String(); !strings.HasSuffix(got, "/bucket") {
		t.Errorf("String: %s, want it to end with the bucket", got)
	}
}

// TestChangingContent: content that changes between hashing and sending must not be stored
// under the wrong digest.
func TestChangingContent(t *testing.T) {
	s := open(t, startFake(t), "")
	_, err := s.Put(t.Context(), "k", &changingReader{Reader: strings.NewReader("some content")}, -1)
	if err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("%v, want an error that says that the content changed", err)
	}
	if _, err := s.Stat(t.Context(), "k"); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("stat: %v, want ErrNotExist", err)
	}
}

// changingReader gives different bytes each time it is read from the start.
type changingReader struct {
	*strings.Reader
	n byte
}

func (c *changingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	if off == 0 && n > 0 {
		c.n++
		p[0] = c.n
	}
	return n, err
}

// TestSeekableReader: a reader that can seek is sent from its current position.
func TestSeekableReader(t *testing.T) {
	s := open(t, startFake(t), "")
	r := strings.NewReader("head and tail")
	if _, err := r.Seek(5, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "k", r, 8); err != nil {
		t.Fatal(err)
	}
	got, _, err := s.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if p, err := io.ReadAll(got); err != nil || string(p) != "and tail" {
		t.Errorf("%q, %v, want \"and tail\"", p, err)
	}
}
