//go:build linux || darwin || freebsd || netbsd || openbsd

package tempfile

import (
	"os"
	"syscall"
)

// lockFile takes the lock that the kernel gives back when the process dies.
func lockFile(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			return err
		}
	}
}

func isOrphan(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
