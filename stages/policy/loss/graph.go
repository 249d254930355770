package loss

import (
	"fmt"
	"math"

	"itool/stages/policy/op"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Plan says whose tokens the rows of a packed batch are, and what the loss is
// divided by. It is filled before a run of the graph, and read after it.
type Plan struct {
	Side        []int32 // (T): 2·unit for an example or a chosen side, 2·unit + 1 for a rejected side, −1 without loss
	Denominator float64 // tokens (SFT) or pairs of the whole optimiser step, over all its batches

	Units []Unit // of this batch
}

// Unit is an example or a pair of a packed batch.
type Unit struct {
	RefChosen, RefRejected float64 // given, DPO and IPO only

	Pair Pair    // what the run found; an example is the chosen side
	Loss float64 // its loss before the division; an example's is the sum of its tokens
}

// Node is the scalar loss of a batch: Σ over units of loss / denominator. logp (T)
// are the rows' log-probabilities. A unit whose loss is not finite makes the
// batch's loss so, never an error: the trainer finds and names it.
func Node(name string, logp *G.Node, cfg Config, plan *Plan) (*G.Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := logp.Shape()[0]
	grad := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(t))
	l := &node{cfg: cfg, plan: plan, out: G.NewF32(0), grad: grad.Float32s()}
	return op.Apply(op.Fused{
		Name: name, Inputs: G.Nodes{logp}, Out: l.out, Forward: l.forward, Backward: l.backward,
		Grads: []op.Grad{{Input: 0, Value: grad}},
	})
}

type node struct {
	cfg  Config
	plan *Plan
	out  *G.F32
	grad []float32 // (T)
	by   []float64 // (2 · units): d loss / d S of each side
}

func (l *node) forward(in []G.Value) error {
	logp, p := in[0].(*tensor.Dense).Float32s(), l.plan
	if len(p.Side) != len(logp) || !(p.Denominator > 0) {
		return fmt.Errorf("plan: %d rows for %d, denominator %v", len(p.Side), len(logp), p.Denominator)
	}
	if err := p.sum(logp); err != nil {
		return err
	}
	l.by = l.by[:0]
	var total float64
	for i := range p.Units {
		u := &p.Units[i]
		v, err := l.of(u.Pair)
		if err != nil {
			return fmt.Errorf("unit %d: %w", i, err)
		}
		u.Loss = v.Loss
		total += v.Loss
		l.by = append(l.by, v.DChosen, v.DRejected)
	}
	*l.out = G.F32(total / p.Denominator)
	return nil
}

// of is one unit's loss; an example's is −S, so that its tokens weigh the same
// whatever the others' lengths are.
func (l *node) of(p Pair) (Value, error) {
	if l.cfg.Kind != SFT {
		return l.cfg.Of(p)
	}
	if p.NChosen < 1 {
		return Value{}, errEmpty
	}
	return Value{Loss: -p.Chosen, DChosen: -1}, nil
}

// sum adds the log-probabilities of each side.
func (p *Plan) sum(logp []float32) error {
	for i, u := range p.Units {
		p.Units[i].Pair = Pair{RefChosen: u.RefChosen, RefRejected: u.RefRejected}
	}
	for row, side := range p.Side {
		if side < 0 {
			continue
		}
		if int(side) >= 2*len(p.Units) {
			return fmt.Errorf("plan: row %d is of side %d, there are %d units", row, side, len(p.Units))
		}
		u := &p.Units[side/2].Pair
		if side%2 == 0 {
			u.Chosen, u.NChosen = u.Chosen+float64(logp[row]), u.NChosen+1
		} else {
			u.Rejected, u.NRejected = u.Rejected+float64(logp[row]), u.NRejected+1
		}
	}
	return nil
}

// backward: every token of a side gets the derivative by that side's sum.
func (l *node) backward(_ []G.Value, dy G.Value) error {
	scale := float64(*dy.(*G.F32)) / l.plan.Denominator
	for row, side := range l.plan.Side {
		if side < 0 {
			l.grad[row] = 0
		} else {
			l.grad[row] = float32(scale * l.by[side])
		}
	}
	return nil
}

// Finite reports whether a unit's numbers can be trained on.
func (u Unit) Finite() bool { return !math.IsNaN(u.Loss) && !math.IsInf(u.Loss, 0) }
