package rig

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var built atomic.Bool

// buildDir holds the programs that the tests build.
var buildDir = sync.OnceValues(func() (string, error) {
	built.Store(true)
	return os.MkdirTemp("", "itool-rig-")
})

var (
	build     = sync.OnceValues(func() (string, error) { return buildProgram("itool", "itool/ops/itool") })
	buildNATS = sync.OnceValues(func() (string, error) {
		return buildProgram("nats-server", "github.com/nats-io/nats-server/v2")
	})
)

func buildProgram(name, pkg string) (string, error) {
	dir, err := buildDir()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, name)
	out, err := exec.Command("go", "build", "-o", bin, pkg).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
}

// Main runs a package's tests and removes the programs that they built.
func Main(m *testing.M) int {
	defer func() {
		if !built.Load() {
			return // no test built any
		}
		if dir, err := buildDir(); err == nil {
			os.RemoveAll(dir)
		}
	}()
	return m.Run()
}

// Binary builds itool once and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// Itool runs itool to its end and returns its output and its exit code.
func Itool(t testing.TB, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return ItoolWithin(t, 5*time.Minute, dir, args...)
}

// ItoolWithin is Itool with another limit than five minutes.
func ItoolWithin(
	t testing.TB, limit time.Duration, dir string, args ...string,
) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t), args...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("itool %s does not end:\n%s%s", strings.Join(args, " "), out.String(), errs.String())
	}
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Process is a program that runs until it is stopped.
type Process struct {
	cmd  *exec.Cmd
	log  *syncBuffer
	done chan struct{}
}

// Start runs itool in the background until the test ends. If the test failed, its output is
// logged.
func Start(t testing.TB, dir string, args ...string) *Process {
	t.Helper()
	return StartProgram(t, dir, Binary(t), args...)
}

// StartProgram is Start for another program.
func StartProgram(t testing.TB, dir, program string, args ...string) *Process {
	t.Helper()
	return startProgram(t, dir, nil, program, args...)
}

// startProgram is StartProgram with more in the environment.
func startProgram(t testing.TB, dir string, env []string, program string, args ...string) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(program, args...), log: &syncBuffer{}, done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.log, p.log
	p.cmd.Env = append(os.Environ(), env...)
	dieWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s %s said:\n%s", filepath.Base(program), strings.Join(args, " "), p.log)
		}
	})
	return p
}

// Kill sends SIGKILL and waits until the process has ended.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// Stop sends SIGTERM and waits until the process has ended.
func (p *Process) Stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.done
}

// Running tells whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Said is what the process has printed until now.
func (p *Process) Said() string { return p.log.String() }

// FreePort returns a port that was free a moment ago.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
