package rig

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill cmd when the test process is killed and its
// clean-up never runs.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
