// Package loop is the training loop of the stages that train. It takes a trainer from its first step to
// its last, keeps the loss curve, reports progress, and writes checkpoints. A checkpoint holds everything
// that the result depends on: a training that was killed and resumed ends with the same bytes, curve
// included.
//
// The package knows no stage and no storage: the caller passes functions that store a checkpoint and
// report progress.
//
//	l := loop.Loop{
//		Trainer: t, Policy: digest, Total: steps, Every: 50, Checkpoint: out.Checkpoint, Progress: out.Progress,
//	}
//	if checkpoint != nil {
//		if err := l.Resume(checkpoint); err != nil {
//			log.Print("starting from the first step: ", err) // the trainer is unchanged
//		}
//	}
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

// Loop is one training. Only one goroutine may use it at a time. The caller sets the fields up to
// Progress; Run and Resume set the others.
type Loop struct {
	Trainer *train.Trainer
	Policy  string // digest of the policy that is trained; a checkpoint of another policy is refused
	Total   int    // optimiser steps of the whole training
	Before  int    // steps of earlier trainings of the same item; added to the step numbers of checkpoints
	Every   int    // optimiser steps between checkpoints; 0: only at the end of each phase, where there is always one

	// Notes is a pointer to what the stage itself remembers. Every checkpoint stores it as JSON, and
	// Resume reads it back. nil: nothing.
	Notes any
	// After is called after every step, before the step's checkpoint. It may change the point, for
	// example to add a validation loss. nil: not called.
	After func(ctx context.Context, p *Point) error

	// Checkpoint stores a checkpoint under a step number: it calls write once with a function that
	// creates the checkpoint's files.
	Checkpoint func(ctx context.Context, step int, write func(Create) error) error
	// Progress is called after every step. unit names what is counted.
	Progress func(done, total int, unit, detail string)

	Done  int     // optimiser steps taken
	Curve []Point // every step of a short training, about a thousand steps of a long one
}

// Point is one step of the curve.
type Point struct {
	Step       int      `json:"step"` // of the training, from 1
	Phase      string   `json:"phase"`
	Loss       float64  `json:"loss"` // before the step: per answer token (sft) or per pair, nats
	Rate       float64  `json:"rate"`
	Norm       float64  `json:"norm"`                 // of the gradient, before clipping
	Validation *float64 `json:"validation,omitempty"` // loss after the step, nats per token
	Right      *float64 `json:"right,omitempty"`      // share of right answers to validation examples after the step
	Chosen     float64  `json:"chosen,omitempty"`     // mean log-probability per token of the step's pairs, nats
	Rejected   float64  `json:"rejected,omitempty"`   // the same of the rejected sides
	Accuracy   float64  `json:"accuracy,omitempty"`   // share of the step's pairs with the chosen side ahead

	InPhase int `json:"-"` // steps done in the phase, this one included; for After
	OfPhase int `json:"-"` // steps of the whole phase; for After
}

// points is about the number of steps that a curve keeps.
const points = 1000

// Run takes all steps that are left. Its errors are those of Trainer.Step, After and Checkpoint.
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
		if last || p.Validation != nil || p.Right != nil || l.Done%(l.Total/points+1) == 0 {
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

// String is the text of a progress report.
func (p Point) String() string {
	s := fmt.Sprintf("%s: loss %.4f", p.Phase, p.Loss)
	if p.Validation != nil {
		s += fmt.Sprintf(", validation %.4f", *p.Validation)
	}
	if p.Right != nil {
		s += fmt.Sprintf(", %.1f %% right", 100**p.Right)
	}
	return s
}

const fileName = "loop.json"

// file is the content of loop.json. The trainer's own files are in the same folder.
type file struct {
	Policy string          `json:"policy"`
	Done   int             `json:"done"`
	Curve  []Point         `json:"curve"`
	Notes  json.RawMessage `json:"notes"`
}

// Save writes the files that Resume reads. Run calls it for its checkpoints. A stage may call it when
// the training is over, to include the finished training in later checkpoints of its own.
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

// Resume restores the state of a checkpoint, so that Run continues from there. After an error the trainer
// is unchanged, but Notes may hold values of the checkpoint: a caller who then starts from the first step
// must clear them.
func (l *Loop) Resume(fsys fs.FS) error {
	f, err := read(fsys, l.Policy)
	if err != nil {
		return err
	}
	if f.Done < 0 || f.Done > l.Total {
		return fmt.Errorf("loop: the checkpoint has %d steps done, but the training has %d steps", f.Done, l.Total)
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

// ReadNotes reads only the stage's notes from a checkpoint, for a stage that needs them to make the
// trainer.
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
		return f, fmt.Errorf("loop: the checkpoint is of a training of policy %.12s, not of %.12s", f.Policy, policy)
	}
	return f, nil
}

// Rate interpolates between these numbers of parameters.
const (
	small = 1e7
	large = 8e9
)

// Rate chooses a learning rate by the size of a model. It interpolates linearly in the logarithms of size
// and rate, between two rates that are known to work: atSmall for models of up to 10 M parameters, and
// atLarge for models of 8 B parameters and more.
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
