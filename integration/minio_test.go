package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"itool/integration/rig"
	"itool/storage"
	"itool/storage/minio"
	"itool/storage/storagetest"
)

func TestMinIO(t *testing.T) {
	endpoint, access, secret := rig.MinIO(t)
	wire := startWire(t, endpoint)
	var n int
	open := func(t *testing.T) storage.Store {
		n++ // a bucket for each test; every second one also tests prefixes
		c := minio.Config{
			Endpoint: wire.endpoint, Bucket: fmt.Sprintf("test-%d", n), Create: true,
			AccessKey: minio.Secret(access), SecretKey: minio.Secret(secret),
		}
		if n%2 == 0 {
			c.Prefix = "some/prefix"
		}
		s, err := minio.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	damage := func(t *testing.T, s storage.Store, key string) { wire.damage(key) }

	t.Run("Store", func(t *testing.T) { storagetest.Run(t, open, damage) })
	t.Run("Checkpoint", func(t *testing.T) { storagetest.RunCheckpoint(t, open, damage) })
	t.Run("LostAnswer", func(t *testing.T) { testLostAnswer(t, open(t), wire) })
	t.Run("ChangingContent", func(t *testing.T) {
		s := open(t)
		_, err := s.Put(t.Context(), "changing", &changing{Reader: strings.NewReader(strings.Repeat("x", 100_000))}, -1)
		if err == nil {
			t.Error("content that changed after it was hashed was stored")
		}
		if _, err := s.Stat(t.Context(), "changing"); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("stat: %v, want ErrNotExist", err)
		}
	})
	t.Run("MissingBucket", func(t *testing.T) {
		c := minio.Config{
			Endpoint: endpoint, Bucket: "mistyped", AccessKey: minio.Secret(access), SecretKey: minio.Secret(secret),
		}
		for range 2 { // the first call must not make it
			if _, err := minio.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no such bucket") {
				t.Errorf("got %v, want an error about the bucket", err)
			}
		}
	})
	t.Run("Identity", func(t *testing.T) {
		s := open(t)
		for _, id := range []string{"identity1", "identity2"} {
			if got, err := storage.Identify(t.Context(), s, id); err != nil || got != "identity1" {
				t.Errorf("got %q, %v, want the first identity", got, err)
			}
		}
	})
	t.Run("ManyOpenOneBucket", func(t *testing.T) { testManyOpen(t, endpoint, access, secret) })
	t.Run("WrongKeys", func(t *testing.T) {
		const wrong = "not-the-secret"
		_, err := minio.Open(t.Context(), minio.Config{
			Endpoint: endpoint, Bucket: "b-1", AccessKey: minio.Secret(access), SecretKey: wrong,
		})
		if err == nil || !strings.Contains(err.Error(), "check access key") {
			t.Errorf("%v, want an error that says to check the keys", err)
		} else if strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), access) {
			t.Error("the error shows a key")
		}
	})
}

// testLostAnswer: a PUT is done, but its answer does not arrive. The client tries again, and must
// see by the digest that its first PUT succeeded.
func testLostAnswer(t *testing.T, s storage.Store, wire *wire) {
	const content = "written once"
	want, err := s.Put(t.Context(), "elsewhere", strings.NewReader(content), -1)
	if err != nil {
		t.Fatal(err)
	}
	wire.loseAnswer("lost/key")
	info, err := s.PutIfAbsent(t.Context(), "lost/key", strings.NewReader(content), -1)
	if err != nil && !errors.Is(err, storage.ErrExists) || info.SHA256 != want.SHA256 {
		t.Errorf("%+v, %v, want no error or ErrExists, with the digest %s", info, err, want.SHA256)
	}
	if n := wire.lost(); n != 1 {
		t.Errorf("%d answers were lost, want 1", n)
	}
}

func testManyOpen(t *testing.T, endpoint, access, secret string) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := minio.Open(t.Context(), minio.Config{
				Endpoint: endpoint, Bucket: "many", Create: true,
				AccessKey: minio.Secret(access), SecretKey: minio.Secret(secret),
			})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.Put(t.Context(), "k", strings.NewReader("x"), 1); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// changing gives other bytes at every reading.
type changing struct {
	*strings.Reader
	n int
}

func (c *changing) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	if off == 0 && n > 0 {
		c.n++
		p[0] = byte(c.n)
	}
	return n, err
}

// wire is a proxy in front of the server that damages content and loses answers.
type wire struct {
	endpoint string

	mu      sync.Mutex
	damaged map[string]bool // by the end of the URL's path
	losing  string          // end of the URL's path; the next answer to it is lost
	nLost   int
}

func startWire(t *testing.T, endpoint string) *wire {
	w := &wire{damaged: map[string]bool{}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: endpoint})
			r.Out.Host = r.In.Host // the signature includes it
		},
		ModifyResponse: w.modify,
		// An aborted handler closes the connection without an answer.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	w.endpoint = strings.TrimPrefix(server.URL, "http://")
	return w
}

// damage flips one bit of the object at every reading, until it is put again.
func (w *wire) damage(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.damaged[key] = true
}

func (w *wire) loseAnswer(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.losing = key
}

func (w *wire) lost() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nLost
}

func (w *wire) modify(r *http.Response) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	path := r.Request.URL.Path
	put := r.Request.Method == http.MethodPut && r.StatusCode == http.StatusOK
	if put && w.losing != "" && strings.HasSuffix(path, "/"+w.losing) {
		w.losing = ""
		w.nLost++
		return errors.New("lost")
	}
	for key := range w.damaged {
		if !strings.HasSuffix(path, "/"+key) {
			continue
		}
		switch r.Request.Method {
		case http.MethodPut:
			delete(w.damaged, key)
		case http.MethodGet:
			body, err := io.ReadAll(r.Body)
			if err != nil || len(body) == 0 {
				return err
			}
			body[len(body)/2] ^= 1
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
	}
	return nil
}
