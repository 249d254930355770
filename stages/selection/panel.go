package selection

import (
	"context"
	"fmt"

	"itool/schemas"
	"itool/stages"
	"itool/stages/judge"
	"itool/stages/policy"
)

// A panel is the validation examples that the round's policy answers before the search.
// The calibration of the self-evaluation and the headroom both need a greedy answer and
// drawn ones. An example that serves both is asked once.
type panel struct {
	policy      *policy.Policy
	examples    []schemas.Example // those that calibrate first, then those that only the headroom needs
	calibrating int               // how many of them, from the first, calibrate
	cases       []int             // indices of those that measure the headroom
	unfit       int               // validation examples that cannot be asked or judged

	greedy, drawn []schemas.Verdict // by example; drawn at temperature 1
	lengths       lengths           // of all answers so far
}

// newPanel chooses the examples. The first ones calibrate; their number is calibrating.
// The headroom is measured on cases examples whose reference holds a call, spread evenly
// over all such examples.
func newPanel(in stages.Input, p *policy.Policy, calibrating, cases int) (*panel, error) {
	exs, unfit, err := judge.Validation(p, in.Round(schemas.RecordExample, 0))
	if err != nil {
		return nil, err
	}
	a := &panel{policy: p, unfit: unfit, calibrating: min(calibrating, len(exs))}
	a.examples = append(a.examples, exs[:a.calibrating]...)
	var calls []int
	for i := range exs {
		if exs[i].Calls > 0 {
			calls = append(calls, i)
		}
	}
	for _, i := range judge.Spread(calls, cases) {
		if i < a.calibrating {
			a.cases = append(a.cases, i)
			continue
		}
		a.cases = append(a.cases, len(a.examples))
		a.examples = append(a.examples, exs[i])
	}
	return a, nil
}

// ask has every example answered greedily and once at temperature 1. The calibration
// needs right and wrong answers: a policy whose greedy answers are nearly all right, or
// nearly all wrong, gives more of the other kind when it draws.
func (a *panel) ask(ctx context.Context, cfg Config, in stages.Input, out stages.Output) error {
	if len(a.examples) == 0 {
		return ctx.Err()
	}
	out.Progress(0, a.draws(cfg), "draws", fmt.Sprintf("%d validation examples are asked", len(a.examples)))
	reqs := make([]policy.Request, 2)
	for i := range reqs {
		reqs[i] = policy.Request{
			MaxTokens: cfg.MaxTokens, Temperature: float64(i), Seed: stages.Seed(in.Header.Seed, "select/judge", i),
		}
	}
	all, err := judge.AnswerEach(ctx, in.Judge, a.policy, a.examples, reqs)
	if err != nil {
		return err
	}
	a.greedy, a.drawn = all[0], all[1]
	a.lengths.add(a.greedy)
	a.lengths.add(a.drawn)
	a.lengths.limit = cfg.MaxTokens
	for i := range a.examples {
		a.lengths.reference = max(a.lengths.reference, len(a.examples[i].AnswerIDs))
	}
	return nil
}

// draws is the number of times that the panel is asked in all.
func (a *panel) draws(cfg Config) int {
	if len(a.cases) == 0 {
		return 2
	}
	return 1 + cfg.HeadroomDraws
}
