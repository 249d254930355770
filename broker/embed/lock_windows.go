package embed

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile takes the lock or says errLocked; closing the file frees it, and so does
// the end of the process. The locked byte lies behind the number, which stays readable.
func lockFile(f *os.File) error {
	at := windows.Overlapped{Offset: 1 << 20}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}
