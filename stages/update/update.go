// Package update trains the policy of the next round on the preference pairs of a round.
//
// The pairs of the round come in, one policy row goes out. It holds the new policy, or
// the old one and the reason: there were too few pairs, or the guard refused the new
// policy twice. The guard compares greedy answers to validation examples before and
// after training, because preference training can destroy the form of answers, or make
// fewer of them right. After
// the first refusal the training is repeated at half the rate. After the second the round
// keeps its policy and the run ends.
//
// config.go holds the settings, pairs.go reads the pairs and measures what training
// changed, train.go trains, best.go chooses among the weights of a training, answers.go
// asks both policies for the guard, guard.go compares their answers, and overlay.go holds
// a new policy in memory until it is saved.
//
// The reference of DPO and IPO is the policy at the start of the round.
//
// These are the row's Metrics. Means are over the distinct pairs, log-probabilities are per
// token and in nats. A key is missing if it was not measured. <when> is before or after the
// training, <ability> is parse_rate, non_repetition, no_call_accuracy or exact_match:
//
//	pairs                           pairs of the round that the filter judged
//	pairs_kept                      pairs that the filter kept
//	pairs_foreign                   kept pairs that were searched with another policy than the round's
//	pairs_distinct                  the other kept pairs, without duplicates: the update trains on them
//	rate                            peak learning rate of the last attempt
//	attempts                        number of attempts
//	chosen_logp_<when>              mean log-probability of the chosen side
//	rejected_logp_<when>            mean log-probability of the rejected side
//	margin_<when>                   mean difference chosen − rejected
//	accuracy_<when>                 share of the pairs whose chosen side is more probable per token
//	chosen_change, rejected_change  mean |Δ log-probability| of a whole side, not per token
//	chosen_tokens, rejected_tokens  mean lengths
//	exact_examples                  validation examples that were answered, with best: accuracy
//	exact_before, exact_after       share of right answers of the old policy, after the last step
//	exact_best, best_step           share of right answers of the kept weights, and their step
//	guard_prompts                   number of prompts that both policies answered
//	guard_<ability>_<when>          share of good answers
//	guard_<ability>_p               one-sided McNemar p-value of a drop
//	guard_<ability>_cases           number of answers compared
//
// Both log-probabilities can fall, because a preference loss depends on their
// difference. Something is wrong only if the margin does not rise.
package update

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"itool/schemas"
	"itool/stages"
	"itool/stages/policy"
)

// attempts is how often an update trains before it gives up, each time at half the rate of the
// attempt before.
const attempts = 2

// Stage turns the pairs of a round into a policy.
type Stage struct{ engine *policy.Engine }

// New returns the stage; it opens policies through engine.
func New(engine *policy.Engine) *Stage { return &Stage{engine} }

var _ stages.Stage = (*Stage)(nil)

// Spec implements stages.Stage. The stage also reads the examples, for the guard and the sft
// baseline, and the policies, for the digest of the base.
func (*Stage) Spec() stages.Spec {
	return stages.Spec{
		Name: "update", Wakes: schemas.RecordPair, Gather: true, Reads: schemas.Pair{}.Schema(),
		Also:   []string{schemas.RecordExample, schemas.RecordPolicy},
		Writes: schemas.RecordPolicy, Schema: schemas.Policy{}.Schema(), NextRound: true, Judges: true,
	}
}

// Process answers with one policy row, even if the round has no new policy.
func (s *Stage) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	cfg, err := stages.Config(in, Default())
	if err != nil {
		return err
	}
	funnel, err := collect(in.Batches, in.PolicyDigest)
	if err != nil {
		return err
	}
	old, err := s.engine.Open(in.PolicyDigest, in.Policy)
	if err != nil {
		return err
	}
	base, err := baseOf(in)
	if err != nil {
		return err
	}
	r := &round{cfg: cfg, engine: s.engine, in: in, out: out, old: old, funnel: funnel}
	r.metrics = map[string]float64{
		"pairs": float64(funnel.rows), "pairs_kept": float64(funnel.kept),
		"pairs_foreign": float64(funnel.foreign), "pairs_distinct": float64(len(funnel.pairs)),
	}
	if funnel.foreign > 0 {
		r.remarks = append(r.remarks, fmt.Sprintf("%d pairs were searched with another policy than the round's "+
			"and left out: some worker serves an old one", funnel.foreign))
	}
	row := schemas.Policy{
		Checkpoint: in.PolicyDigest, Parent: in.PolicyDigest, Base: base, Curve: "[]",
		Examples: int32(len(funnel.pairs)),
	}
	if row.Detail = r.tooSmall(); row.Detail != "" {
		row.Status, row.Examples = schemas.StatusNoUpdate, 0 // nothing was trained on
	} else if err := r.run(ctx, &row); err != nil {
		return err
	}
	if err := r.attachLostAnswers(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	row.Detail = strings.Join(append([]string{row.Detail}, r.remarks...), "; ")
	metrics, err := json.Marshal(r.metrics)
	if err != nil {
		return fmt.Errorf("update: metrics: %w", err)
	}
	row.Metrics = string(metrics)
	return stages.Result(in, out, []schemas.Policy{row})
}

// baseOf is the digest of the run's base, which every policy record repeats.
func baseOf(in stages.Input) (string, error) {
	row, err := stages.One[schemas.Policy](in.Round(schemas.RecordPolicy, in.Header.Round))
	if err != nil {
		return "", fmt.Errorf("update: the policy that opened round %d: %w", in.Header.Round, err)
	}
	return row.Base, nil
}

// round is the update of one round while it is in progress.
type round struct {
	cfg     Config
	engine  *policy.Engine
	in      stages.Input
	out     stages.Output
	old     *policy.Policy // at the start of the round
	funnel  funnel         // the pairs to train on
	before  []logProbs     // of the pairs under old
	guard   *guard         // nil: it is off or has no examples
	chooser *chooser       // nil: the last weights are taken
	metrics map[string]float64

	examples []schemas.Example // for validation; nil: not read yet
	remarks  []string          // added to the row's Detail
}

// steps is the number of optimiser steps of one attempt.
func (r *round) steps() int {
	if r.cfg.Steps > 0 && len(r.funnel.pairs) > 0 {
		return r.cfg.Steps
	}
	return r.cfg.Epochs * r.epoch()
}

// epoch is the number of optimiser steps of a pass over the pairs.
func (r *round) epoch() int { return (len(r.funnel.pairs) + r.cfg.BatchSize - 1) / r.cfg.BatchSize }

// tooSmall says why the round has too little data for an update, or "". The result of a
// few pairs would be reported as an effect but would be chance.
func (r *round) tooSmall() string {
	pairs, steps := len(r.funnel.pairs), r.steps()
	switch {
	case pairs < r.cfg.MinPairs:
		return fmt.Sprintf("%d distinct pairs are fewer than the %d that an update needs (update.min_pairs)",
			pairs, r.cfg.MinPairs)
	case steps < r.cfg.MinSteps:
		return fmt.Sprintf("%d pairs make %d steps, fewer than the %d that an update needs (update.min_steps)",
			pairs, steps, r.cfg.MinSteps)
	}
	return ""
}

// notes are what a resumed update needs besides the weights.
type notes struct {
	Attempt  int      `json:"attempt"` // from 0
	Refusals []string `json:"trips"`   // why the guard refused each earlier attempt
	Best     *kept    `json:"best"`    // of the attempt; nil: nothing was measured yet
}

// run trains until the guard accepts a policy or has refused all attempts.
func (r *round) run(ctx context.Context, row *schemas.Policy) (err error) {
	if r.before, err = logProbsOf(ctx, r.old, r.funnel.pairs); err != nil {
		return err
	}
	if r.guard, err = r.newGuard(ctx); err != nil {
		return err
	}
	if r.chooser, err = r.newChooser(ctx); err != nil {
		return err
	}
	n := r.resumable()
	for resume := true; n.Attempt < attempts; n.Attempt++ {
		trained, err := r.train(ctx, &n, resume)
		if err != nil {
			return err
		}
		resume = false
		draft, err := newOverlay(r.in.Policy, trained.Trainer.Adapter(r.chooser != nil).Save)
		if err != nil {
			return fmt.Errorf("update: %w", err)
		}
		refusal, err := r.examine(ctx, draft)
		if err != nil {
			return err
		}
		if refusal == "" {
			return r.accept(ctx, row, draft, trained, n)
		}
		n.Refusals = append(n.Refusals, refusal)
		row.Steps = int32(trained.Done)
		if row.Curve, err = curve(trained); err != nil {
			return err
		}
	}
	row.Status = schemas.StatusGuard
	row.Detail = fmt.Sprintf("the guard refused %d attempts, so the round keeps its policy: %s",
		len(n.Refusals), strings.Join(n.Refusals, "; then at half the rate: "))
	r.metrics["attempts"] = float64(attempts)
	return nil
}

// examine measures a new policy and asks the guard. refusal is why the guard refuses the
// policy, "" if it accepts it.
func (r *round) examine(ctx context.Context, draft *overlay) (refusal string, err error) {
	p, err := r.engine.Open(draft.digest(r.in.PolicyDigest), draft)
	if err != nil {
		return "", err
	}
	after, err := logProbsOf(ctx, p, r.funnel.pairs)
	if err != nil {
		return "", err
	}
	m, moved := measure(r.funnel.pairs, r.before, after)
	for name, v := range m {
		r.metrics[name] = v
	}
	if !moved {
		return "", stages.Reject(errors.New("update: training changed no probability of any pair: " +
			"the rate is too low to count, or the adapter is not applied"))
	}
	if r.guard == nil {
		return "", nil
	}
	return r.guard.check(ctx, r, p)
}
