//go:build unix

package judge

import (
	"errors"
	"os/exec"
	"syscall"
)

// ownGroup makes the program the head of a group, so that killGroup ends what it starts, too. Ctrl-C on the
// terminal does not reach it: it ends when its input does.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

func isBroken(err error) bool { return errors.Is(err, syscall.EPIPE) }
