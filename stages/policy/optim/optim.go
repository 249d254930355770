// Package optim updates weights from their gradients. It has AdamW with clipping by the global norm, as
// a gorgonia Solver, and the schedule of the learning rate: linear warm-up, then cosine decay. It knows
// neither the model nor the loss. (gorgonia's own AdamW never updates, and it clips element by element.)
//
//	s := &optim.AdamW{Device: dev, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 1}
//	s.Rate = optim.Factor(step, total, 0.1) * rate
//	err := s.Step(op.Trained(params, gradients))
package optim

import (
	"errors"
	"fmt"
	"math"

	"itool/stages/policy/kernel"
	"itool/stages/policy/op"

	G "gorgonia.org/gorgonia"
)

// ErrNotFinite says that a gradient holds NaN or an infinity. Step has then changed nothing, except
// that it has cleared the gradients.
var ErrNotFinite = errors.New("gradient is not finite")

// AdamW is Adam with decoupled weight decay, and with clipping by the global norm of the gradient. As
// in the reference implementation, decay applies to matrices only, not to biases and norms.
type AdamW struct {
	Device       kernel.Device
	Rate         float64 // of the next step
	Beta1, Beta2 float64
	Eps          float64
	Decay        float64
	Clip         float64 // largest global norm of the gradient; 0: no limit

	State State
	Norm  float64 // of the last step's gradient, before clipping

	grads []kernel.Floats // of the current step; the slice is reused
}

// State is what a solver remembers between steps. A checkpoint holds it.
type State struct {
	Step int             // steps taken
	M, V []kernel.Floats // first and second moments, in the order of the parameters
}

var _ G.Solver = (*AdamW)(nil)

// Reset sets the step count and the moments to zero, in the same memory.
func (s *AdamW) Reset() {
	s.State.Step = 0
	for i := range s.State.M {
		s.Device.Clear(s.State.M[i])
		s.Device.Clear(s.State.V[i])
	}
}

// Step updates the parameters from their gradients. It then clears the gradients, because operations
// add to them over several runs. Every call must pass the same parameters in the same order.
func (s *AdamW) Step(params []G.ValueGrad) error {
	grads, err := s.gradients(params)
	if err != nil {
		return err
	}
	defer func() {
		for _, g := range grads {
			s.Device.Clear(g)
		}
	}()
	s.Norm = math.Sqrt(s.Device.SumSquares(grads))
	if s.Norm-s.Norm != 0 {
		return fmt.Errorf("norm %v: %w", s.Norm, ErrNotFinite)
	}
	scale := 1.0
	if s.Clip > 0 && s.Norm > s.Clip {
		scale = s.Clip / s.Norm
	}
	s.State.Step++
	t := float64(s.State.Step)
	for i, p := range params {
		w := p.Value()
		a := kernel.AdamW{
			Rate: float32(s.Rate), Beta1: float32(s.Beta1), Beta2: float32(s.Beta2), Eps: float32(s.Eps),
			GradScale: float32(scale), C1: float32(1 - math.Pow(s.Beta1, t)), C2: float32(1 - math.Pow(s.Beta2, t)),
		}
		if w.Shape().Dims() > 1 {
			a.Decay = float32(s.Decay)
		}
		s.Device.AdamW(op.Floats(w), s.State.M[i], s.State.V[i], grads[i], grads[i].Len(), a)
	}
	return nil
}

// gradients collects the gradients' memory. The first call allocates the moments.
func (s *AdamW) gradients(params []G.ValueGrad) ([]kernel.Floats, error) {
	first := s.State.M == nil
	if !first && len(s.State.M) != len(params) {
		return nil, fmt.Errorf("optim: %d parameters, but the state has %d", len(params), len(s.State.M))
	}
	s.grads = s.grads[:0]
	for i, p := range params {
		g, err := p.Grad()
		if err != nil {
			return nil, err
		}
		grad := op.Floats(g)
		s.grads = append(s.grads, grad)
		if first {
			s.State.M = append(s.State.M, s.Device.Floats(grad.Len()))
			s.State.V = append(s.State.V, s.Device.Floats(grad.Len()))
		} else if s.State.M[i].Len() != grad.Len() {
			return nil, fmt.Errorf("optim: parameter %d has %d values, but the state has %d",
				i, grad.Len(), s.State.M[i].Len())
		}
	}
	return s.grads, nil
}

// shortPhase is a number of steps. In a phase with fewer, a warm-up would waste too large a share.
const shortPhase = 20

// Factor is the factor of the learning rate at a step, counted from 0, of a phase with total steps. It
// rises linearly from 0 over the first ⌈total·warmup⌉ steps, and then falls along half a cosine, to 0
// at step total. A phase of fewer than 20 steps has no warm-up. As in the reference implementation, the
// first step of a warm-up has rate 0.
func Factor(step, total int, warmup float64) float64 {
	up := int(math.Ceil(float64(total) * warmup))
	if total < shortPhase {
		up = 0
	}
	if step < up {
		return float64(step) / float64(up)
	}
	progress := float64(step-up) / float64(max(1, total-up))
	return max(0, 0.5*(1+math.Cos(math.Pi*progress)))
}
