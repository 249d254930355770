//go:build linux || darwin || freebsd || netbsd || openbsd

package tempfile

import (
	"os"
	"syscall"
)

// lockFile takes a lock that the kernel releases when the process ends.
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
