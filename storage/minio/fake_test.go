package minio_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is a server with the part of S3 that the store uses, so that the tests need no
// MinIO. The folder integration runs the same suite against a real MinIO.
type fake struct {
	endpoint string
	dir      string

	mu      sync.Mutex
	buckets map[string]bool
	objects map[string]object // "bucket/key"
	busy    int               // how many more requests are answered "503 SlowDown"
	ahead   time.Duration     // of its clock, before that of the tests
	copying func()            // called before a copy, with mu held; may be nil
	refuse  string            // the code with which copies are refused; "": they are not
	logins  map[string]bool   // "access key/region/session token" of the requests
}

// object has its content in a file, because tests in this process measure memory.
type object struct {
	file   string
	size   int64
	sum    string // base64, of the content
	digest string // metadata
	put    time.Time
}

const pageSize = 4 // keys in one answer to a list request

func startFake(t *testing.T) *fake {
	f, stop := newFake(t.TempDir())
	t.Cleanup(stop)
	return f
}

// newFake starts a fake that keeps the content of its objects in dir.
func newFake(dir string) (f *fake, stop func()) {
	f = &fake{dir: dir, buckets: map[string]bool{}, objects: map[string]object{}, logins: map[string]bool{}}
	server := httptest.NewServer(f)
	f.endpoint = strings.TrimPrefix(server.URL, "http://")
	return f, server.Close
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := f.receive(r)
	if err != nil {
		return // the client closed the connection
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.login(r)
	w.Header().Set("Date", time.Now().Add(f.ahead).UTC().Format(http.TimeFormat))
	if f.busy > 0 {
		f.busy--
		fail(w, http.StatusServiceUnavailable, "SlowDown")
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	bucket, key, _ := strings.Cut(path, "/")
	switch {
	case key != "":
		f.object(w, r, path, body)
	case r.Method == http.MethodPut:
		f.buckets[bucket] = true
	case r.URL.Query().Has("location"):
		io.WriteString(w, `<LocationConstraint/>`)
	case r.Method == http.MethodGet:
		f.list(w, bucket, r.URL.Query().Get("prefix"), r.URL.Query().Get("continuation-token"))
	case !f.buckets[bucket]:
		fail(w, http.StatusNotFound, "NoSuchBucket")
	}
}

// login remembers who sent a request. Authorization is
// AWS4-HMAC-SHA256 Credential=<access key>/<date>/<region>/s3/aws4_request, …
func (f *fake) login(r *http.Request) {
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if parts := strings.Split(scope, "/"); len(parts) > 2 {
		f.logins[parts[0]+"/"+parts[2]+"/"+r.Header.Get("X-Amz-Security-Token")] = true
	}
}

func (f *fake) object(w http.ResponseWriter, r *http.Request, path string, body object) {
	o, exists := f.objects[path]
	switch r.Method {
	case http.MethodPut:
		if exists && r.Header.Get("If-None-Match") == "*" {
			fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		}
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			f.renew(w, r, path)
			return
		}
		if r.Header.Get("X-Amz-Checksum-Sha256") != body.sum {
			fail(w, http.StatusBadRequest, "XAmzContentChecksumMismatch")
			return
		}
		f.objects[path] = body
	case http.MethodDelete:
		delete(f.objects, path)
		w.WriteHeader(http.StatusNoContent)
	default:
		if !exists {
			fail(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		if o.digest != "" {
			w.Header().Set("X-Amz-Meta-Itool-Sha256", o.digest)
		}
		w.Header().Set("ETag", `"`+o.sum+`"`)
		w.Header().Set("Last-Modified", o.put.UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Length", strconv.FormatInt(o.size, 10))
		if r.Method == http.MethodGet {
			if in, err := os.Open(o.file); err == nil {
				io.Copy(w, in)
				in.Close()
			}
		}
	}
}

// renew copies an object onto itself, the one copy that the store asks for.
func (f *fake) renew(w http.ResponseWriter, r *http.Request, path string) {
	if f.copying != nil {
		f.copying()
	}
	o, exists := f.objects[path]
	from, err := url.PathUnescape(r.Header.Get("X-Amz-Copy-Source"))
	switch {
	case err != nil || from != path || r.Header.Get("X-Amz-Metadata-Directive") != "REPLACE":
		fail(w, http.StatusBadRequest, "InvalidRequest")
	case f.refuse != "":
		fail(w, http.StatusForbidden, f.refuse)
	case !exists:
		fail(w, http.StatusNotFound, "NoSuchKey")
	case strings.Trim(r.Header.Get("X-Amz-Copy-Source-If-Match"), `"`) != o.sum:
		fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
	default:
		o.digest, o.put = r.Header.Get("X-Amz-Meta-Itool-Sha256"), time.Now()
		f.objects[path] = o
		io.WriteString(w, `<CopyObjectResult/>`)
	}
}

func (f *fake) list(w http.ResponseWriter, bucket, prefix, after string) {
	type content struct {
		Key          string
		Size         int64
		LastModified string
	}
	var out struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string
		Contents              []content
	}
	var keys []string
	for path := range f.objects {
		if key, ok := strings.CutPrefix(path, bucket+"/"); ok && strings.HasPrefix(key, prefix) && key > after {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if len(keys) > pageSize {
		keys = keys[:pageSize]
		out.IsTruncated, out.NextContinuationToken = true, keys[pageSize-1]
	}
	for _, key := range keys {
		o := f.objects[bucket+"/"+key]
		out.Contents = append(out.Contents, content{key, o.size, o.put.UTC().Format(time.RFC3339Nano)})
	}
	xml.NewEncoder(w).Encode(out)
}

// damage flips a bit of a stored object.
func (f *fake) damage(t *testing.T, path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := os.ReadFile(f.objects[path].file)
	if err != nil {
		t.Fatal(err)
	}
	p[len(p)/2] ^= 1
	if err := os.WriteFile(f.objects[path].file, p, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func fail(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>the server says %s</Message></Error>", code, code)
}

// receive stores the body of a request.
func (f *fake) receive(r *http.Request) (object, error) {
	out, err := os.CreateTemp(f.dir, "object-")
	if err != nil {
		return object{}, err
	}
	defer out.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, sum), r.Body)
	checksum := base64.StdEncoding.EncodeToString(sum.Sum(nil))
	return object{out.Name(), n, checksum, r.Header.Get("X-Amz-Meta-Itool-Sha256"), time.Now()}, err
}
