//go:build !unix

package main

// privateFiles does nothing: this system has no modes of files.
func privateFiles() {}
