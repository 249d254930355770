package judge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"itool/ops/group"
)

// command is a judge that is a program: it reads a batch as a line, and writes a line for each. It lives as long
// as the worker; one that dies or takes too long is started again for the next batch.
type command struct {
	name    string // of the program, for errors
	words   []string
	starts  time.Duration // how long its first answer may take
	process *process      // nil: none
}

func newCommand(line string, starts time.Duration) (*command, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil, errors.New("judge: the command is empty")
	}
	return &command{name: words[0], words: words, starts: starts}, nil
}

// ready starts the program, unless it runs, and asks for its name. That may take longer than a batch: it may have
// to load a model.
func (c *command) ready(ctx context.Context) (err error) {
	if c.process != nil {
		return nil
	}
	if c.process, err = startProcess(c.words); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.starts,
		fmt.Errorf("%w: no answer within %v of its start (ten times --judge-timeout)", errLate, c.starts))
	defer cancel()
	request, number := encode(nil)
	answer, err := c.exchange(ctx, request)
	if err == nil {
		_, _, err = decode(answer, number, 0)
	}
	if err != nil {
		c.stop()
	}
	return err
}

func (c *command) exchange(ctx context.Context, request []byte) ([]byte, error) {
	answer, err := c.process.exchange(ctx, request)
	if err != nil {
		c.stop()
	}
	return answer, err
}

func (c *command) stop() {
	if c.process != nil {
		c.process.kill()
		c.process = nil
	}
}

// process is a running program.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errors tail
	killed sync.Once
}

// startProcess starts a program. It gets this process's environment without the variables ITOOL_…: the logins
// of broker and store are not its business.
func startProcess(words []string) (*process, error) {
	p := &process{cmd: exec.Command(words[0], words[1:]...)}
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ITOOL_") })
	p.cmd.Stderr, p.cmd.WaitDelay = &p.errors, time.Second
	group.Own(p.cmd) // it ends when its input does
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, nil
}

// exchange writes a line and reads one. When ctx ends, the program is killed.
func (p *process) exchange(ctx context.Context, request []byte) ([]byte, error) {
	stop := context.AfterFunc(ctx, p.end)
	answer, err := p.lines(request)
	if !stop() && err == nil {
		err = ctx.Err() // it was killed behind its answer
	}
	if err == nil {
		return answer, nil
	}
	p.kill()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) || isBroken(err) {
		err = fmt.Errorf("it ended (%v) before it answered", p.cmd.ProcessState)
	}
	if last := p.errors.text(); last != "" {
		err = fmt.Errorf("%w; its last words: %s", err, last)
	}
	return nil, err
}

func (p *process) lines(request []byte) ([]byte, error) {
	if _, err := p.in.Write(append(request, '\n')); err != nil {
		return nil, err
	}
	var line []byte
	for {
		part, err := p.out.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > mostAnswer:
			return nil, fmt.Errorf("its answer is longer than %d bytes", mostAnswer)
		case err == nil:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// end ends the program and what it has started.
func (p *process) end() { p.killed.Do(func() { _ = group.Kill(p.cmd) }) }

// kill ends the program and waits for it; ProcessState says how it ended. It may be called again.
func (p *process) kill() {
	p.in.Close()
	p.end()
	_ = p.cmd.Wait()
}

// tail is the end of what a program wrote.
type tail struct {
	mu   sync.Mutex
	last []byte
}

// mostTail bounds what errors repeat of a program's last words, in bytes.
const mostTail = 500

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b[max(0, len(b)-mostTail):]...)
	t.last = slices.Clone(t.last[max(0, len(t.last)-mostTail):])
	return len(b), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(t.last), "")), " ")
}
