package remote

import (
	"context"
	"errors"
	"fmt"
	"math"

	"itool/stages/policy"
)

// canaryTurns is the conversation whose tokens tell a policy from its base.
var canaryTurns = []policy.Message{
	{Role: "user", Content: "Which tool tells the weather in Oslo tomorrow, and how do I call it?"},
	{Role: "assistant", Content: "[get_weather(city='Oslo', days=1)]"},
}

// Distances in nats, means over the tokens of the canary.
const (
	farthest    = 0.5 // from the policy's own weights in this process; a server's rounding is far below it
	compareUpTo = 1e9 // parameters of a model that is compared with its own weights in this process
)

// canary checks that the server has the policy's weights. Servers accept adapters and ignore them, so an adapter
// must change the log-probabilities of the canary by more than repeating it does. The weights in this process, if
// they are small or the server cannot score, must give the same ones.
func (s *served) canary(ctx context.Context, a *address, base, model string) error {
	from := 1
	with, err := s.scores(ctx, a, model, s.probe, from)
	if errors.Is(err, policy.ErrCannot) {
		return s.compareDrawn(ctx, a, model)
	}
	if err != nil {
		return err
	}
	if s.adapter != nil && !s.adapter.zero {
		without, err := s.scores(ctx, a, base, s.probe, from)
		if err != nil {
			return err
		}
		again, err := s.scores(ctx, a, base, s.probe, from)
		if err != nil {
			return err
		}
		if far, noise := distance(with, without), distance(without, again); far <= 2*noise+1e-7 {
			return wrong("the adapter %s changes nothing there (%.2g nats from the base, which is %.2g from itself): "+
				"the server has accepted it and ignores it", s.adapter.name, far, noise)
		}
	}
	switch far, err := a.farFromScores(ctx, s.kind, model, s.probe); {
	case errors.Is(err, errUnknown): // scored again by whom it concerns
	case err != nil:
		return err
	case far > farthestRaw:
		return wrong("%s: %s", tempered(far), temperedRemedy)
	}
	if s.policy.Config().Parameters() > compareUpTo {
		return nil
	}
	own, err := s.policy.Weights()
	if err != nil {
		return err
	}
	ours, err := own.LogProbs(ctx, []policy.Sequence{{Prompt: s.probe[:from], Answer: s.probe[from:]}})
	if err != nil {
		return err
	}
	if far := distance(with, ours[0]); far > farthest {
		return wrong("%s is not the run's model: its log-probabilities are %.2g nats from those of the run's own "+
			"weights", model, far)
	}
	return nil
}

// compareDrawn has a server that cannot score draw greedily, and compares the log-probabilities with those of the
// policy's own weights.
func (s *served) compareDrawn(ctx context.Context, a *address, model string) error {
	own, err := s.policy.Weights()
	if err != nil {
		return err
	}
	prompt, err := own.Prompt(canaryTurns[:1], nil)
	if err != nil {
		return err
	}
	seq := policy.Sequence{Prompt: prompt}
	var theirs []float32
	q := question{model: model, prompt: prompt, ends: s.ends, Request: policy.Request{MaxTokens: 16}}
	err = s.kind.draw(ctx, a, q, func(t policy.Token) (bool, error) {
		if t, err = s.check(t); err != nil {
			return false, err
		}
		seq.Answer, theirs = append(seq.Answer, t.ID), append(theirs, float32(t.LogProb))
		return len(theirs) < q.MaxTokens, nil
	})
	if err != nil {
		return err
	}
	if len(theirs) == 0 {
		return wrong("it drew nothing after a prompt of %d tokens", len(prompt))
	}
	far, err := s.farFrom(ctx, own, seq, theirs)
	if err != nil {
		return err
	}
	if far > farthest {
		return wrong("it serves another policy: its log-probabilities are %.2g nats from those of the run's: %s", far,
			llamaRemedy)
	}
	if s.adapter == nil || s.adapter.zero {
		return nil
	}
	plain, err := own.Model().WithAdapter(nil)
	if err != nil {
		return err
	}
	toBase, err := s.farFrom(ctx, own.With(plain), seq, theirs)
	if err != nil {
		return err
	}
	if toBase < far {
		return wrong("it serves another policy: its log-probabilities are nearer to those of the base "+
			"(%.2g nats) than to those of the run's policy (%.2g): %s", toBase, far, llamaRemedy)
	}
	return nil
}

const llamaRemedy = "write this one with itool export, merged, as GGUF, and start the server with it"

// farFrom is how far a server's log-probabilities are from a policy's, without those that the server leaves out.
func (s *served) farFrom(
	ctx context.Context, p *policy.Policy, seq policy.Sequence, theirs []float32,
) (float64, error) {
	ours, err := p.LogProbs(ctx, []policy.Sequence{seq})
	if err != nil {
		return 0, err
	}
	var a, b []float32
	for i, t := range theirs {
		if !math.IsNaN(float64(t)) {
			a, b = append(a, t), append(b, ours[0][i])
		}
	}
	if len(a) == 0 {
		return 0, fmt.Errorf("no log-probabilities: %w", policy.ErrCannot)
	}
	return distance(a, b), nil
}

// distance is the mean of |x − y|. A difference of more than 5 counts as 5: an unlikely token weighs no more than
// that.
func distance(x, y []float32) float64 {
	var sum float64
	for i := range x {
		sum += min(math.Abs(float64(x[i])-float64(y[i])), 5)
	}
	return sum / float64(max(1, len(x)))
}
