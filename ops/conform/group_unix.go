//go:build unix

package conform

import (
	"os/exec"
	"syscall"
)

// ownGroup starts a program in a process group of its own, so that killGroup reaches what it has started, too:
// commands are often a shell or npm around the worker.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd) }
}

func killGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
