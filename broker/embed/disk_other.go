//go:build !darwin && !linux

package embed

// disk is known on Linux and macOS only.
func disk(string) (free, size uint64, ok bool) { return 0, 0, false }
