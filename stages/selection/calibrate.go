package selection

import (
	"context"
	"errors"
	"fmt"
	"math"

	"itool/schemas"
	"itool/stages/judge"
	"itool/stages/policy"
)

// calibration says how good the policy's self-evaluation is.
type calibration struct {
	weight, auc, mass float64 // auc and mass are NaN if nothing was measured
	reason            string
}

// writeTo writes it into a row.
func (c calibration) writeTo(s *schemas.Selection) {
	s.JudgeWeight, s.JudgeAUC, s.JudgeMass, s.JudgeReason = c.weight, c.auc, c.mass, c.reason
}

// calibrate decides whether this policy's self-evaluation may count in the reward. On
// validation examples the policy must put its probability on the four letters, and its
// self-evaluation must rank right answers above wrong ones.
func (a *panel) calibrate(ctx context.Context, cfg Config) (calibration, error) {
	c := calibration{auc: math.NaN(), mass: math.NaN()}
	if a.calibrating == 0 {
		c.weight, c.reason = weight(cfg.SelfEval == "on"), "there are no validation examples to calibrate on"
		return c, nil
	}
	e, err := judge.NewSelfEvaluator(a.policy)
	if err != nil { // the tokenizer does not have the letters: a result of the calibration, no failure
		c.reason = err.Error()
		return c, nil //nolint:nilerr // it is the reason
	}
	var score []float64
	var pass []bool
	var mass float64
	long := 0
	for _, verdicts := range [][]schemas.Verdict{a.greedy, a.drawn} {
		for k := range a.calibrating {
			r, err := e.Evaluate(ctx, &a.examples[k], verdicts[k].Answer, cfg.SelfEvalReference)
			if errors.Is(err, policy.ErrTooLong) {
				long++ // C is 0 there, in the search too
				continue
			}
			if err != nil {
				return c, err
			}
			score, pass, mass = append(score, r.C), append(pass, verdicts[k].Pass), mass+r.Mass
		}
	}
	if len(score) == 0 {
		c.reason = "no validation example leaves room for the judging prompt"
		return c, nil
	}
	c.auc, c.mass = judge.AUC(score, pass), mass/float64(len(score))
	switch {
	case cfg.SelfEval == "on":
		c.weight, c.reason = 1, "forced by select.self_eval"
	case c.mass < cfg.MinMass:
		c.reason = fmt.Sprintf("the four letters hold %.0f %% of the probability, %.0f %% is needed",
			100*c.mass, 100*cfg.MinMass)
	case math.IsNaN(c.auc):
		c.reason = "all validation answers have the same outcome, so the AUC is not defined"
	case c.auc < cfg.MinAUC:
		c.reason = fmt.Sprintf("the AUC of self-evaluation against outcome is %.2f, %.2f is needed", c.auc, cfg.MinAUC)
	default:
		c.weight, c.reason = 1, fmt.Sprintf("AUC %.2f over %d answers", c.auc, len(score))
	}
	if long > 0 {
		c.reason += fmt.Sprintf("; %d of %d answers leave no room for the judging prompt: C is 0 for such answers",
			long, long+len(score))
	}
	return c, nil
}

func weight(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
