//go:build amd64 && !purego

package cpu

import (
	"fmt"
	"sync"
	"syscall"
	"unsafe"
)

// Linux saves the 8 KiB of a thread's tiles only for a process that has asked for permission.
const (
	archGetSupported = 0x1021 // ARCH_GET_XCOMP_SUPP, since Linux 5.16
	archRequest      = 0x1023 // ARCH_REQ_XCOMP_PERM
	tileData         = 18     // XFEATURE_XTILEDATA
)

// tilesSupported says whether the system would give permission.
func tilesSupported() bool {
	var features uint64
	_, _, errno := syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, archGetSupported, uintptr(unsafe.Pointer(&features)), 0)
	return errno == 0 && features>>tileData&1 == 1
}

// permitTiles asks once, for all threads. Without it, the first tile ends the process.
var permitTiles = sync.OnceValue(func() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, archRequest, tileData, 0); errno != 0 {
		return fmt.Errorf("the system refuses the tile unit: %w", errno)
	}
	return nil
})
