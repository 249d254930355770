//go:build darwin || linux

package embed

import "golang.org/x/sys/unix"

// disk says how much an ordinary user can still write to the disk of dir, and how large it is, in bytes.
func disk(dir string) (free, size uint64, ok bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, false
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), true
}
