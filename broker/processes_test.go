//go:build linux

package broker_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// processes is a server and its clients, as child processes that a test can kill.
type processes struct {
	t     *testing.T
	port  string
	env   []string
	procs map[string]*exec.Cmd
	kills map[string]int
	next  int
}

func newProcesses(t *testing.T) *processes {
	c := &processes{t: t, port: fmt.Sprint(freePort(t)), procs: map[string]*exec.Cmd{}, kills: map[string]int{}}
	c.env = append(os.Environ(), dirVar+"="+filepath.Join(t.TempDir(), "data"), portVar+"="+c.port)
	t.Cleanup(func() {
		for name := range c.procs {
			c.kill(name)
		}
	})
	return c
}

func (c *processes) spawn(name string) {
	c.t.Helper()
	role, _, _ := strings.Cut(name, "-")
	c.next++
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(c.env, roleVar+"="+role, fmt.Sprintf("%s=%s.%d", nameVar, name, c.next))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it dies with the test
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.procs[name] = cmd
}

func (c *processes) kill(name string) {
	_ = c.procs[name].Process.Kill()
	_ = c.procs[name].Wait()
}

// disturb terminates, freezes or kills one of the processes; the choice is random.
func (c *processes) disturb(name string) {
	switch n := rand.IntN(4); {
	case n == 0 && name != "server":
		c.kills["terminated"]++
		_ = c.procs[name].Process.Signal(syscall.SIGTERM)
		_ = c.procs[name].Wait()
		c.spawn(name)
	case n == 1 && name != "server":
		c.kills["frozen"]++ // long enough to lose the item; then the process continues unaware
		p := c.procs[name].Process
		_ = p.Signal(syscall.SIGSTOP)
		time.AfterFunc(2*killAckWait, func() { _ = p.Signal(syscall.SIGCONT) })
	default:
		c.kills["killed "+strings.TrimRight(name, "-0123456789")]++
		c.kill(name)
		c.spawn(name)
	}
}

// disturbAll disturbs the processes for killDuration, the server less often than the others.
func (c *processes) disturbAll(names []string) {
	for end := time.Now().Add(killDuration); time.Now().Before(end); {
		time.Sleep(time.Duration(50+rand.IntN(200)) * time.Millisecond)
		if rand.IntN(8) == 0 {
			c.disturb("server")
		} else {
			c.disturb(names[rand.IntN(len(names))])
		}
	}
}
