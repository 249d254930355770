package group_test

import (
	"bufio"
	"os/exec"
	"runtime"
	"testing"

	"itool/ops/group"
)

// TestKill: a program that the killed one has started ends, too. It holds the output open as long as it lives.
func TestKill(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no process groups here")
	}
	cmd := exec.Command("sh", "-c", "sleep 600 & echo started; wait")
	group.Own(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal(lines.Err())
	}
	if err := group.Kill(cmd); err != nil {
		t.Fatal(err)
	}
	if lines.Scan() { // the end: no process holds the output
		t.Errorf("got %q", lines.Text())
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it ended by itself")
	}
}
