package train

import (
	"context"
	"errors"
	"fmt"
	"math"

	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
)

// Loss is the mean negative log-likelihood of examples under the current weights, in nats per token of the
// answers. It changes nothing. It does not use Config.Loss.
func (t *Trainer) Loss(ctx context.Context, examples []Example) (_ float64, err error) {
	defer kernel.Catch(&err)
	p := &Phase{Name: "loss", Examples: examples}
	units := make([]int, len(examples))
	for i := range units {
		units[i] = i
		if err := t.cfg.checkExample(&examples[i], t.w.base.Config); err != nil {
			return 0, fmt.Errorf("train: loss: example %s: %w", examples[i].ID, err)
		}
	}
	if len(units) == 0 {
		return 0, errors.New("train: loss: no examples")
	}
	var sum float64
	var n int
	for _, bin := range (&packer{capacity: t.cfg.Tokens}).bins(units, p.length) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		t.graph.fill(p, bin)
		bad := -1
		err := t.graph.score(func(segment int, logp float64) {
			if bad < 0 && (math.IsNaN(logp) || math.IsInf(logp, 0)) {
				bad = bin[segment]
			}
			sum, n = sum+logp, n+1
		})
		if err == nil && bad >= 0 {
			err = fmt.Errorf("%s: log-probability is %w", p.name(bad), ErrNotFinite)
		}
		if err != nil {
			return 0, fmt.Errorf("train: loss: %w", err)
		}
	}
	return -sum / float64(n), nil
}

// MarkBest stores a copy of the current weights as the best so far.
func (t *Trainer) MarkBest() { t.best = t.w.snapshot(t.best) }

// Adapter returns a copy of the current adapter. If best is set, it returns the one that MarkBest has
// stored, if there is one. In full mode it returns nil.
func (t *Trainer) Adapter(best bool) *model.Adapter {
	if t.cfg.Full {
		return nil
	}
	return t.w.copyAdapter(t.chosen(best))
}

// Model returns a model for inference with a copy of the current weights.
func (t *Trainer) Model() (_ *model.Model, err error) {
	defer kernel.Catch(&err)
	return t.w.model(nil)
}

// Best is Model with the weights that MarkBest has stored, if there are some.
func (t *Trainer) Best() (_ *model.Model, err error) {
	defer kernel.Catch(&err)
	return t.w.model(t.chosen(true))
}

func (t *Trainer) chosen(best bool) [][]float32 {
	if best {
		return t.best
	}
	return nil
}
