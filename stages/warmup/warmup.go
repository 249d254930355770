// Package warmup fine-tunes the base on all training examples, the easy ones first, and
// answers with the policy of round 0.
//
// The examples of the run come in, one policy row goes out. Three phases train the same
// adapter one after the other, and the weights that do best on validation are kept.
// The stage rejects a run without training examples, examples that another chat template
// rendered, and a training whose loss is not finite. Its checkpoints hold everything
// that the result depends on, so a killed training ends with the same bytes.
//
// config.go holds the settings, phases.go orders the examples, best.go keeps the best
// weights, and plateau.go measures whether more of the same training would help.
//
// The row's Metrics. Losses are in nats per answer token; a key is missing if it was not
// measured:
//
//	rate                                  peak learning rate
//	examples_<phase>                      training examples of easy, medium, hard, or all
//	validation_examples                   number of examples of the validation loss
//	validation_before, _best, _after      loss of the base, of the kept weights, after the last step
//	exact_examples                        validation examples that were answered, with best: accuracy
//	exact_before, _best, _after           share of right greedy answers, as validation_
//	best_step                             step after which the weights were kept; 0: the base
//	loss_first, loss_last                 training loss of the first and the last step
//	plateau_epochs, plateau_rate          of the probe
//	plateau_cases                         validation examples with calls that the probe was asked
//	plateau_before, plateau_after         share of right greedy answers: the kept weights, the probe
//	plateau_won, plateau_lost             cases that only the probe gets right; only the kept weights
package warmup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"itool/schemas"
	"itool/stages"
	"itool/stages/policy"
	"itool/stages/policy/train"
	"itool/stages/policy/train/loop"
)

// Stage turns the examples of a run into the policy of round 0.
type Stage struct{ engine *policy.Engine }

// New returns the stage; it opens policies through engine.
func New(engine *policy.Engine) *Stage { return &Stage{engine} }

var _ stages.Stage = (*Stage)(nil)

// Spec implements stages.Stage.
func (*Stage) Spec() stages.Spec {
	return stages.Spec{
		Name: "warmup", Wakes: schemas.RecordExample, Gather: true, Reads: schemas.Example{}.Schema(),
		Writes: schemas.RecordPolicy, Schema: schemas.Policy{}.Schema(), Judges: true,
	}
}

// Process answers with one policy row. A run without a training example is rejected,
// because no later stage could work.
func (s *Stage) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	cfg, err := stages.Config(in, Default())
	if err != nil {
		return err
	}
	base, err := s.engine.Open(in.PolicyDigest, in.Policy)
	if err != nil {
		return err
	}
	data, err := collect(in.Batches, base, cfg.Plateau > 0 || cfg.Best == BestAccuracy)
	if err != nil {
		return err
	}
	if len(data.train) == 0 {
		return stages.Reject(errors.New("warmup: no example is for training: the dataset is empty, or split dropped " +
			"or held out every row; see the reasons that split counted"))
	}
	row := schemas.Policy{
		Checkpoint: in.PolicyDigest, Parent: in.PolicyDigest, Base: in.PolicyDigest, Metrics: "{}", Curve: "[]",
	}
	if cfg.Mode == ModeNone {
		row.Status, row.Detail = schemas.StatusBase, "warm-up is switched off by warmup.mode: the base opens the rounds"
	} else if err := newJob(cfg, in, out, base, data).train(ctx, &row); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return stages.Result(in, out, []schemas.Policy{row})
}

// job is one warm-up in progress.
type job struct {
	cfg  Config
	in   stages.Input
	out  stages.Output
	base *policy.Policy
	data examples
	rate float64 // peak learning rate
}

func newJob(cfg Config, in stages.Input, out stages.Output, base *policy.Policy, data examples) *job {
	j := &job{cfg, in, out, base, data, cfg.Rate}
	if j.rate == 0 {
		j.rate = loop.Rate(base.Model(), 1e-3, 1e-4)
	}
	return j
}

// trainer trains p in phases. purpose separates its randomness from other trainers'.
func (j *job) trainer(p *policy.Policy, purpose string, phases []train.Phase) (*train.Trainer, error) {
	seed := stages.Seed(j.in.Header.Seed, purpose, 0)
	return train.New(p.Model(), j.cfg.Training(seed, max(j.cfg.Tokens, j.data.longest)), phases)
}

// train runs the phases and fills row.
func (j *job) train(ctx context.Context, row *schemas.Policy) error {
	phases := j.cfg.phases(j.data.train, j.rate)
	t, err := j.trainer(j.base, "warmup", phases)
	if err != nil {
		return stages.Reject(fmt.Errorf("warmup: %w", err))
	}
	var n notes
	run := &loop.Loop{
		Trainer: t, Policy: j.in.PolicyDigest, Total: steps(phases), Every: j.cfg.CheckpointSteps,
		Notes: &n, Checkpoint: j.out.Checkpoint, Progress: j.out.Progress,
	}
	v := j.validator(t, &n)
	if j.in.Resume == nil || j.resume(run, &n) != nil {
		if err := v.begin(ctx); err != nil {
			return err
		}
	}
	run.After = func(ctx context.Context, p *loop.Point) error { return v.after(ctx, j.cfg, p) }
	if err := run.Run(ctx); errors.Is(err, train.ErrNotFinite) {
		return stages.Reject(fmt.Errorf("warmup: %w", err))
	} else if err != nil {
		return err
	}
	if row.Checkpoint, err = j.out.Save(ctx, t.Adapter(true).Save); err != nil {
		return err
	}
	row.Status, row.Steps = schemas.StatusTrained, int32(run.Done)
	for _, p := range phases {
		row.Examples += int32(len(p.Examples))
	}
	row.Detail = v.detail(phases, j.in.Failed)
	m, why, err := j.plateau(ctx, run)
	if err != nil {
		return err
	}
	if why != "" {
		row.Detail += "; the plateau was not measured: " + why
	}
	m["rate"] = j.rate
	v.report(m)
	return report(row, run, phases, m)
}

// resume continues from a checkpoint. If it does not fit, because another version of this
// program left it, the training starts over and says so, which costs only time.
func (j *job) resume(run *loop.Loop, n *notes) error {
	err := run.Resume(j.in.Resume)
	if err != nil {
		*n = notes{}
		j.out.Progress(0, run.Total, "steps", "starts over, the checkpoint does not fit: "+err.Error())
	}
	return err
}

// report adds the numbers of the training to m and writes m and the curve into row. A key
// is left out if it was not measured.
func report(row *schemas.Policy, run *loop.Loop, phases []train.Phase, m map[string]float64) error {
	for _, p := range phases {
		m["examples_"+p.Name] = float64(len(p.Examples))
	}
	if len(run.Curve) > 0 {
		m["loss_first"], m["loss_last"] = run.Curve[0].Loss, run.Curve[len(run.Curve)-1].Loss
	}
	metrics, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("warmup: metrics: %w", err)
	}
	curve, err := json.Marshal(run.Curve)
	if err != nil {
		return fmt.Errorf("warmup: curve: %w", err)
	}
	row.Metrics, row.Curve = string(metrics), string(curve)
	return nil
}
