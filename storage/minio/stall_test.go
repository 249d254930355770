package minio

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestStalledConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := stallConn{near}
		defer c.Close()

		// One byte every 50 seconds is slow but not stalled.
		go func() {
			for range 10 {
				time.Sleep(50 * time.Second) // on synctest's fake clock: no real waiting
				far.Write([]byte{1})
			}
		}()
		for i := range 10 {
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatalf("byte %d: %v", i, err)
			}
		}
		start := time.Now()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v, want a timeout", err)
		}
		if _, err := c.Write(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v, want a timeout", err)
		}
		if took := time.Since(start); took != 2*stallAfter {
			t.Errorf("the two timeouts took %v, want %v", took, 2*stallAfter)
		}
	})
}
