package policy

import (
	"io/fs"
	"sync"

	"itool/stages/policy/kernel/cpu"
)

// enginePolicies is the number of policies that an Engine keeps: this round's and the previous one.
const enginePolicies = 2

// Engine keeps the policies that were used last open, so that a worker loads the weights of each round
// once. Many goroutines may use one.
type Engine struct {
	options Options
	mu      sync.Mutex
	open    []*opening // most recent first
}

type opening struct {
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
// callers that open the same policy at the same time wait for one reading. After an error the next call
// reads again. A policy that the engine no longer keeps stays usable for those who hold it.
func (e *Engine) Open(digest string, fsys fs.FS) (*Policy, error) {
	o := e.find(digest)
	o.once.Do(func() { o.policy, o.err = Open(fsys, e.options) })
	if o.err != nil {
		e.forget(o)
	}
	return o.policy, o.err
}

// Check opens a policy that has no digest yet and reports what is wrong with it. The engine does not keep
// the policy.
func (e *Engine) Check(fsys fs.FS) (*Policy, error) { return Open(fsys, e.options) }

// find moves the entry of digest to the front. It adds one if there is none.
func (e *Engine) find(digest string) *opening {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, o := range e.open {
		if o.digest == digest {
			copy(e.open[1:i+1], e.open[:i])
			e.open[0] = o
			return o
		}
	}
	o := &opening{digest: digest}
	e.open = append([]*opening{o}, e.open[:min(len(e.open), enginePolicies-1)]...)
	return o
}

func (e *Engine) forget(o *opening) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.open {
		if e.open[i] == o {
			e.open = append(e.open[:i:i], e.open[i+1:]...)
			return
		}
	}
}
