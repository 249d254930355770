package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"itool/broker"
	"itool/ops/group"
	"itool/ops/scale"
	"itool/stages"
)

// scaling are the flags of `itool work` that keep several workers on this machine, as many as the queue asks
// for. Each worker is a process of its own: the system takes back all its memory, and if it is killed the
// others go on.
type scaling struct {
	Workers string        `placeholder:"0..16" help:"${work_workers}"`
	Quiet   time.Duration `default:"30s" help:"${work_quiet}"`
	Devices []string      `placeholder:"LIST" help:"${work_devices}"`
	Places  int           `default:"1" help:"${work_places}"`

	// OfPool is what the pool gives its workers: they leave when their standard input ends. That happens when
	// the pool lets them go, and also when the pool itself is killed.
	OfPool bool `hidden:""`
}

// limits are those of the pool; cores are shared by the largest number of workers.
func (c *workCmd) limits() (l scale.Limits, coresEach int, err error) {
	l.Min, l.Max, err = scale.ParseRange(c.Workers)
	coresEach = max(1, runtime.GOMAXPROCS(0)/max(1, l.Max))
	l.Slots, l.Quiet = c.Slots, c.Quiet
	if l.Slots == 0 {
		l.Slots = coresEach
	}
	if err == nil {
		err = l.Validate()
	}
	if err != nil {
		return l, 0, coded(exitUsage, "--workers: %w", err)
	}
	return l, coresEach, nil
}

// places are the devices, each as often as workers share it.
func (c *scaling) places() (all []string, err error) {
	if c.Places < 1 {
		return nil, coded(exitUsage, "--places %d is below 1", c.Places)
	}
	for range c.Places { // first one worker on each
		all = append(all, c.Devices...)
	}
	return all, nil
}

// scale runs workers of the stages as processes.
func (c *workCmd) scale(ctx context.Context, a *app, chosen []stages.Stage, keep bool) error {
	if keep {
		return coded(exitUsage, "--workers is for stages: name them, and run the keeper by itself: `itool work keeper`")
	}
	limits, cores, err := c.limits()
	if err != nil {
		return err
	}
	devices, err := c.places()
	if err != nil {
		return err
	}
	s, err := c.openWithin(ctx, a, "", 0)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.Dir != "" { // the workers could not reach it
		return fmt.Errorf("no process serves the broker in %s: start `itool up --dir %[1]s` first", s.Dir)
	}
	wake, err := hints(ctx, s.Broker)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.errs, "itool: %s workers of %s, %d items each, by the depth of the queue\n",
		c.Workers, strings.Join(c.Stages, ", "), limits.Slots)
	backlog := scale.Backlog{Courier: s.Courier, Stages: stageNames(chosen)}
	p := scale.Pool{
		Limits: limits, Devices: devices, Backlog: backlog.Count, Wake: wake, IdleUntil: c.UntilIdle, Log: a.log,
		Start: func(device string) (scale.Worker, error) { return startWorker(a.errs, device, cores) },
	}
	return p.Run(ctx)
}

// hintPause is the shortest time between two looks at the backlog because of hints: each result sends one.
const hintPause = 250 * time.Millisecond

// hints wakes the pool when something has changed in a run.
func hints(ctx context.Context, b *broker.Broker) (<-chan struct{}, error) {
	heard, err := b.Listen(ctx, broker.Hint, "*")
	if err != nil {
		return nil, err
	}
	wake := make(chan struct{}, 1)
	go func() {
		for range heard {
			select {
			case wake <- struct{}{}:
			default:
			}
			select {
			case <-ctx.Done():
			case <-time.After(hintPause):
			}
		}
	}()
	return wake, nil
}

// process is a worker that a pool has started.
type process struct {
	*exec.Cmd
	stdin io.Closer
}

func (p *process) Drain() { _ = p.stdin.Close() }

// Stop makes the worker hand its items back.
func (p *process) Stop() {
	if p.Process.Signal(syscall.SIGTERM) != nil {
		_ = p.Process.Kill() // a system without that signal: the items come back after the ack wait
	}
}

// startWorker starts this same command once more, as a worker of the pool.
func startWorker(out io.Writer, device string, cores int) (scale.Worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, append(os.Args[1:len(os.Args):len(os.Args)], "--of-pool")...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = os.Environ()
	if os.Getenv("GOMAXPROCS") == "" {
		cmd.Env = append(cmd.Env, fmt.Sprintf("GOMAXPROCS=%d", cores))
	}
	if device != "" {
		cmd.Env = append(cmd.Env, "CUDA_VISIBLE_DEVICES="+device)
	}
	group.Own(cmd) // Ctrl-C does not reach the workers: the pool tells them to stop, once
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd, stdin}, nil
}

func (p *process) Wait() error {
	err := p.Cmd.Wait()
	if errors.As(err, new(*exec.ExitError)) {
		return fmt.Errorf("worker %d: %w", p.Process.Pid, err)
	}
	return err
}

// untilEOF is closed when r ends.
func untilEOF(r io.Reader) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, r)
		close(ended)
	}()
	return ended
}
