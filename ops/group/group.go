// Package group starts programs that can be ended with all that they have started: commands are often a shell or npm
// around the one that works.
package group

import "os/exec"

// Own makes a program that is not started yet the head of a process group. Ctrl-C on the terminal does not reach it.
// Where there are no process groups it does nothing.
func Own(cmd *exec.Cmd) { own(cmd) }

// Kill ends a program that was started after Own, and what it has started; where there are no process groups, the
// program alone. An error means that it has ended before.
func Kill(cmd *exec.Cmd) error { return kill(cmd) }
