package op

import (
	"fmt"

	G "gorgonia.org/gorgonia"
)

// Program runs operations of this package one after the other. Each operation owns its value, so the inputs
// of all operations are known before the first run, and a run allocates nothing. (gorgonia's tape machine
// looks up values and formats log lines, which takes about 500 allocations for each run.)
type Program struct{ steps []step }

type step struct {
	op *node
	in []G.Value
}

// Compile returns the program that computes outputs, which may be gradients. Its order is fixed: the inputs
// of an operation come before it. The inputs of the graph keep the values that they have now; the numbers
// in these values may change between runs.
func Compile(outputs ...*G.Node) (*Program, error) {
	p, placed := &Program{}, map[*G.Node]bool{}
	for _, n := range outputs {
		if err := p.add(n, placed); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// add adds a step for n, after the steps of its inputs, unless it has one already.
func (p *Program) add(n *G.Node, placed map[*G.Node]bool) error {
	if placed[n] {
		return nil
	}
	placed[n] = true
	o := own(n)
	if o == nil {
		if n.Value() == nil {
			return fmt.Errorf("node %v: neither an operation of this package nor an input with a value", n)
		}
		return nil
	}
	s := step{op: o}
	for _, in := range o.from {
		if err := p.add(in, placed); err != nil {
			return err
		}
		s.in = append(s.in, Value(in))
	}
	p.steps = append(p.steps, s)
	return nil
}

// Run computes all steps.
func (p *Program) Run() error {
	for i := range p.steps {
		s := &p.steps[i]
		if err := s.op.run(s.in); err != nil {
			return fmt.Errorf("%s: %w", s.op.name, err)
		}
	}
	return nil
}

// own returns the operation of a node, or nil if it is not of this package.
func own(n *G.Node) *node {
	switch o := n.Op().(type) {
	case *node:
		return o
	case *forward:
		return o.node
	}
	return nil
}

// Value is the value that a node's operation fills, or the value of an input.
func Value(n *G.Node) G.Value {
	if o := own(n); o != nil {
		return o.out
	}
	return n.Value()
}

// Trained pairs trained inputs with their gradients, as solvers want them.
func Trained(params, gradients G.Nodes) []G.ValueGrad {
	all := make([]G.ValueGrad, len(params))
	for i := range params {
		all[i] = trained{Value(params[i]), Value(gradients[i])}
	}
	return all
}

type trained struct{ value, grad G.Value }

func (t trained) Value() G.Value         { return t.value }
func (t trained) Grad() (G.Value, error) { return t.grad, nil }
