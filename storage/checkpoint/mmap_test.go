package checkpoint_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

func mapFile(t *testing.T, fd uintptr, size int) []byte {
	t.Helper()
	p, err := unix.Mmap(int(fd), 0, size, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(p) })
	return p
}
