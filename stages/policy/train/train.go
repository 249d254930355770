// Package train turns examples and preference pairs into new weights: a LoRA adapter on a frozen base, or,
// in full mode, all weights of the model.
//
// One Step is one optimiser step. Its batch is packed into micro-batches without padding (sequence packing,
// pack.go), and their gradients add up in one fixed order (gradient accumulation), so that every token or
// pair has the same weight. The same seed gives the same bytes, also after an interruption and Restore. The
// package knows no text, no stage and no storage. Only one goroutine may use a Trainer at a time.
//
//	t, err := train.New(m, cfg, phases)
//	for {
//		stats, err := t.Step(ctx)
//		if err == io.EOF {
//			break
//		}
//	}
//	adapter := t.Adapter(false)
package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"itool/stages/policy/kernel"
	"itool/stages/policy/loss"
	"itool/stages/policy/model"
	"itool/stages/policy/optim"
)

// Example is a prompt and the answer to learn. Only the answer's tokens have a loss. They are chosen by
// position, not by ID: an end-of-turn token counts like any other.
type Example struct {
	ID             string
	Prompt, Answer []int32
	// Learn says which tokens of Answer have a loss; nil: all. With it one sequence trains all answers of a
	// conversation, each with the turns before it as its context.
	Learn []bool `json:",omitempty"`
}

// Pair is a preference between two answers to one prompt. Both sides go into the same micro-batch and share
// the rows of the prompt.
type Pair struct {
	ID                       string
	Prompt, Chosen, Rejected []int32
	RefChosen, RefRejected   float64 // summed log-probabilities under the reference, in nats; DPO and IPO only
}

// Phase is one part of a training, such as the easy examples of a curriculum. It starts from the weights of
// the phase before, with AdamW's moments at zero and with its own schedule of the learning rate.
type Phase struct {
	Name      string
	Examples  []Example // with the loss "sft", else empty
	Pairs     []Pair    // with the other losses, else empty
	Epochs    int
	Steps     int     `json:",omitempty"` // of the optimiser, however many epochs that takes; 0: Epochs decides
	Rate      float64 // peak learning rate
	BatchSize int     // examples or pairs per optimiser step; the last step of an epoch may have fewer
	Shuffle   bool    // draw a new order for every epoch, from the seed
}

// units is the number of examples or pairs. A unit is one of them.
func (p *Phase) units() int { return len(p.Examples) + len(p.Pairs) }

// steps is the number of optimiser steps in an epoch.
func (p *Phase) steps() int { return (p.units() + p.BatchSize - 1) / p.BatchSize }

// total is the number of optimiser steps of the phase.
func (p *Phase) total() int {
	if p.Steps > 0 && p.units() > 0 {
		return p.Steps
	}
	return p.Epochs * p.steps()
}

// ErrNotFinite says that a loss or a gradient is NaN or infinite. The error that wraps it names the example
// or pair. The weights have not changed.
var ErrNotFinite = errors.New("not finite: lower the rate, or drop the example or pair")

// Trainer holds the state of a training between two calls of Step.
type Trainer struct {
	cfg    Config
	phases []Phase
	w      *weights
	graph  *graph
	solver *optim.AdamW
	best   [][]float32 // the parameters at the last MarkBest; nil before the first

	fingerprint string // of the configuration and the data, see checkpoint.go

	cursor cursor
	order  order
	pack   packer
}

// cursor is where the next step begins.
type cursor struct {
	Phase int // index
	Step  int // steps done in this phase
	Total int // steps done in all phases
}

// New checks the configuration and all examples and pairs, and builds the graph. Its errors name the field,
// example or pair. It continues m.Adapter if the model has one; otherwise it starts with a new adapter (A
// uniform within ±1/√fan_in, B zero). It does not change m.
func New(m *model.Model, cfg Config, phases []Phase) (_ *Trainer, err error) {
	defer kernel.Catch(&err)
	t, err := newTrainer(m, cfg, phases)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return t, nil
}

func newTrainer(m *model.Model, cfg Config, phases []Phase) (*Trainer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	for i := range phases {
		if err := cfg.checkPhase(&phases[i], m.Config); err != nil {
			return nil, fmt.Errorf("phase %q: %w", phases[i].Name, err)
		}
	}
	need, err := Need(m.Config, cfg, len(m.Layers) > 0 && m.Layers[0].Q.Wrapped != nil)
	if err == nil {
		err = need.Fits(m.Device)
	}
	if err != nil {
		return nil, err
	}
	w, err := newWeights(m, cfg)
	if err != nil {
		return nil, err
	}
	t := &Trainer{cfg: cfg, phases: phases, w: w, pack: packer{capacity: cfg.Tokens}}
	if t.graph, err = newGraph(w, cfg); err != nil {
		return nil, err
	}
	t.solver = &optim.AdamW{
		Device: m.Device, Beta1: cfg.Beta1, Beta2: cfg.Beta2, Eps: cfg.Eps, Decay: cfg.Decay, Clip: cfg.Clip,
	}
	for _, p := range w.params {
		t.solver.State.M = append(t.solver.State.M, m.Device.Floats(p.data.Len()))
		t.solver.State.V = append(t.solver.State.V, m.Device.Floats(p.data.Len()))
	}
	t.fingerprint = fingerprint(cfg, w.base.Config, phases)
	t.skipEmpty()
	return t, nil
}

// Position is the index of the current phase, the number of steps done in it, and its total number of
// steps. At the end they are the number of phases, 0 and 0.
func (t *Trainer) Position() (phase, step, total int) {
	if t.cursor.Phase == len(t.phases) {
		return t.cursor.Phase, 0, 0
	}
	p := &t.phases[t.cursor.Phase]
	return t.cursor.Phase, t.cursor.Step, p.total()
}

// Step takes one optimiser step. After the last step it returns io.EOF. After any other error nothing has
// changed, and the same step can be tried again.
func (t *Trainer) Step(ctx context.Context) (_ Stats, err error) {
	defer kernel.Catch(&err)
	if t.cursor.Phase == len(t.phases) {
		return Stats{}, io.EOF
	}
	p := &t.phases[t.cursor.Phase]
	batch := t.batch(p)
	stats, err := t.accumulate(ctx, p, batch)
	if err != nil {
		t.graph.clearGradients()
		return Stats{}, t.at(p, err)
	}
	t.solver.Rate = p.Rate * optim.Factor(t.cursor.Step, p.total(), t.cfg.WarmupRatio)
	if err := t.solver.Step(t.graph.params); err != nil {
		if errors.Is(err, optim.ErrNotFinite) {
			err = t.blame(ctx, p, batch)
		}
		return Stats{}, t.at(p, err)
	}
	stats.Rate, stats.GradNorm = t.solver.Rate, t.solver.Norm
	t.advance(p)
	return stats, nil
}

// at adds the phase and the step to an error. It leaves an error of the context as it is, because that is
// not a failure.
func (t *Trainer) at(p *Phase, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("train: phase %q: step %d: %w", p.Name, t.cursor.Step, err)
}

// batch lists the units of the next step, in order.
func (t *Trainer) batch(p *Phase) []int {
	if !t.order.drawn {
		t.order.draw(p, t.cfg.Seed, t.cursor.Phase, t.cursor.Step/p.steps())
	}
	begin := t.cursor.Step % p.steps() * p.BatchSize
	return t.order.units[begin:min(begin+p.BatchSize, len(t.order.units))]
}

// accumulate runs the micro-batches of a step. Their gradients add up in the graph. The loss is a mean over
// the pairs of the step or, of examples, over the tokens that have a loss.
func (t *Trainer) accumulate(ctx context.Context, p *Phase, batch []int) (Stats, error) {
	g, stats := t.graph, Stats{Phase: p.Name, Step: t.cursor.Step}
	g.plan.Denominator = float64(len(batch))
	if len(p.Pairs) == 0 {
		g.plan.Denominator = 0
		for _, u := range batch {
			g.plan.Denominator += float64(p.Examples[u].targets())
		}
	}
	for _, bin := range t.pack.bins(batch, p.length) {
		if err := ctx.Err(); err != nil {
			return stats, err
		}
		g.fill(p, bin)
		if err := g.learn(); err != nil {
			return stats, err
		}
		for i, u := range g.plan.Units {
			if !u.Finite() {
				return stats, fmt.Errorf("%s: loss is %v: %w", p.name(bin[i]), u.Loss, ErrNotFinite)
			}
		}
		stats.add(g, t.cfg.lossConfig())
	}
	stats.mean(len(batch))
	return stats, nil
}

// blame finds the unit whose gradient is not finite, by running each unit of a batch alone.
func (t *Trainer) blame(ctx context.Context, p *Phase, batch []int) error {
	defer t.graph.clearGradients()
	for i := range batch {
		t.graph.clearGradients()
		if _, err := t.accumulate(ctx, p, batch[i:i+1]); err != nil {
			return err
		}
		if norm := t.graph.gradientNorm(); math.IsNaN(norm) || math.IsInf(norm, 0) {
			return fmt.Errorf("%s: gradient is %w", p.name(batch[i]), ErrNotFinite)
		}
	}
	return fmt.Errorf("%s and %d more: gradient is %w", p.name(batch[0]), len(batch)-1, ErrNotFinite)
}

// advance moves the cursor to the next step.
func (t *Trainer) advance(p *Phase) {
	t.cursor.Step++
	t.cursor.Total++
	if t.cursor.Step%p.steps() == 0 {
		t.order.drawn = false
	}
	if t.cursor.Step == p.total() {
		t.cursor.Phase, t.cursor.Step = t.cursor.Phase+1, 0
		t.solver.Reset()
		t.skipEmpty()
	}
}

// skipEmpty skips phases without units: a curriculum can have a difficulty without examples.
func (t *Trainer) skipEmpty() {
	for t.cursor.Phase < len(t.phases) && t.phases[t.cursor.Phase].units() == 0 {
		t.cursor.Phase++
	}
}

// lossConfig is the part of the configuration that belongs to the loss.
func (c Config) lossConfig() loss.Config {
	return loss.Config{Kind: loss.Kind(c.Loss), Beta: c.Beta, Gamma: c.Gamma, SFTWeight: c.SFTWeight}
}
