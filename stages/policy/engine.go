package policy

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
)

// enginePolicies is the number of policies that an Engine keeps: this round's and the previous one.
const enginePolicies = 2

// Engine keeps the most recently used policies open, so that a worker loads the weights of each round
// once. Many goroutines may use one.
type Engine struct {
	options Options
	mu      sync.Mutex
	open    []*entry // most recently used first
}

// entry is a policy that was opened, or that a caller is opening now.
type entry struct {
	digest string
	once   sync.Once
	policy *Policy
	err    error
}

// NewEngine returns an engine whose policies share one device.
func NewEngine(opt Options) (*Engine, error) {
	if opt.Device == nil {
		var err error
		if opt.Device, err = cpu.New(cpu.Options{}); err != nil {
			return nil, err
		}
	}
	return &Engine{options: opt}, nil
}

// Open returns the policy with this digest. It reads fsys only if the policy is not open yet. Several
// callers that open the same policy at the same time share one read. After an error the next call reads
// again. A policy that the engine no longer keeps stays usable for its holders.
func (e *Engine) Open(digest string, fsys fs.FS) (*Policy, error) {
	o := e.find(digest)
	o.once.Do(func() {
		o.policy, o.err = Open(fsys, e.options)
		if failure := (*kernel.Failure)(nil); errors.As(o.err, &failure) && e.only(o) {
			o.policy, o.err = Open(fsys, e.options)
		}
	})
	if o.err != nil {
		e.forget(o)
	}
	return o.policy, o.err
}

// Device is what the engine computes with.
func (e *Engine) Device() kernel.Device { return e.options.Device }

// Ask returns the policy with this digest to those who draw answers and score them, and train nothing. kind says
// what computes: "" and "own" are this process, as with Open. Any other kind is one of the servers of Options, and
// the policy then has no weights here: only its tokenizer and chat template are this process's. The error is a
// *ServerError if there is no such server, or if it does not serve this policy.
func (e *Engine) Ask(ctx context.Context, kind, digest string, fsys fs.FS) (*Policy, error) {
	if kind == "" || kind == Own {
		return e.Open(digest, fsys)
	}
	if e.options.Servers == nil {
		return nil, &ServerError{What: "the run asks an engine of kind " + kind + ": start workers with --engine URL"}
	}
	o := e.find(kind + " " + digest)
	o.once.Do(func() { o.policy, o.err = e.serve(ctx, kind, digest, fsys) })
	if o.err != nil {
		e.forget(o)
	}
	return o.policy, o.err
}

// Check opens a policy that has no digest yet. Its error says what is wrong with the policy. The engine does
// not keep the policy.
func (e *Engine) Check(fsys fs.FS) (*Policy, error) { return Open(fsys, e.options) }

// find moves the entry of digest to the front. It adds one if there is none.
func (e *Engine) find(digest string) *entry {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, o := range e.open {
		if o.digest == digest {
			copy(e.open[1:i+1], e.open[:i])
			e.open[0] = o
			return o
		}
	}
	o := &entry{digest: digest}
	e.open = append([]*entry{o}, e.open[:min(len(e.open), enginePolicies-1)]...)
	return o
}

// only forgets all policies but one, whose device has no room beside them, and tells whether there were others.
func (e *Engine) only(o *entry) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	others := len(e.open) > 1
	e.open = []*entry{o}
	return others
}

// forget removes an entry whose policy could not be opened.
func (e *Engine) forget(o *entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.open {
		if e.open[i] == o {
			e.open = append(e.open[:i:i], e.open[i+1:]...)
			return
		}
	}
}
