//go:build linux || darwin || freebsd || netbsd || openbsd

package tempfile

import (
	"os"
	"syscall"
)

// hold takes the lock that the kernel gives back when the process dies.
func hold(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			return err
		}
	}
}

func orphaned(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
