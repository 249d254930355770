package warmup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"itool/schemas"
	"itool/stages"
	"itool/stages/judge"
	"itool/stages/policy"
	"itool/stages/policy/train"
	"itool/stages/policy/train/loop"
)

// probeDir is where a checkpoint of the probe holds it, beside the finished warm-up.
const probeDir = "plateau"

// probeRate is the probe's peak rate as a share of the warm-up's. A cosine from 1 to 0
// has half of its peak on average, so the probe learns as fast as an epoch of the warm-up
// did. With the full peak it would first undo what the end of the warm-up's schedule had
// achieved, and the result would look like a plateau without one.
const probeRate = 0.5

// plateau measures whether more of the same training would help, because the method
// claims to improve a policy that plain fine-tuning cannot improve any more. It trains a
// copy of the kept weights for some more epochs on all examples, shuffled, and both answer
// the same validation examples with calls. The copy is discarded. If the plateau was
// wanted but not measured, m is empty and why says why.
func (j *job) plateau(ctx context.Context, run *loop.Loop) (m map[string]float64, why string, err error) {
	m = map[string]float64{}
	if j.cfg.Plateau == 0 {
		return m, "", nil
	}
	exs := judge.Spread(withCalls(j.data.askable), j.cfg.ValidationRows)
	if len(exs) == 0 {
		return m, "no validation example with calls can be asked (split.validation_share, warmup.validation_rows)", nil
	}
	best, err := run.Trainer.Best()
	if err != nil {
		return nil, "", fmt.Errorf("warmup: plateau: %w", err)
	}
	kept := j.base.With(best)
	phase := j.cfg.phase("plateau", j.data.train, j.rate*probeRate)
	phase.Epochs = j.cfg.Plateau
	t, err := j.trainer(kept, "warmup/plateau", []train.Phase{phase})
	if err != nil {
		return nil, "", stages.Reject(fmt.Errorf("warmup: plateau: %w", err))
	}
	if err := j.probe(ctx, run, t, steps([]train.Phase{phase})); errors.Is(err, train.ErrNotFinite) {
		return m, err.Error(), nil // a measurement must not end a run that can do without it
	} else if err != nil {
		return nil, "", err
	}
	last, err := t.Model()
	if err != nil {
		return nil, "", fmt.Errorf("warmup: plateau: %w", err)
	}
	before, err := j.ask(ctx, kept, exs)
	if err != nil {
		return nil, "", err
	}
	after, err := j.ask(ctx, j.base.With(last), exs)
	if err != nil {
		return nil, "", err
	}
	m = compare(before, after)
	m["plateau_epochs"], m["plateau_rate"] = float64(j.cfg.Plateau), phase.Rate
	return m, "", nil
}

// probe trains t to its end. Its checkpoints also hold the finished warm-up, so that a
// killed probe resumes where it was.
func (j *job) probe(ctx context.Context, run *loop.Loop, t *train.Trainer, total int) error {
	probe := &loop.Loop{
		Trainer: t, Policy: j.in.PolicyDigest, Total: total, Before: run.Total,
		Every: j.cfg.CheckpointSteps, Progress: j.out.Progress,
		Checkpoint: func(ctx context.Context, step int, write func(loop.Create) error) error {
			return j.out.Checkpoint(ctx, step, func(create stages.Create) error {
				if err := run.Save(create); err != nil {
					return err
				}
				return write(func(name string) (io.WriteCloser, error) { return create(probeDir + "/" + name) })
			})
		},
	}
	if j.in.Resume != nil {
		if _, err := fs.Stat(j.in.Resume, probeDir); err == nil {
			if err := resumeProbe(probe, j.in.Resume); err != nil {
				j.out.Progress(0, total, "steps", "plateau: starts over, the checkpoint does not fit: "+err.Error())
			}
		}
	}
	return probe.Run(ctx)
}

func resumeProbe(probe *loop.Loop, resume fs.FS) error {
	sub, err := fs.Sub(resume, probeDir)
	if err != nil {
		return err
	}
	return probe.Resume(sub)
}

// withCalls are the examples whose reference holds a call.
func withCalls(all []schemas.Example) (out []schemas.Example) {
	for _, ex := range all {
		if ex.Calls > 0 {
			out = append(out, ex)
		}
	}
	return out
}

// ask judges greedy answers.
func (j *job) ask(ctx context.Context, p *policy.Policy, exs []schemas.Example) ([]schemas.Verdict, error) {
	verdicts, err := judge.Match(ctx, j.in.Judge, p, exs)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, stages.Reject(fmt.Errorf("warmup: answers of validation examples: %w", err))
	}
	return verdicts, nil
}

// compare counts the cases that only one of the two gets right.
func compare(before, after []schemas.Verdict) map[string]float64 {
	var was, is, won, lost float64
	for i := range before {
		b, a := before[i].Pass, after[i].Pass
		if b {
			was++
		}
		if a {
			is++
		}
		switch {
		case a && !b:
			won++
		case b && !a:
			lost++
		}
	}
	n := float64(len(before))
	return map[string]float64{
		"plateau_cases": n, "plateau_before": was / n, "plateau_after": is / n,
		"plateau_won": won, "plateau_lost": lost,
	}
}
