package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// peer is a process of bench.py that has prepared a job.
type peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner

	ready answer // the answer to the job's preparation
}

// limit is the longest time of one turn, or of preparing a job. Compiled variants do their first
// turn while they prepare.
const limit = 4 * time.Minute

type answer struct {
	Ready    bool      `json:"ready"`
	LogProbs []float64 `json:"logprobs"` // by call, if the job repeats a search
	Seconds  float64   `json:"seconds"`
	Error    string    `json:"error"`
}

// start starts bench.py, in the root of the repository, and lets it prepare a job. close ends it.
func start(python string, job any) (*peer, error) {
	cmd := exec.Command(python, "integration/peers/bench.py")
	cmd.Stderr = io.Discard
	if os.Getenv("ITOOL_BENCH_STDERR") != "" {
		cmd.Stderr = os.Stderr
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peer{cmd: cmd, in: in, out: bufio.NewScanner(out)}
	p.out.Buffer(nil, 1<<20)
	if p.ready, err = p.ask(job); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// ask sends one line of JSON and waits for the answer. A process that takes longer than limit is killed.
func (p *peer) ask(v any) (answer, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return answer{}, err
	}
	if _, err := p.in.Write(append(text, '\n')); err != nil {
		return answer{}, err
	}
	watch := time.AfterFunc(limit, func() { _ = p.cmd.Process.Kill() })
	ok := p.out.Scan()
	if !watch.Stop() {
		return answer{}, fmt.Errorf("took longer than %v", limit)
	}
	if !ok {
		err := errors.New("bench.py ended (ITOOL_BENCH_STDERR=1 shows its messages)")
		return answer{}, errors.Join(err, p.out.Err())
	}
	var a answer
	if err := json.Unmarshal(p.out.Bytes(), &a); err != nil {
		return answer{}, fmt.Errorf("bench.py says %q: %w", p.out.Bytes(), err)
	}
	if a.Error != "" {
		return answer{}, errors.New(a.Error)
	}
	return a, nil
}

// turn does the job once and returns the seconds that it took.
func (p *peer) turn() (float64, error) {
	a, err := p.ask(map[string]bool{"go": true})
	return a.Seconds, err
}

func (p *peer) close() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
