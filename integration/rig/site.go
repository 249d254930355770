package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/storage/disk"
)

// Site is a running `itool up`.
type Site struct {
	*courier.Courier // without a store, if up was given another store than the one in Dir
	*Process
	Dir     string
	Address string // of the broker

	args []string // of its process
}

// Up starts `itool up` on a folder and waits until its broker answers.
func Up(t testing.TB, dir string, args ...string) *Site {
	t.Helper()
	args = append([]string{"up", "--dir", dir, "--port", fmt.Sprint(FreePort(t))}, args...)
	s := &Site{Dir: dir, Process: Start(t, filepath.Dir(dir), args...), args: args}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		address, err := os.ReadFile(filepath.Join(dir, "address"))
		if err == nil {
			var b *broker.Broker
			if b, err = broker.Connect(t.Context(), broker.Config{URL: string(address), Name: "test"}); err == nil {
				t.Cleanup(b.Close)
				s.Courier, s.Address = &courier.Courier{Broker: b}, string(address)
				if own := filepath.Join(dir, "store"); exists(own) {
					if s.Store, err = disk.Open(own); err != nil {
						t.Fatal(err)
					}
				}
				return s
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("itool up on %s does not start: %v", dir, err)
		}
	}
}

// Restart kills the process by SIGKILL and starts it again on the same folder and port.
func (s *Site) Restart(t testing.TB) {
	t.Helper()
	s.Process.Kill()
	s.Process = Start(t, filepath.Dir(s.Dir), s.args...)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
