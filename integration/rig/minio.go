// Package rig starts the real parts that the tests in integration run against.
package rig

import (
	"bytes"
	"context"
	"crypto/rand"
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
)

// minioModule is a test tool under the AGPL: it is built and run as a program of its own, never
// linked.
const minioModule = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"

// MinIO starts an empty MinIO on the loopback interface and stops it when the
// test ends. Without the server's binary it skips the test and says how to build
// it; with ITOOL_MINIO=build in the environment it builds it, once.
func MinIO(t *testing.T) (endpoint, access, secret string) {
	t.Helper()
	bin := minioBinary(t)
	access, secret = rand.Text(), rand.Text()
	dir := t.TempDir()
	for range 5 { // another process may take the free port first
		endpoint = freeAddress(t)
		log := &syncBuffer{}
		if err := startMinIO(t, bin, dir, endpoint, access, secret, log); err != nil {
			t.Logf("MinIO on %s: %v\n%s", endpoint, err, log)
			continue
		}
		return endpoint, access, secret
	}
	t.Fatal("MinIO does not start: see its output above")
	return
}

// minioBinary finds the server in the user's cache folder, or builds it there.
func minioBinary(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("MinIO: no cache folder for its binary: %v; set HOME", err)
	}
	version := strings.Split(minioModule, "-")[1]
	dir := filepath.Join(cache, "itool-test", "minio-"+version)
	bin := filepath.Join(dir, "minio")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
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

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startMinIO returns when the server is ready to serve.
func startMinIO(t *testing.T, bin, dir, endpoint, access, secret string, log *syncBuffer) error {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background()) // kills the process
	cmd := exec.CommandContext(ctx, bin, "server", "--quiet", "--address", endpoint,
		"--certs-dir", filepath.Join(dir, "certs"), filepath.Join(dir, "data"))
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+access, "MINIO_ROOT_PASSWORD="+secret,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=on")
	cmd.Stdout, cmd.Stderr = log, log
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		stop()
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait(); close(exited) }()
	err := waitReady("http://"+endpoint+"/", exited)
	if err != nil {
		stop()
		<-exited
		return err
	}
	t.Cleanup(func() { stop(); <-exited })
	return nil
}

// waitReady waits until the server refuses an anonymous request with 403. The health page is no
// use: it says "ready" while the server still answers every request with 503.
func waitReady(url string, exited <-chan error) error {
	limit := time.After(time.Minute)
	for tick := time.Tick(20 * time.Millisecond); ; {
		select {
		case err := <-exited:
			return fmt.Errorf("it exited: %w", err)
		case <-limit:
			return fmt.Errorf("not ready after a minute")
		case <-tick:
		}
		if r, err := http.Get(url); err == nil {
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
