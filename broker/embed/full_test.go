//go:build linux

package embed_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"itool/broker"
	"itool/broker/embed"
)

// smallDisk mounts a file system of so many bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skip("a small file system is needed, and mounting one needs root: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill uses up what is free on a disk, and returns the file that does.
func fill(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 4 << 10, 1} {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
	return name
}

// TestFullDisk: a server whose disk was full says so, and goes on by itself when there is room. Clients stay
// connected, and what was acknowledged is there.
func TestFullDisk(t *testing.T) {
	for name, remote := range map[string]bool{"in process": false, "by address": true} {
		t.Run(name, func(t *testing.T) {
			dir := smallDisk(t, 16<<20)
			s, err := embed.Start(embed.Config{
				Dir: filepath.Join(dir, "broker"), Port: -1, MaxStoreBytes: 1 << 30, Watch: 50 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Shutdown()
			c := broker.Config{InProcess: s, Timeout: time.Second}
			if remote {
				c = broker.Config{URL: s.URL(), Timeout: time.Second}
			}
			b, err := broker.Connect(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := b.CreateRun(t.Context(), "r", 0); err != nil {
				t.Fatal(err)
			}
			published := 0
			publish := func() error {
				at := broker.Address{Run: "r", Record: "pair", Key: fmt.Sprint(published)}
				_, err := b.Publish(t.Context(), at, nil, bytes.Repeat([]byte{'x'}, 100<<10))
				if err == nil {
					published++
				}
				return err
			}
			if err := publish(); err != nil {
				t.Fatal(err)
			}
			filler := fill(t, dir)
			for range 20 {
				if err = publish(); err != nil {
					break
				}
			}
			if !errors.Is(err, broker.ErrUnavailable) {
				t.Fatalf("on a full disk: %v, want %v", err, broker.ErrUnavailable)
			}
			until(t, "the trouble is named", func() bool {
				return strings.HasPrefix(s.Trouble(), "disk: ") && strings.Contains(s.Trouble(), "no space left")
			})
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			until(t, "the server can write again", func() bool { return publish() == nil })
			if s.Trouble() != "" {
				t.Errorf("the trouble is over, but: %s", s.Trouble())
			}
			keys, err := b.Keys(t.Context(), "r", "pair", 0)
			if err != nil || len(keys) != published {
				t.Errorf("%d records, %v; %d were acknowledged", len(keys), err, published)
			}
		})
	}
}

func until(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 20 s it is not so that %s", what)
		}
	}
}
