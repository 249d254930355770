package conform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/group"
	"itool/schemas"
	"itool/storage/checkpoint"
)

// trial is one check: a run of its own, the program, and what was seen of it.
type trial struct {
	w      *world
	name   string // of the run
	what   string // of the check
	report *Report
	items  []broker.Message // that were published, in this order

	mu      sync.Mutex
	traffic []broker.Traffic
	program *program
}

// during makes the run, watches it, and ends the program after the check.
func (t *trial) during(ctx context.Context, check func(context.Context, *trial) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := t.w.newRun(ctx, t.name); err != nil {
		return err
	}
	seen, err := t.w.site.Broker.Traffic(ctx, t.name)
	if err != nil {
		return err
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for x := range seen {
			t.mu.Lock()
			t.traffic = append(t.traffic, x)
			t.mu.Unlock()
		}
	}()
	before := t.report.count(Fail)
	err = check(ctx, t)
	if t.program != nil {
		t.program.kill()
		if t.report.Said == "" && t.report.count(Fail) > before {
			t.report.Said = t.program.tail()
		}
	}
	cancel()
	<-watched
	// The run must not be found by the programs of the next checks.
	return errors.Join(err, t.w.site.Broker.DeleteRun(context.WithoutCancel(ctx), t.name))
}

func (t *trial) found(l Level, format string, args ...any) {
	f := Finding{t.what, l, fmt.Sprintf(format, args...)}
	t.report.Findings = append(t.report.Findings, f)
	if t.w.Say != nil {
		t.w.Say(f)
	}
}

// put publishes items of the stage, each changed by edit. edit may be nil.
func (t *trial) put(ctx context.Context, edit func(m *broker.Message), items ...broker.Message) error {
	for _, m := range items {
		m = renamed(m, t.name)
		if edit != nil {
			edit(&m)
		}
		if err := t.w.publish(ctx, m); err != nil {
			return err
		}
		stored, err := t.w.site.Broker.Get(ctx, m.Address)
		if err != nil {
			return err
		}
		t.items = append(t.items, stored)
	}
	return nil
}

// start starts the program.
func (t *trial) start(ctx context.Context) error {
	address, err := os.ReadFile(filepath.Join(t.w.site.Dir, "address"))
	if err != nil {
		return err
	}
	t.program, err = run(ctx, t.w.Command, map[string]string{
		"broker": string(address), "store": "disk:" + filepath.Join(t.w.site.Dir, "store"), "run": t.name,
	})
	return err
}

// until waits until done, for patience at most, and reports whether it came true. An error of the context
// ends it, too.
func (t *trial) until(ctx context.Context, patience time.Duration, done func() bool) bool {
	deadline := time.Now().Add(patience)
	for !done() {
		if ctx.Err() != nil || time.Now().After(deadline) {
			return false
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return true
}

// has reports whether a record is there.
func (t *trial) has(ctx context.Context, at broker.Address) bool {
	found, err := t.w.site.Broker.Has(ctx, at)
	return err == nil && found
}

func (t *trial) answered(ctx context.Context, item broker.Message) bool {
	return t.has(ctx, t.w.answer(item.Address))
}

// failed is the address of an item's failure record.
func failed(item broker.Message) broker.Address {
	return broker.Address{Run: item.Run, Record: schemas.RecordFailed, Round: item.Round, Key: item.Key}
}

// signals are those that were seen about an item: all, or only some kinds.
func (t *trial) signals(item broker.Message, kinds ...string) (out []broker.Traffic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range t.traffic {
		if x.Signal == "publish" || x.Stage != t.w.Stage || x.Sequence != item.Sequence {
			continue
		}
		for _, k := range kinds {
			if k == x.Signal {
				out = append(out, x)
			}
		}
	}
	return out
}

// published are the publishes to an address that were seen, also those that the server refused.
func (t *trial) published(at broker.Address) (out []broker.Traffic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range t.traffic {
		if x.Signal == "publish" && x.Address == at {
			out = append(out, x)
		}
	}
	return out
}

// digest is that of an item's result; "": there is none.
func (t *trial) digest(ctx context.Context, item broker.Message) string {
	m, err := t.w.site.Broker.Get(ctx, t.w.answer(item.Address))
	if err != nil {
		return ""
	}
	return m.Header["itool-sha256"]
}

// opens opens a policy's checkpoint with our engine.
func (w *world) opens(ctx context.Context, digest string) error {
	fsys, _, err := checkpoint.Open(ctx, w.site.Store, courier.Checkpoints, digest)
	if err == nil {
		_, err = w.Engine.Check(fsys)
	}
	if err != nil {
		return fmt.Errorf("checkpoint %.12s: %w", digest, err)
	}
	return nil
}

// program is the process under test.
type program struct {
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	said bytes.Buffer
}

// maxSaid is how much of the program's output is kept.
const maxSaid = 1 << 16

func run(ctx context.Context, command []string, names map[string]string) (*program, error) {
	args := make([]string, len(command))
	for i, a := range command {
		for name, value := range names {
			a = strings.ReplaceAll(a, "{"+name+"}", value)
		}
		args[i] = a
	}
	p := &program{cmd: exec.CommandContext(ctx, args[0], args[1:]...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	group.Own(p.cmd)
	p.cmd.Cancel = func() error { return group.Kill(p.cmd) }
	p.cmd.WaitDelay = 5 * time.Second // a child of its own may hold its output open
	p.cmd.Env = os.Environ()
	for name, value := range names {
		p.cmd.Env = append(p.cmd.Env, "ITOOL_"+strings.ToUpper(name)+"="+value)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the program: %w", err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Write keeps the end of the output.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said.Write(b)
	if over := p.said.Len() - maxSaid; over > 0 {
		p.said.Next(over)
	}
	return len(b), nil
}

// tail is the end of the output.
func (p *program) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := strings.Split(strings.ToValidUTF8(p.said.String(), "?"), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}

func (p *program) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *program) kill() {
	_ = group.Kill(p.cmd) // it may have ended
	<-p.done
}

// stop asks the program to end, and says how long that took; ok is false if it did not end in time.
func (p *program) stop(patience time.Duration) (took time.Duration, ok bool) {
	start := time.Now()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return time.Since(start), true
	case <-time.After(patience):
		return patience, false
	}
}
