//go:build unix

package main

import "syscall"

// privateFiles lets only their owner read the files that this process makes from now on, also those of
// libraries: the broker's server would let the owner's group read.
func privateFiles() { syscall.Umask(0o077) }
