//go:build amd64 && !linux && !purego

package cpu

// tilesSupported: only Linux is known to keep tiles apart between threads.
func tilesSupported() bool { return false }

func permitTiles() error { return nil }
