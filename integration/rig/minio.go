// Package rig starts the real parts that the tests in integration run against.
package rig

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"itool/storage/minio"
)

// minioModule is a test tool under the AGPL: it is built and run as a program of its own, never
// linked.
const minioModule = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"

// MinIO starts an empty MinIO on the loopback interface and stops it when the
// test ends. Without the server's binary it skips the test and says how to build
// it; with ITOOL_MINIO=build in the environment it builds it, once.
func MinIO(t *testing.T) (endpoint, access, secret string) {
	t.Helper()
	s := &Store{Access: rand.Text(), Secret: rand.Text()}
	s.start(t)
	return s.Endpoint, s.Access, s.Secret
}

// Store is a running MinIO.
type Store struct {
	Endpoint       string // host:port
	Access, Secret string
	Certs          Certs // zero without TLS

	bin, dir string
	log      *syncBuffer
	stop     func() // kills the process and waits for its end
}

// HasMinIO tells whether MinIO is built, or is to be built now.
func HasMinIO() bool {
	bin, err := minioPath()
	if err == nil {
		_, err = os.Stat(bin)
	}
	return err == nil || os.Getenv("ITOOL_MINIO") == "build"
}

// StartMinIO is MinIO as a Store, which can be killed.
func StartMinIO(t *testing.T) *Store {
	t.Helper()
	s := &Store{Access: rand.Text(), Secret: rand.Text()}
	s.start(t)
	return s
}

// Kill ends MinIO by SIGKILL.
func (s *Store) Kill() { s.stop() }

// Restart starts MinIO again on the same address and folder.
func (s *Store) Restart(t *testing.T) {
	t.Helper()
	if err := s.startOn(t); err != nil {
		t.Fatalf("MinIO on %s does not start again: %v\n%s", s.Endpoint, err, s.log)
	}
}

// MinIOWithTLS is MinIO with a certificate of an authority of the test's own.
func MinIOWithTLS(t *testing.T) *Store {
	t.Helper()
	s := &Store{Access: rand.Text(), Secret: rand.Text(), Certs: NewCerts(t)}
	s.start(t)
	return s
}

// Open opens a bucket of the store, which exists.
func (s *Store) Open(t *testing.T, bucket, prefix string) *minio.Store {
	t.Helper()
	opened, err := minio.Open(t.Context(), minio.Config{
		Endpoint: s.Endpoint, Bucket: bucket, Prefix: prefix, Secure: s.Certs.CA != "", CA: s.Certs.CA,
		AccessKey: minio.Secret(s.Access), SecretKey: minio.Secret(s.Secret),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	return opened
}

func (s *Store) start(t *testing.T) {
	t.Helper()
	s.bin, s.dir = minioBinary(t), t.TempDir()
	dir := s.dir
	if s.Certs.CA != "" { // where MinIO looks for them
		certs := os.DirFS(filepath.Dir(s.Certs.CA))
		if err := os.CopyFS(filepath.Join(dir, "certs"), certs); err != nil {
			t.Fatal(err)
		}
		for from, to := range map[string]string{s.Certs.Cert: "public.crt", s.Certs.Key: "private.key"} {
			from = filepath.Join(dir, "certs", filepath.Base(from))
			if err := os.Rename(from, filepath.Join(dir, "certs", to)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 5 { // another process may take the free port first
		s.Endpoint = freeAddress(t)
		s.log = &syncBuffer{}
		if err := s.startOn(t); err != nil {
			t.Logf("MinIO on %s: %v\n%s", s.Endpoint, err, s.log)
			continue
		}
		t.Cleanup(func() { s.stop() })
		return
	}
	t.Fatal("MinIO does not start: see its output above")
}

// minioBinary finds the server in the user's cache folder, or builds it there.
func minioBinary(t *testing.T) string {
	t.Helper()
	bin, err := minioPath()
	if err != nil {
		t.Skipf("MinIO: no cache folder for its binary: %v; set HOME", err)
	}
	dir := filepath.Dir(bin)
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	if os.Getenv("ITOOL_MINIO") != "build" {
		t.Skipf("MinIO is not built (no %s): build it once, in 2 to 5 minutes, with: "+
			"ITOOL_MINIO=build go test -run MinIO ./integration", bin)
	}
	build := exec.Command("go", "install", minioModule)
	build.Dir = t.TempDir() // outside any module
	build.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go install %s: %v\n%s", minioModule, err, out)
	}
	return bin
}

func minioPath() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(cache, "itool-test", "minio-"+strings.Split(minioModule, "-")[1], "minio")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	return bin, nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startOn returns when the server is ready to serve.
func (s *Store) startOn(t *testing.T) error {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background()) // kills the process
	cmd := exec.CommandContext(ctx, s.bin, "server", "--quiet", "--address", s.Endpoint,
		"--certs-dir", filepath.Join(s.dir, "certs"), filepath.Join(s.dir, "data"))
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+s.Access, "MINIO_ROOT_PASSWORD="+s.Secret,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=on")
	cmd.Stdout, cmd.Stderr = s.log, s.log
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		stop()
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait(); close(exited) }()
	scheme := "http"
	if s.Certs.CA != "" {
		scheme = "https"
	}
	err := waitReady(scheme+"://"+s.Endpoint+"/", exited)
	if err != nil {
		stop()
		<-exited
		return err
	}
	s.stop = func() { stop(); <-exited }
	return nil
}

// waitReady waits until the server refuses an anonymous request with 403. The health page is no
// use: it says "ready" while the server still answers every request with 503.
func waitReady(url string, exited <-chan error) error {
	// Its certificate is not checked here: the tests do that.
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	limit := time.After(time.Minute)
	for tick := time.Tick(20 * time.Millisecond); ; {
		select {
		case err := <-exited:
			return fmt.Errorf("it exited: %w", err)
		case <-limit:
			return fmt.Errorf("not ready after a minute")
		case <-tick:
		}
		if r, err := client.Get(url); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusForbidden {
				return nil
			}
		}
	}
}

// syncBuffer collects the output of a process; several goroutines may use it at once.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
