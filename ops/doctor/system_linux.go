package doctor

import (
	"bufio"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// memory is the memory that the kernel calls available, and the total, in bytes.
func memory() (free, total uint64) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kib uint64
		if n, _ := fmt.Sscanf(s.Text(), "MemTotal: %d kB", &kib); n == 1 {
			total = kib << 10
		}
		if n, _ := fmt.Sscanf(s.Text(), "MemAvailable: %d kB", &kib); n == 1 {
			free = kib << 10
		}
	}
	return free, total
}

// diskFree is how much an ordinary user can still write to the disk of dir, in bytes.
func diskFree(dir string) (uint64, bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return st.Bavail * uint64(st.Bsize), true
}
