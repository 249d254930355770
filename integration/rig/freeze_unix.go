//go:build unix

package rig

import (
	"syscall"
	"time"
)

// Freeze stops the process for a time, after which it goes on unaware.
func (p *Process) Freeze(d time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGSTOP) // an error: it has ended
	time.AfterFunc(d, func() { _ = p.cmd.Process.Signal(syscall.SIGCONT) })
}
