package selection

import (
	"context"
	"fmt"

	"itool/schemas"
	"itool/stages"
	"itool/stages/judge"
	"itool/stages/policy"
)

// headroom bounds the gain of a round: the policy gets greedy of its validation examples
// right with the greedy answer, and sampled of them in at least one of k draws. A search
// finds only what the policy can draw, so the difference is what there is to learn. won
// counts the examples that only draws get right; cases is 0 if nothing was measured.
type headroom struct{ draws, cases, greedy, sampled, won int }

// headroom draws k − 1 more answers to the panel's cases; ask has drawn the first.
func (a *panel) headroom(ctx context.Context, cfg Config, in stages.Input, out stages.Output) (headroom, error) {
	if len(a.cases) == 0 {
		return headroom{}, nil
	}
	exs, right := make([]schemas.Example, len(a.cases)), make([]bool, len(a.cases))
	for n, i := range a.cases {
		exs[n], right[n] = a.examples[i], a.drawn[i].Pass
	}
	out.Progress(2, a.draws(cfg), "draws", fmt.Sprintf("%d validation examples are asked", len(exs)))
	var reqs []policy.Request
	for d := 1; d < cfg.HeadroomDraws; d++ {
		reqs = append(reqs, policy.Request{
			MaxTokens: cfg.MaxTokens, Temperature: 1, Seed: stages.Seed(in.Header.Seed, "select/headroom", d),
		})
	}
	all, err := judge.AnswerEach(ctx, in.Judge, a.policy, exs, reqs)
	if err != nil {
		return headroom{}, err
	}
	for _, verdicts := range all {
		a.lengths.add(verdicts)
		for n, v := range verdicts {
			right[n] = right[n] || v.Pass
		}
	}
	h := headroom{draws: cfg.HeadroomDraws, cases: len(exs)}
	for n, i := range a.cases {
		h.count(a.greedy[i].Pass, right[n])
	}
	return h, nil
}

func (h *headroom) count(greedy, sampled bool) {
	if greedy {
		h.greedy++
	}
	if sampled {
		h.sampled++
	}
	if sampled && !greedy {
		h.won++
	}
}

// writeTo writes the counts into a row.
func (h headroom) writeTo(s *schemas.Selection) {
	s.HeadroomDraws, s.HeadroomCases = int32(h.draws), int32(h.cases)
	s.HeadroomGreedy, s.HeadroomSampled, s.HeadroomWon = int32(h.greedy), int32(h.sampled), int32(h.won)
}
