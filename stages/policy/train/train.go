// Package train turns examples and preference pairs into new weights: a LoRA
// adapter on a frozen base, or, in full mode, all weights of the model.
//
// One Step is one optimiser step: its batch is packed into micro-batches, whose
// gradients add up, token-weighted, in one fixed order. The same seed gives the
// same bytes, whatever was interrupted and restored. The package knows no text, no
// stage and no storage; it is used by one goroutine at a time.
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

	"itool/stages/policy/loss"
	"itool/stages/policy/model"
	"itool/stages/policy/optim"
)

// Example is a prompt and the answer to learn. The loss is on the answer's tokens
// only, chosen by position, never by id: an end-of-turn token counts like any other.
type Example struct {
	ID             string
	Prompt, Answer []int32
	// Learn says which tokens of Answer the loss is on; nil: on all. It lets one
	// conversation teach several answers, each with what stands before it.
	Learn []bool `json:",omitempty"`
}

// Pair is a preference between two answers to one prompt. Both sides go into one
// micro-batch, behind one prompt.
type Pair struct {
	ID                       string
	Prompt, Chosen, Rejected []int32
	RefChosen, RefRejected   float64 // summed log-probabilities of the reference, in nats; DPO and IPO only
}

// Phase is one fine-tuning: it has its own schedule and begins with fresh moments,
// and goes on with the weights of the phase before.
type Phase struct {
	Name      string
	Examples  []Example // with the loss "sft"
	Pairs     []Pair    // with the others
	Epochs    int
	Rate      float64 // peak learning rate
	BatchSize int     // examples or pairs per optimiser step; an epoch's last step may have fewer
	Shuffle   bool    // a new order in every epoch, from the seed
}

// units is the number of examples or pairs.
func (p *Phase) units() int { return len(p.Examples) + len(p.Pairs) }

// steps is the number of optimiser steps of an epoch.
func (p *Phase) steps() int { return (p.units() + p.BatchSize - 1) / p.BatchSize }

// ErrNotFinite says that a loss or a gradient was NaN or infinite. The error that
// wraps it names the example or pair; the weights have not moved.
var ErrNotFinite = errors.New("not finite: lower the rate, or drop what is named here")

// Trainer holds a run of training between two steps.
type Trainer struct {
	cfg    Config
	phases []Phase
	w      *weights
	graph  *graph
	solver *optim.AdamW
	best   [][]float32 // the parameters at MarkBest; nil before

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

// New checks everything that can be wrong with the input, by name, and builds the
// graph. It continues m.Adapter if there is one, else it begins a fresh one (A
// uniform within ±1/√fan_in, B zero). m itself is never changed.
func New(m *model.Model, cfg Config, phases []Phase) (*Trainer, error) {
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
	w, err := newWeights(m, cfg)
	if err != nil {
		return nil, err
	}
	t := &Trainer{cfg: cfg, phases: phases, w: w, pack: packer{capacity: cfg.Tokens}}
	if t.graph, err = newGraph(w, cfg); err != nil {
		return nil, err
	}
	t.solver = &optim.AdamW{Device: m.Device, Beta1: cfg.Beta1, Beta2: cfg.Beta2, Eps: cfg.Eps, Decay: cfg.Decay, Clip: cfg.Clip}
	for _, p := range w.params {
		t.solver.State.M = append(t.solver.State.M, make([]float32, len(p.data)))
		t.solver.State.V = append(t.solver.State.V, make([]float32, len(p.data)))
	}
	t.fingerprint = fingerprint(cfg, w.base.Config, phases)
	t.skipEmpty()
	return t, nil
}

// Position is where training stands: the index of the phase, the steps done in it,
// and the steps that it has.
func (t *Trainer) Position() (phase, step, total int) {
	if t.cursor.Phase == len(t.phases) {
		return t.cursor.Phase, 0, 0
	}
	p := &t.phases[t.cursor.Phase]
	return t.cursor.Phase, t.cursor.Step, p.Epochs * p.steps()
}

// Step takes one optimiser step. At the end it returns io.EOF. After any other
// error nothing has changed, and the same step may be tried again.
func (t *Trainer) Step(ctx context.Context) (Stats, error) {
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
	t.solver.Rate = p.Rate * optim.Factor(t.cursor.Step, p.Epochs*p.steps(), t.cfg.WarmupRatio)
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

// at adds the place to an error, except to the context's, which is nobody's fault.
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

// accumulate runs the micro-batches of a step; the gradients add up in the graph.
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

// blame finds whose gradient is not finite, each unit by itself.
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

// advance moves the cursor behind the step.
func (t *Trainer) advance(p *Phase) {
	t.cursor.Step++
	t.cursor.Total++
	if t.cursor.Step%p.steps() == 0 {
		t.order.drawn = false
	}
	if t.cursor.Step == p.Epochs*p.steps() {
		t.cursor.Phase, t.cursor.Step = t.cursor.Phase+1, 0
		t.solver.Reset()
		t.skipEmpty()
	}
}

// skipEmpty passes over phases without examples: a bucket may be empty.
func (t *Trainer) skipEmpty() {
	for t.cursor.Phase < len(t.phases) && t.phases[t.cursor.Phase].units() == 0 {
		t.cursor.Phase++
	}
}

// lossConfig is the part of the configuration that the loss reads.
func (c Config) lossConfig() loss.Config {
	return loss.Config{Kind: loss.Kind(c.Loss), Beta: c.Beta, Gamma: c.Gamma, SFTWeight: c.SFTWeight}
}
