package rig

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Server is one nats-server with JetStream as a process, without TLS and without a login.
type Server struct {
	*Process
	URL string
}

// NATSServer starts a server that ends with the test. It flushes its files every two minutes, as nats-server does
// by default; the embedded one does it at every message. settings are further lines of its configuration.
func NATSServer(t testing.TB, settings ...string) *Server {
	t.Helper()
	dir, address := t.TempDir(), lowPort(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("host: %s\nport: %s\njetstream { store_dir: %q, max_file: 20GB }\n%s\n",
		host, port, filepath.Join(dir, "data"), strings.Join(settings, "\n"))
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{StartProgram(t, dir, natsServer(t), "-c", file), "nats://" + address}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("nats-server does not listen at %s: %v", address, err)
		}
	}
}

// MemoryMiB is the memory of a process that lies in RAM, in MiB; 0 where the system does not say.
func (p *Process) MemoryMiB() float64 { return MemoryMiB(p.cmd.Process.Pid) }

// MemoryMiB is the memory of process pid that lies in RAM, in MiB; 0 where the system does not say.
func MemoryMiB(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	var kib float64
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			_, _ = fmt.Sscan(string(rest), &kib) // 0 if it is no number
		}
	}
	return kib / 1024
}
