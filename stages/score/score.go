// Package score measures how hard each example of the replay buffer is for the
// policy of the round: the perplexity of its reference answer, Eq. 4, and, if select needs
// it, whether the policy answers it rightly, greedily or in some of several draws.
//
// config.go holds the settings, canonical.go puts a reference's arguments into the order
// that is scored, and answers.go has the examples answered.
//
// One batch of examples comes in, one batch of scores goes out, so the stage scales
// with the number of batches. An example without an answer, of another chat template,
// or too long for the model is rejected. The stage does not choose what to expand: the
// select stage does, which sees the whole round.
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

// Stage scores one batch of examples.
type Stage struct{ engine *policy.Engine }

// New returns the stage; it opens policies through engine.
func New(engine *policy.Engine) *Stage { return &Stage{engine} }

// Spec implements stages.Stage.
func (*Stage) Spec() stages.Spec {
	return stages.Spec{
		Name: "score", Wakes: schemas.RecordBuffer, Reads: schemas.Example{}.Schema(),
		Writes: schemas.RecordScore, Schema: schemas.Score{}.Schema(),
		Judges: true, Asks: true,
	}
}

// Process gives every example of the batch exactly one score.
func (s *Stage) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	cfg, err := stages.Config(in, Default())
	if err != nil {
		return err
	}
	exs, err := stages.Rows[schemas.Example](in.Batches)
	if err != nil {
		return err
	}
	p, err := s.engine.Ask(ctx, in.Engine, in.PolicyDigest, in.Policy)
	if err != nil {
		return err
	}
	seqs := make([]policy.Sequence, len(exs))
	for i, ex := range exs {
		if len(ex.AnswerIDs) == 0 {
			return stages.Reject(fmt.Errorf("score: example %s has no answer tokens", ex.ID))
		}
		if err := judge.CheckTemplate(p, &ex); err != nil {
			return stages.Reject(fmt.Errorf("score: %w", err))
		}
		seqs[i] = policy.Sequence{Prompt: ex.PromptIDs, Answer: ex.AnswerIDs}
		if cfg.Arguments == Canonical {
			seqs[i].Answer = canonical(p, &ex)
		}
	}
	logps, err := p.LogProbsWith(ctx, seqs, func(done int) { out.Progress(done, len(seqs), "rows", "") })
	if errors.Is(err, policy.ErrTooLong) {
		return stages.Reject(fmt.Errorf("score: %w", err))
	}
	if err != nil {
		return err
	}
	rows := make([]schemas.Score, len(exs))
	for i, ex := range exs {
		h := perplexity(logps[i])
		if math.IsNaN(h) || math.IsInf(h, 0) {
			err := fmt.Errorf("score: example %s: the perplexity is %g; the policy's weights are broken", ex.ID, h)
			return stages.Reject(err)
		}
		rows[i] = schemas.Score{ExampleID: ex.ID, Perplexity: h, Tokens: int32(len(logps[i])), HasCall: ex.Calls > 0}
	}
	if err := answer(ctx, cfg, p, in, out, exs, rows); err != nil {
		return err
	}
	return stages.Result(in, out, rows)
}

// perplexity is h = exp(−(1/n) Σ log π), Eq. 4. The exponent is capped far above that of
// any vocabulary, so that a hopeless answer still has a finite number for its rank.
func perplexity(logps []float32) float64 {
	var sum float64
	for _, l := range logps {
		sum -= float64(l)
	}
	return math.Exp(min(sum/float64(len(logps)), 100))
}
