//go:build !linux

package main

// memory and diskFree are only known on Linux; the doctor leaves the lines out.
func memory() (free, total uint64)       { return 0, 0 }
func diskFree(dir string) (uint64, bool) { return 0, false }
