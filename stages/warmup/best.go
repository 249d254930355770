package warmup

import (
	"context"
	"fmt"
	"strings"

	"itool/schemas"
	"itool/stages"
	"itool/stages/judge"
	"itool/stages/policy/train"
	"itool/stages/policy/train/loop"
)

// score is what weights do on validation. loss is in nats per answer token; right counts
// the right ones among the greedy answers. nil: not measured.
type score struct {
	Loss  *float64 `json:"loss"`
	Right *int     `json:"right"`
}

// better reports whether s is to be kept instead of other: by right answers if there are
// any, among equals by loss.
func (s score) better(other score) bool {
	if s.Right != nil && *s.Right != *other.Right {
		return *s.Right > *other.Right
	}
	return s.Loss != nil && *s.Loss < *other.Loss
}

func (s score) none() bool { return s == score{} }

// notes are what the result needs besides the weights. Every checkpoint holds them.
type notes struct {
	Before   score `json:"before"` // of the base
	Best     score `json:"best"`   // of the weights that are kept
	BestStep int   `json:"best_step"`
	After    score `json:"after"` // the newest
}

// validator keeps the weights that do best on validation. A measurement is a function of
// the weights alone, so one that is repeated after a crash finds the same.
type validator struct {
	job      *job
	trainer  *train.Trainer
	examples []train.Example   // of the loss
	asked    []schemas.Example // to be answered; empty: the loss decides
	notes    *notes
	remark   string // for the row's Detail
}

func (j *job) validator(t *train.Trainer, n *notes) validator {
	v := validator{job: j, trainer: t, notes: n}
	v.examples = judge.Spread(j.data.validation, j.cfg.ValidationRows)
	if j.cfg.Best != BestAccuracy {
		return v
	}
	if v.asked = judge.Spread(j.data.askable, j.cfg.AccuracyRows); len(v.asked) == 0 {
		v.remark = "no validation example can be answered and judged, so warmup.best: accuracy had no effect"
	}
	return v
}

// begin measures the base, whose weights are the first to keep.
func (v validator) begin(ctx context.Context) error {
	s, err := v.measure(ctx)
	if err != nil || s.none() {
		return err
	}
	v.notes.Before, v.notes.Best, v.notes.After = s, s, s
	v.trainer.MarkBest()
	return nil
}

// after measures at the end of an interval and of a phase.
func (v validator) after(ctx context.Context, c Config, p *loop.Point) error {
	every := c.ValidateSteps
	if every == 0 {
		every = p.OfPhase / c.Epochs
	}
	if p.InPhase%every != 0 && p.InPhase != p.OfPhase {
		return nil
	}
	s, err := v.measure(ctx)
	if err != nil || s.none() {
		return err
	}
	p.Validation, v.notes.After = s.Loss, s
	if s.Right != nil {
		share := v.share(s)
		p.Right = &share
	}
	if s.better(v.notes.Best) {
		v.notes.Best, v.notes.BestStep = s, p.Step
		v.trainer.MarkBest()
	}
	return nil
}

func (v validator) measure(ctx context.Context) (s score, err error) {
	if len(v.examples) > 0 {
		loss, err := v.trainer.Loss(ctx, v.examples)
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
		if err != nil {
			return s, stages.Reject(fmt.Errorf("warmup: validation: %w", err))
		}
		s.Loss = &loss
	}
	if len(v.asked) > 0 {
		m, err := v.trainer.Model()
		if err != nil {
			return s, fmt.Errorf("warmup: validation: %w", err)
		}
		verdicts, err := v.job.ask(ctx, v.job.base.With(m), v.asked)
		if err != nil {
			return s, err
		}
		right := judge.Passed(verdicts)
		s.Right = &right
	}
	return s, nil
}

// share is the share of right answers.
func (v validator) share(s score) float64 { return float64(*s.Right) / float64(len(v.asked)) }

// detail is the row's Detail, for the report.
func (v validator) detail(phases []train.Phase, failed []string) string {
	var sizes []string
	for _, p := range phases {
		sizes = append(sizes, fmt.Sprintf("%d %s", len(p.Examples), p.Name))
	}
	parts := []string{"trained on " + strings.Join(sizes, ", ")}
	if w := warnings(phases); w != "" {
		parts = append(parts, w)
	}
	parts = append(parts, v.kept())
	if v.remark != "" {
		parts = append(parts, v.remark)
	}
	if len(failed) > 0 {
		parts = append(parts, fmt.Sprintf("%d shards failed and are missing, %s the first", len(failed), failed[0]))
	}
	return strings.Join(parts, "; ")
}

// kept says which weights are kept, and why.
func (v validator) kept() string {
	n := v.notes
	const remedy = "whose weights are kept: lower warmup.rate, or look at the data"
	switch {
	case n.Before.none():
		return "there is no validation, so the last weights are kept"
	case n.BestStep == 0 && n.Before.Right != nil:
		return fmt.Sprintf("no weights answer more of %d validation examples rightly than the base's %d, %s",
			len(v.asked), *n.Best.Right, remedy)
	case n.BestStep == 0:
		return fmt.Sprintf("the validation loss never fell below the base's %.4f, %s", *n.Best.Loss, remedy)
	case n.Before.Right != nil:
		return fmt.Sprintf("right answers to %d validation examples %d → %d at step %d, whose weights are kept",
			len(v.asked), *n.Before.Right, *n.Best.Right, n.BestStep)
	}
	return fmt.Sprintf("validation loss %.4f → %.4f at step %d, whose weights are kept",
		*n.Before.Loss, *n.Best.Loss, n.BestStep)
}

// report writes what was measured into the row's metrics.
func (v validator) report(m map[string]float64) {
	n := v.notes
	m["validation_examples"] = float64(len(v.examples))
	if !n.Before.none() {
		m["best_step"] = float64(n.BestStep)
	}
	if n.Before.Loss != nil {
		m["validation_before"], m["validation_after"] = *n.Before.Loss, *n.After.Loss
		m["validation_best"] = *n.Best.Loss
	}
	if n.Before.Right != nil {
		m["exact_examples"] = float64(len(v.asked))
		m["exact_before"], m["exact_after"], m["exact_best"] = v.share(n.Before), v.share(n.After), v.share(n.Best)
	}
}
