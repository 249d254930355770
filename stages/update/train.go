package update

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"itool/schemas"
	"itool/stages"
	"itool/stages/policy/train"
	"itool/stages/policy/train/loop"
)

// resumable reads which attempt the checkpoint belongs to. If the checkpoint does not fit,
// the update starts over, which costs only time.
func (r *round) resumable() (n notes) {
	if r.in.Resume == nil {
		return notes{}
	}
	err := loop.ReadNotes(r.in.Resume, r.in.PolicyDigest, &n)
	if err != nil || n.Attempt < 0 || n.Attempt >= attempts || n.Attempt != len(n.Refusals) {
		r.in.Resume = nil
		return notes{}
	}
	return n
}

// train runs one attempt, from its first step or, with resume, from the checkpoint.
func (r *round) train(ctx context.Context, n *notes, resume bool) (*loop.Loop, error) {
	c, err := r.loop(n)
	if err != nil {
		return nil, err
	}
	best := n.Best
	n.Best = nil // of an attempt that starts
	if resume && r.in.Resume != nil {
		var again notes // n holds the same notes already
		c.Notes = &again
		if err := c.Resume(r.in.Resume); err != nil {
			r.out.Progress(0, c.Total, "steps", "starts over, the checkpoint does not fit: "+err.Error())
		} else {
			n.Best = best
		}
		c.Notes = n
	}
	if err := c.Run(ctx); errors.Is(err, train.ErrNotFinite) {
		return nil, stages.Reject(fmt.Errorf("update: %w", err))
	} else if err != nil {
		return nil, err
	}
	return c, nil
}

// loop makes the trainer of an attempt. Each attempt starts from the round's
// policy and sees the pairs in the same order.
func (r *round) loop(n *notes) (*loop.Loop, error) {
	phase, longest, err := r.phase()
	if err != nil {
		return nil, err
	}
	phase.Rate = r.rate(n.Attempt)
	cfg := r.cfg.Training(stages.Seed(r.in.Header.Seed, "update", 0), max(r.cfg.Tokens, longest))
	if a := r.old.Model().Adapter; a != nil { // a run continues its one adapter
		cfg.Rank, cfg.Alpha, cfg.Targets = a.Rank, a.Alpha, a.Targets()
	}
	t, err := train.New(r.old.Model(), cfg, []train.Phase{phase})
	if err != nil {
		return nil, stages.Reject(fmt.Errorf("update: %w", err))
	}
	r.metrics["rate"] = phase.Rate
	return &loop.Loop{
		Trainer: t, Policy: r.in.PolicyDigest,
		Total: r.steps(), Before: n.Attempt * r.steps(), Every: r.cfg.CheckpointSteps,
		Notes: n, After: r.after(t, n), Checkpoint: r.out.Checkpoint, Progress: r.out.Progress,
	}, nil
}

// rate is halved for every attempt that the guard refused.
func (r *round) rate(attempt int) float64 {
	rate := r.cfg.Rate
	if rate == 0 {
		rate = loop.Rate(r.old.Model(), 1e-4, 5e-6)
	}
	return math.Ldexp(rate, -attempt)
}

// phase holds the pairs or examples to train on; longest is the longest of them in tokens.
func (r *round) phase() (p train.Phase, longest int, err error) {
	p = train.Phase{
		Name: r.cfg.Loss, Epochs: r.cfg.Epochs, Steps: r.cfg.Steps, BatchSize: r.cfg.BatchSize, Shuffle: true,
	}
	pairs := r.funnel.pairs
	switch r.cfg.Loss {
	case LossChosen:
		for _, x := range pairs {
			p.Examples = append(p.Examples, train.Example{ID: x.ID, Prompt: x.Prompt, Answer: x.Chosen})
		}
	case LossSFT:
		if p.Examples, err = r.references(); err != nil {
			return p, 0, err
		}
		for _, e := range p.Examples {
			longest = max(longest, len(e.Prompt)+len(e.Answer))
		}
		return p, longest, nil
	case "dpo", "ipo":
		p.Pairs = append([]train.Pair(nil), pairs...)
		for i := range p.Pairs {
			p.Pairs[i].RefChosen, p.Pairs[i].RefRejected = r.before[i].chosen, r.before[i].rejected
		}
	default:
		p.Pairs = pairs
	}
	return p, r.funnel.longest, nil
}

// references are the reference answers of the pairs' examples, one for every pair. As a
// baseline they give the same number of steps of the same size, without what the search
// found.
func (r *round) references() ([]train.Example, error) {
	wanted := map[string]train.Example{}
	for _, id := range r.funnel.example {
		wanted[id] = train.Example{}
	}
	for ex, err := range stages.Each[schemas.Example](r.in.Round(schemas.RecordExample, 0)) {
		if err != nil {
			return nil, fmt.Errorf("update: %w", err)
		}
		if _, ok := wanted[ex.ID]; ok {
			wanted[ex.ID] = train.Example{ID: ex.ID, Prompt: ex.PromptIDs, Answer: ex.AnswerIDs}
		}
	}
	var out []train.Example
	for _, id := range r.funnel.example {
		e := wanted[id]
		if e.ID == "" {
			return nil, stages.Reject(fmt.Errorf("update: example %s of a pair is not among the run's examples", id))
		}
		out = append(out, e)
	}
	return out, nil
}

// accept saves the policy that the guard accepted and fills its row.
func (r *round) accept(ctx context.Context, row *schemas.Policy, draft *overlay, c *loop.Loop, n notes) (err error) {
	if row.Checkpoint, err = r.out.Save(ctx, draft.save); err != nil {
		return err
	}
	if row.Curve, err = curve(c); err != nil {
		return err
	}
	row.Status, row.Steps = schemas.StatusTrained, int32(c.Done)
	row.Detail = fmt.Sprintf("%s on %d pairs", r.cfg.Loss, len(r.funnel.pairs)) + r.chosen(n, c.Done)
	if len(n.Refusals) > 0 {
		row.Detail += ", at half the rate, because the guard refused the first attempt: " +
			strings.Join(n.Refusals, "; ")
	}
	r.metrics["attempts"] = float64(n.Attempt + 1)
	return nil
}

func curve(c *loop.Loop) (string, error) {
	text, err := json.Marshal(c.Curve)
	if err != nil {
		return "", fmt.Errorf("update: curve: %w", err)
	}
	return string(text), nil
}
