package embed

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile takes the lock, or answers errLocked. The lock ends when the file is closed or
// the process ends. It locks one byte behind the process number, so that other processes
// can still read the number.
func lockFile(f *os.File) error {
	at := windows.Overlapped{Offset: 1 << 20}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}
