package update

import (
	"context"
	"fmt"

	"itool/schemas"
	"itool/stages"
	"itool/stages/judge"
	"itool/stages/policy"
	"itool/stages/policy/train"
	"itool/stages/policy/train/loop"
)

// Which of an attempt's weights become the policy.
const (
	BestLast     = "last"     // those after the last step
	BestAccuracy = "accuracy" // those with the most right greedy answers to validation examples
)

// kept are the weights of an attempt with the most right answers so far.
type kept struct {
	Right int `json:"right"`
	Step  int `json:"step"`
	After int `json:"after"` // right answers at the newest measurement
}

// chooser measures weights while they are trained. It is nil if the last ones are taken.
type chooser struct {
	own      stages.Judge // nil: the reference decides
	examples []schemas.Example
	before   int // right answers of the round's policy
}

// newChooser has the round's policy answer validation examples, spread evenly over all.
func (r *round) newChooser(ctx context.Context) (*chooser, error) {
	if r.cfg.Best != BestAccuracy {
		return nil, nil
	}
	exs, err := r.validation()
	if err != nil {
		return nil, err
	}
	if len(exs) == 0 {
		r.remarks = append(r.remarks, "no validation example can be answered and judged, "+
			"so update.best: accuracy had no effect")
		return nil, nil
	}
	c := &chooser{own: r.in.Judge, examples: judge.Spread(exs, r.cfg.AccuracyRows)}
	c.before, err = c.right(ctx, r.old)
	return c, err
}

// right counts the right answers of a policy.
func (c *chooser) right(ctx context.Context, p *policy.Policy) (int, error) {
	verdicts, err := judge.Match(ctx, c.own, p, c.examples)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil {
		return 0, stages.Reject(fmt.Errorf("update: answers of validation examples: %w", err))
	}
	return judge.Passed(verdicts), nil
}

// after is loop.Loop.After: it measures at the end of an interval and of the training, and
// marks the weights that are the best so far. Of equals the later ones are kept, as without
// a choice. A measurement is a function of the weights alone, so one that is repeated
// after a crash finds the same.
func (r *round) after(t *train.Trainer, n *notes) func(context.Context, *loop.Point) error {
	if r.chooser == nil {
		return nil
	}
	every := r.cfg.ValidateSteps
	if every == 0 {
		every = r.epoch()
	}
	return func(ctx context.Context, p *loop.Point) error {
		if p.InPhase%every != 0 && p.InPhase != p.OfPhase {
			return nil
		}
		m, err := t.Model()
		if err != nil {
			return fmt.Errorf("update: validation: %w", err)
		}
		right, err := r.chooser.right(ctx, r.old.With(m))
		if err != nil {
			return err
		}
		share := r.chooser.share(right)
		p.Right = &share
		if n.Best == nil || right >= n.Best.Right {
			n.Best = &kept{Right: right, Step: p.Step}
			t.MarkBest()
		}
		n.Best.After = right
		return nil
	}
}

func (c *chooser) share(right int) float64 { return float64(right) / float64(len(c.examples)) }

// chosen writes the choice into the metrics and says it in words.
func (r *round) chosen(n notes, done int) string {
	if r.chooser == nil || n.Best == nil {
		return ""
	}
	c, b := r.chooser, n.Best
	r.metrics["exact_examples"], r.metrics["best_step"] = float64(len(c.examples)), float64(b.Step)
	r.metrics["exact_before"], r.metrics["exact_after"] = c.share(c.before), c.share(b.After)
	r.metrics["exact_best"] = c.share(b.Right)
	return fmt.Sprintf(", the weights after step %d of %d, which answer the most of %d validation examples rightly: "+
		"%d, before the update %d", b.Step, done, len(c.examples), b.Right, c.before)
}

// validation reads the validation examples that can be asked, once, and remarks on the
// others.
func (r *round) validation() ([]schemas.Example, error) {
	if r.examples != nil {
		return r.examples, nil
	}
	exs, unfit, err := judge.Validation(r.old, r.in.Round(schemas.RecordExample, 0))
	if err != nil {
		return nil, fmt.Errorf("update: validation examples: %w", err)
	}
	if unfit > 0 {
		r.remarks = append(r.remarks,
			fmt.Sprintf("%d validation examples cannot be asked or judged and were left out", unfit))
	}
	r.examples = append([]schemas.Example{}, exs...)
	return r.examples, nil
}

// validateBest checks the settings of the choice.
func (c Config) validateBest() error {
	switch {
	case c.Best != BestLast && c.Best != BestAccuracy:
		return fmt.Errorf("update.best: %q is neither %s nor %s", c.Best, BestLast, BestAccuracy)
	case c.AccuracyRows <= 0:
		return fmt.Errorf("update.accuracy_rows: %d is not positive", c.AccuracyRows)
	case c.ValidateSteps < 0:
		return fmt.Errorf("update.validate_steps: %d is below 0", c.ValidateSteps)
	}
	return nil
}
