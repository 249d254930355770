package score

import (
	"context"
	"errors"
	"fmt"
	"math"

	"itool/schemas"
	"itool/stages"
	"itool/stages/judge"
	"itool/stages/policy"
)

type calibration struct {
	weight, auc, mass float64
	reason            string
}

// calibrate decides whether this policy's opinion of answers may count in the
// reward: it must put its probability on the letters, and its opinion must agree
// with the outcome, on validation examples.
func (s *Select) calibrate(ctx context.Context, cfg SelectConfig, in stages.Input) (calibration, error) {
	c := calibration{auc: math.NaN(), mass: math.NaN()}
	exs, err := validation(in, cfg.JudgeExamples)
	if err != nil {
		return c, err
	}
	p, err := s.engine.Open(in.PolicyDigest, in.Policy)
	if err != nil {
		return c, err
	}
	if len(exs) == 0 {
		c.weight, c.reason = weight(cfg.SelfEval == "on"), "there are no validation examples to calibrate on"
		return c, nil
	}
	e, err := judge.NewSelfEvaluator(p)
	if err != nil { // a tokenizer without the letters has no opinion: a finding, not a failure
		c.reason = err.Error()
		return c, nil //nolint:nilerr // said above
	}
	var score []float64
	var pass []bool
	var mass float64
	// A greedy and a sampled answer each: the sampled ones make failures likelier
	// where greedy nearly always passes, and the other way round.
	for i, temperature := range []float64{0, 1} {
		verdicts, err := judge.Answer(ctx, p, exs, policy.Request{MaxTokens: cfg.MaxTokens, Temperature: temperature, Seed: stages.Seed(in.Header.Seed, "select/judge", i)})
		if err != nil {
			return c, err
		}
		for k := range exs {
			r, err := e.Evaluate(ctx, &exs[k], verdicts[k].Answer, cfg.SelfEvalReference)
			if errors.Is(err, policy.ErrTooLong) {
				continue // the longest conversations leave no room for the judging prompt
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
		c.reason = fmt.Sprintf("the four letters hold %.0f %% of the probability, %.0f %% is needed", 100*c.mass, 100*cfg.MinMass)
	case math.IsNaN(c.auc):
		c.reason = "all validation answers have the same outcome, so the AUC is not defined"
	case c.auc < cfg.MinAUC:
		c.reason = fmt.Sprintf("the AUC of self-evaluation against outcome is %.2f, %.2f is needed", c.auc, cfg.MinAUC)
	default:
		c.weight, c.reason = 1, fmt.Sprintf("AUC %.2f over %d answers", c.auc, len(score))
	}
	return c, nil
}

func weight(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// validation returns up to n validation examples in key order.
func validation(in stages.Input, n int) ([]schemas.Example, error) {
	var out []schemas.Example
	for b, err := range in.Round("example", 0) {
		if err != nil {
			return nil, err
		}
		rows, err := schemas.Decode[schemas.Example](b)
		if err != nil {
			return nil, stages.Reject(err)
		}
		for _, ex := range rows {
			if len(out) == n {
				return out, nil
			}
			if ex.Part == string(schemas.PartValidation) {
				out = append(out, ex)
			}
		}
	}
	return out, nil
}
