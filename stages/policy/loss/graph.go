package loss

import (
	"fmt"
	"math"

	"itool/stages/policy/kernel"
	"itool/stages/policy/op"

	G "gorgonia.org/gorgonia"
)

// Plan tells the loss node which unit each row of a packed batch belongs to, and what the loss is
// divided by. The trainer fills it before a run of the graph and reads Units after it.
type Plan struct {
	// Side (T) is 2·unit for a row of an example or a chosen side, 2·unit + 1 for a row of a rejected
	// side, and −1 for a row without loss.
	Side []int32
	// Denominator is the number of tokens (SFT) or pairs in the whole optimiser step, over all its
	// micro-batches.
	Denominator float64

	Units []Unit // of this batch
}

// Unit is one example or one pair of a packed batch.
type Unit struct {
	RefChosen, RefRejected float64 // input: S of the reference model in nats; DPO and IPO only

	Pair Pair    // output: the sums over the unit's rows; an example counts as a chosen side
	Loss float64 // output: the unit's loss before the division, in nats; of an example, summed over its tokens
}

// Node is the scalar loss of a batch: the sum of its units' losses, divided by the denominator. logp (T)
// holds the log-probability of each row's target. If the loss of a unit is not finite, then neither is
// the batch's. That is not an error here: the trainer looks for the unit and names it.
func Node(name string, logp *G.Node, cfg Config, plan *Plan) (*G.Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	value, ok := op.Value(logp).(*op.Array)
	if !ok {
		return nil, fmt.Errorf("loss: %v has no value on a device", logp)
	}
	t, dev := logp.Shape()[0], value.Device
	l := &node{cfg: cfg, plan: plan, out: G.NewF32(0), dev: dev, logp: make([]float32, t), grad: make([]float32, t)}
	grad := op.NewArray(dev, dev.Floats(t), t)
	l.toward = grad.Floats
	return op.Apply(op.Fused{
		Name: name, Inputs: G.Nodes{logp}, Out: l.out, Forward: l.forward, Backward: l.backward,
		Grads: []op.Grad{{Input: 0, Value: grad}},
	})
}

type node struct {
	cfg  Config
	plan *Plan
	out  *G.F32
	dev  kernel.Device
	logp []float32 // (T), in the memory of the host
	grad []float32 // (T)
	by   []float64 // (2·units): derivative of the loss with respect to S of each side

	toward kernel.Floats // (T) grad on the device
}

func (l *node) forward(in []G.Value) error {
	logp, p := l.logp, l.plan
	l.dev.Read(logp, op.Floats(in[0]))
	if len(p.Side) != len(logp) || !(p.Denominator > 0) {
		return fmt.Errorf("plan: %d rows for a batch of %d, denominator %v", len(p.Side), len(logp), p.Denominator)
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

// of is the loss of one unit. An example's is −S, not −a: every token of a step then has the same
// weight, in short examples and in long ones.
func (l *node) of(p Pair) (Value, error) {
	if l.cfg.Kind != SFT {
		return l.cfg.Of(p)
	}
	if p.NChosen < 1 {
		return Value{}, errEmpty
	}
	return Value{Loss: -p.Chosen, DChosen: -1}, nil
}

// sum adds up the log-probabilities of each side.
func (p *Plan) sum(logp []float32) error {
	for i, u := range p.Units {
		p.Units[i].Pair = Pair{RefChosen: u.RefChosen, RefRejected: u.RefRejected}
	}
	for row, side := range p.Side {
		if side < 0 {
			continue
		}
		if int(side) >= 2*len(p.Units) {
			return fmt.Errorf("plan: row %d belongs to side %d, but the batch has %d units", row, side, len(p.Units))
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

// backward gives every token of a side the derivative with respect to that side's sum.
func (l *node) backward(_ []G.Value, dy G.Value) error {
	scale := float64(*dy.(*G.F32)) / l.plan.Denominator
	for row, side := range l.plan.Side {
		if side < 0 {
			l.grad[row] = 0
		} else {
			l.grad[row] = float32(scale * l.by[side])
		}
	}
	l.dev.Write(l.toward, l.grad)
	return nil
}

// Finite reports whether the loss of a unit is a finite number, so that it can be trained on.
func (u Unit) Finite() bool { return !math.IsNaN(u.Loss) && !math.IsInf(u.Loss, 0) }
