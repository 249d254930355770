// Package loop takes a trainer from its first step to its last, for stages that
// train: it keeps the curve, tells the progress, and leaves checkpoints that hold
// all that the outcome is made of. A training that was killed and resumed ends with
// the same bytes, curve included.
//
// It knows no stage and no storage: where checkpoints go is a function.
//
//	l := loop.Loop{Trainer: t, Policy: digest, Every: 50, Checkpoint: out.Checkpoint, Progress: out.Progress}
//	if resume != nil && l.Resume(resume) != nil { /* begin anew with a new trainer */ }
//	err := l.Run(ctx)
package loop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"

	"itool/stages/policy/model"
	"itool/stages/policy/train"
)

// Create opens a file of a checkpoint for writing; it is complete once closed.
type Create = func(name string) (io.WriteCloser, error)

// Loop is one training. It is used by one goroutine at a time.
type Loop struct {
	Trainer *train.Trainer
	Policy  string // digest of the policy that is trained; a checkpoint of another one is refused
	Total   int    // optimiser steps of the whole training
	Before  int    // steps of earlier trainings of the same item: checkpoints of this one are numbered after them
	Every   int    // optimiser steps between checkpoints; 0: only where a phase ends, where there always is one

	// Notes is a pointer to what the stage itself remembers; it is stored as JSON
	// with every checkpoint and read back by Resume. nil: nothing.
	Notes any
	// After is called after every step, before its checkpoint, and may add to the
	// point. nil: nothing.
	After func(ctx context.Context, p *Point) error

	Checkpoint func(ctx context.Context, step int, write func(Create) error) error
	Progress   func(done, total int, unit, detail string)

	Done  int     // optimiser steps taken
	Curve []Point // every step of a short training, about a thousand of a long one
}

// Point is one step of the curve.
type Point struct {
	Step       int      `json:"step"` // of the training, from 1
	Phase      string   `json:"phase"`
	Loss       float64  `json:"loss"` // before the step: per answer token (sft) or per pair, nats
	Rate       float64  `json:"rate"`
	Norm       float64  `json:"norm"`                 // of the gradient, before clipping
	Validation *float64 `json:"validation,omitempty"` // loss after the step, nats per token
	Chosen     float64  `json:"chosen,omitempty"`     // mean log-probability per token of the step's pairs, nats
	Rejected   float64  `json:"rejected,omitempty"`
	Accuracy   float64  `json:"accuracy,omitempty"` // share of the step's pairs with the chosen side ahead

	InPhase int `json:"-"` // steps done in the phase, this one included
	OfPhase int `json:"-"` // steps that the phase has
}

// points is about how many of a training's steps its curve keeps.
const points = 1000

// Run goes on to the end. Errors are those of Trainer.Step, After and Checkpoint.
func (l *Loop) Run(ctx context.Context) error {
	for {
		_, done, of := l.Trainer.Position()
		stats, err := l.Trainer.Step(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		l.Done++
		p := point(stats)
		p.Step, p.InPhase, p.OfPhase = l.Done, done+1, of
		if l.After != nil {
			if err := l.After(ctx, &p); err != nil {
				return err
			}
		}
		last := p.InPhase == p.OfPhase
		if last || p.Validation != nil || l.Done%(l.Total/points+1) == 0 {
			l.Curve = append(l.Curve, p)
		}
		if last || l.Every > 0 && l.Done%l.Every == 0 {
			if err := l.Checkpoint(ctx, l.Before+l.Done, l.Save); err != nil {
				return err
			}
		}
		l.Progress(l.Done, l.Total, "steps", p.String())
	}
}

func point(s train.Stats) Point {
	return Point{
		Phase: s.Phase, Loss: s.Loss, Rate: s.Rate, Norm: s.GradNorm,
		Chosen: s.Pairs.Chosen, Rejected: s.Pairs.Rejected, Accuracy: s.Pairs.Accuracy,
	}
}

// String is a point for people.
func (p Point) String() string {
	s := fmt.Sprintf("%s: loss %.4f", p.Phase, p.Loss)
	if p.Validation != nil {
		s += fmt.Sprintf(", validation %.4f", *p.Validation)
	}
	return s
}

const fileName = "loop.json"

// file is loop.json, beside the trainer's own files.
type file struct {
	Policy string          `json:"policy"`
	Done   int             `json:"done"`
	Curve  []Point         `json:"curve"`
	Notes  json.RawMessage `json:"notes"`
}

// Save writes what Resume goes on from. Run calls it for its checkpoints; a stage may,
// once a training is over, to keep it in the checkpoints of what follows.
func (l *Loop) Save(create Create) error {
	notes, err := json.Marshal(l.Notes)
	if err != nil {
		return fmt.Errorf("loop: notes: %w", err)
	}
	text, err := json.Marshal(file{l.Policy, l.Done, l.Curve, notes})
	if err != nil {
		return fmt.Errorf("loop: %w", err)
	}
	w, err := create(fileName)
	if err != nil {
		return fmt.Errorf("loop: %w", err)
	}
	_, err = w.Write(text)
	if err := errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("loop: %w", err)
	}
	return l.Trainer.Save(create)
}

// Resume goes on from a checkpoint. After an error the trainer is as it was; Notes
// may hold something, so that the caller who begins anew clears them.
func (l *Loop) Resume(fsys fs.FS) error {
	f, err := read(fsys, l.Policy)
	if err != nil {
		return err
	}
	if f.Done < 0 || f.Done > l.Total {
		return fmt.Errorf("loop: %d steps are done of %d", f.Done, l.Total)
	}
	if l.Notes != nil {
		if err := json.Unmarshal(f.Notes, l.Notes); err != nil {
			return fmt.Errorf("loop: %s: notes: %w", fileName, err)
		}
	}
	if err := l.Trainer.Restore(fsys); err != nil {
		return err
	}
	l.Done, l.Curve = f.Done, f.Curve
	return nil
}

// ReadNotes reads only the stage's own part of a checkpoint, for a stage that must
// know it before it can make the trainer.
func ReadNotes(fsys fs.FS, policy string, into any) error {
	f, err := read(fsys, policy)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(f.Notes, into); err != nil {
		return fmt.Errorf("loop: %s: notes: %w", fileName, err)
	}
	return nil
}

func read(fsys fs.FS, policy string) (f file, err error) {
	text, err := fs.ReadFile(fsys, fileName)
	if err != nil {
		return f, fmt.Errorf("loop: %w", err)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fmt.Errorf("loop: %s: %w", fileName, err)
	}
	if f.Policy != policy {
		return f, fmt.Errorf("loop: the checkpoint trains policy %.12s, not %.12s", f.Policy, policy)
	}
	return f, nil
}

// Sizes between which Rate interpolates, in parameters.
const (
	small = 1e7
	large = 8e9
)

// Rate is the learning rate for a model between two that are known to do well: one
// of at most 10 M parameters and one of at least 8 B, linear in the logarithms.
func Rate(m *model.Model, atSmall, atLarge float64) float64 {
	n := float64(m.VocabSize) * float64(m.HiddenSize)
	for i := range m.Layers {
		for _, l := range m.Layers[i].Linears() {
			n += float64(l.N) * float64(l.K)
		}
	}
	share := math.Log(n/small) / math.Log(large/small)
	return atSmall * math.Pow(atLarge/atSmall, min(1, max(0, share)))
}
