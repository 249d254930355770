// Package evaluate asks a policy every case of a held-out batch, greedily, and judges
// the answers.
//
// A batch of examples comes in, one verdict per example goes out, in order. A batch
// with an example that cannot be judged, or that is too long for the model, is
// rejected. It does not sum up verdicts: stats does that for the report, and bfcl as the
// leaderboard does, which the report does not show yet.
package evaluate

import (
	"context"
	"errors"
	"fmt"

	"itool/schemas"
	"itool/stages"
	"itool/stages/judge"
	"itool/stages/policy"
)

// Config says how the cases are asked.
type Config struct {
	MaxTokens int `json:"max_tokens"` // of an answer, > 0; a longer answer is cut and fails
}

// Default leaves room for several calls.
func Default() Config { return Config{MaxTokens: 512} }

// Validate names field, value and range.
func (c Config) Validate() error {
	if c.MaxTokens <= 0 {
		return fmt.Errorf("evaluate.max_tokens: %d is not positive", c.MaxTokens)
	}
	return nil
}

// Stage judges one batch of cases.
type Stage struct{ engine *policy.Engine }

// New returns the stage; it opens policies through engine.
func New(engine *policy.Engine) *Stage { return &Stage{engine} }

var _ stages.Stage = (*Stage)(nil)

// Spec implements stages.Stage.
func (*Stage) Spec() stages.Spec {
	return stages.Spec{
		Name: "evaluate", Wakes: schemas.RecordCase, Reads: schemas.Example{}.Schema(),
		Writes: schemas.RecordVerdict, Schema: schemas.Verdict{}.Schema(),
		Judges: true, Asks: true,
	}
}

// Process gives every case exactly one verdict, in order. A case that cannot be judged
// is an error that names it. As a failing verdict it would count against the policy.
func (s *Stage) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	cfg, err := stages.Config(in, Default())
	if err != nil {
		return err
	}
	cases, err := stages.Rows[schemas.Example](in.Batches)
	if err != nil {
		return err
	}
	p, err := s.engine.Ask(ctx, in.Engine, in.PolicyDigest, in.Policy)
	if err != nil {
		return err
	}
	for i := range cases {
		if err := check(p, &cases[i]); err != nil {
			return stages.Reject(fmt.Errorf("evaluate: %w", err))
		}
	}
	var verdicts []schemas.Verdict
	if len(cases) > 0 {
		done := 0
		verdicts, err = judge.Answer(ctx, in.Judge, p, cases, policy.Request{ // greedily
			MaxTokens: cfg.MaxTokens,
			Done: func(*policy.Draw) {
				done++
				out.Progress(done, len(cases), "rows", "")
			},
		})
	}
	if errors.Is(err, policy.ErrTooLong) {
		return stages.Reject(fmt.Errorf("evaluate: %w", err))
	}
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return stages.Result(in, out, verdicts)
}

// check finds what would make the answers of the whole batch useless. Its errors name
// the example.
func check(p *policy.Policy, ex *schemas.Example) error {
	if err := judge.CheckTemplate(p, ex); err != nil {
		return err
	}
	_, err := judge.NewExaminer(ex)
	return err
}
