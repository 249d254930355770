//go:build !linux

package doctor

// memory and diskFree are known on Linux only. Zero means unknown: the lines are left out.
func memory() (free, total uint64)       { return 0, 0 }
func diskFree(dir string) (uint64, bool) { return 0, false }
