package remote

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"itool/stages/policy"
)

// Examined is what one server gives.
type Examined struct {
	Address string `json:"address"`
	Info
	Gives []Gives `json:"gives"`
	Error string  `json:"error,omitempty"` // why nothing else is known; "": it answers
}

// Gives is one thing that runs ask of a server.
type Gives struct {
	What   string `json:"what"`
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"` // what to do; "": nothing
}

// examinedPrompt are tokens that every vocabulary has.
var examinedPrompt = []int32{33, 34, 35, 36, 37, 38, 39, 40}

// Examine asks each server for a little of everything. No policy is needed, and nothing is loaded.
func (p *Pool) Examine(ctx context.Context) []Examined {
	var all []Examined
	for _, a := range p.addresses {
		e := Examined{Address: a.url}
		info, _, err := a.probe(ctx)
		if err != nil {
			e.Error = err.Error()
		} else {
			e.Info = *info
			k := kinds[info.Kind]
			e.Gives = []Gives{a.seeds(ctx, k, info.base()), a.raw(ctx, k, info.base()), a.letters(ctx, k, info.base()),
				adaptersOf(info.Kind)}
		}
		all = append(all, e)
	}
	return all
}

// some draws a few tokens.
func (a *address) some(ctx context.Context, k kind, model string, temperature float64) (out []policy.Token, err error) {
	q := question{model: model, prompt: examinedPrompt, Request: policy.Request{MaxTokens: 8, Seed: 5}}
	q.Temperature = temperature
	err = k.draw(ctx, a, q, func(t policy.Token) (bool, error) {
		out = append(out, t)
		return len(out) < q.MaxTokens, nil
	})
	if err == nil && len(out) == 0 {
		err = errors.New("no token came")
	}
	return out, err
}

// seeds draws twice with one seed.
func (a *address) seeds(ctx context.Context, k kind, model string) Gives {
	g := Gives{What: "draws"}
	first, err := a.some(ctx, k, model, 1)
	if err != nil {
		g.Found, g.Remedy = err.Error(), "it cannot draw answers for runs"
		return g
	}
	again, err := a.some(ctx, k, model, 1)
	sameIDs := func(x, y policy.Token) bool { return x.ID == y.ID }
	switch {
	case err != nil:
		g.Found, g.Remedy = err.Error(), "the second of two requests failed: see the server's log"
	case slices.EqualFunc(first, again, sameIDs):
		g.Found = "token ids; the same seed drew the same tokens twice"
	default:
		g.Found = "token ids; the same seed drew other tokens: draws do not repeat (see the guide, remote.md)"
	}
	return g
}

// raw compares the log-probabilities of what is drawn at a low temperature with those of scoring.
func (a *address) raw(ctx context.Context, k kind, model string) Gives {
	g := Gives{What: "scores"}
	far, err := a.farFromScores(ctx, k, model, examinedPrompt)
	switch {
	case errors.Is(err, policy.ErrCannot):
		g.Found = "not at all: the workers' own engine scores"
	case errors.Is(err, errUnknown):
		g.Found = "given tokens; drawn ones are scored again where the temperature is neither 0 nor 1"
	case err != nil:
		g.Found, g.Remedy = err.Error(), "it cannot score answers for runs"
	case far > farthestRaw:
		g.Found, g.Remedy = tempered(far), temperedRemedy
	default:
		g.Found = fmt.Sprintf("given tokens, within %.1g nats of what it says of drawn ones", far)
	}
	return g
}

const (
	farthestRaw    = 0.1 // nats between drawing and scoring the same tokens; a server's rounding is far below it
	temperedRemedy = "start vLLM with --logprobs-mode raw_logprobs"
)

func tempered(far float64) string {
	return fmt.Sprintf("log-probabilities of drawn tokens are %.2g nats from those of scoring: they are not raw", far)
}

// errUnknown says that a server does not say the log-probabilities of what it draws.
var errUnknown = errors.New("the log-probabilities of drawn tokens are unknown")

// farFromScores draws at temperature 1/2 and has the drawn tokens scored.
func (a *address) farFromScores(ctx context.Context, k kind, model string, prompt []int32) (float64, error) {
	q := question{model: model, prompt: prompt, Request: policy.Request{MaxTokens: 8, Seed: 5, Temperature: 0.5}}
	ids, drawn := slices.Clone(prompt), []float32(nil)
	err := k.draw(ctx, a, q, func(t policy.Token) (bool, error) {
		ids, drawn = append(ids, t.ID), append(drawn, float32(t.LogProb))
		return len(drawn) < q.MaxTokens, nil
	})
	if err != nil {
		return 0, err
	}
	scored, err := k.score(ctx, a, model, ids, len(prompt))
	switch {
	case err != nil:
		return 0, err
	case len(scored) != len(drawn):
		return 0, wrong("%d log-probabilities of %d tokens", len(scored), len(drawn))
	}
	again := make([]float32, len(scored))
	for i, t := range scored {
		if again[i] = float32(t.LogProb); math.IsNaN(float64(drawn[i])) {
			return 0, errUnknown
		}
	}
	return distance(drawn, again), nil
}

// letters asks for the probabilities of some tokens in one place, as the judge does.
func (a *address) letters(ctx context.Context, k kind, model string) Gives {
	g := Gives{What: "choices"}
	logps, err := k.next(ctx, a, model, examinedPrompt, []int32{33, 34})
	switch {
	case errors.Is(err, policy.ErrCannot):
		g.Found = "not at all: the workers' own engine judges"
	case err != nil:
		g.Found, g.Remedy = err.Error(), "it cannot judge answers for runs: set select.self_eval=off"
	case logps == nil:
		g.Found = "by scoring each letter"
	default:
		g.Found = "all letters in one request"
	}
	return g
}

// adaptersOf says how a round's adapter gets there.
func adaptersOf(kind string) Gives {
	found := map[string]string{
		Itool: "loaded by workers with --engine-adapters, if it was started with --adapters",
		VLLM: "loaded by workers with --engine-adapters, if it was started with --enable-lora and " +
			"VLLM_ALLOW_RUNTIME_LORA_UPDATING=1",
		SGLang:   "loaded by workers with --engine-adapters, if it was started with --enable-lora",
		LlamaCPP: "none: it serves one merged policy",
	}
	return Gives{What: "adapters", Found: found[kind]}
}
