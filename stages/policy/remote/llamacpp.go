package remote

import (
	"context"
	"math"

	"itool/stages/policy"
)

// llamaCPP is llama.cpp's own /completion. It has no log-probabilities of prompts, so the policy's own weights score,
// and it loads no adapters: it serves one merged policy, which the canary compares with the own weights.
type llamaCPP struct{}

type llamaRequest struct {
	Prompt      []int32  `json:"prompt"`
	MaxTokens   int      `json:"n_predict"`
	Temperature float64  `json:"temperature"`
	TopP        float64  `json:"top_p"`
	TopK        int      `json:"top_k"` // 0: all
	MinP        float64  `json:"min_p"`
	Typical     float64  `json:"typical_p"`
	Repetition  float64  `json:"repeat_penalty"`
	Presence    float64  `json:"presence_penalty"`
	Frequency   float64  `json:"frequency_penalty"`
	Samplers    []string `json:"samplers"`
	Seed        uint32   `json:"seed"`
	Probs       int      `json:"n_probs"`
	IDs         bool     `json:"return_tokens"`
	Cache       bool     `json:"cache_prompt"`
}

type llamaReply struct {
	IDs   []int32 `json:"tokens"`
	Probs []struct {
		ID      int32   `json:"id"`
		LogProb float64 `json:"logprob"`
	} `json:"completion_probabilities"`
}

// draw asks for a whole answer. A stream leaves out the tokens in the middle of a character, and a whole answer their
// log-probabilities, which are then unknown here and scored later.
func (llamaCPP) draw(ctx context.Context, a *address, q question, token func(policy.Token) (bool, error)) error {
	r := llamaRequest{
		Prompt: q.prompt, MaxTokens: q.MaxTokens, Temperature: q.Temperature, TopP: 1, TopK: q.TopK, MinP: q.MinP,
		Typical: 1, Repetition: 1, Samplers: []string{"top_k", "top_p", "min_p", "temperature"},
		Seed:  uint32(q.Seed) &^ (1 << 31), // 2³²−1 would be a random seed
		Probs: 1, IDs: true, Cache: true,
	}
	if q.TopP > 0 {
		r.TopP = q.TopP
	}
	var reply llamaReply
	if err := a.call(ctx, "/completion", r, &reply); err != nil {
		return err
	}
	at := 0
	for _, id := range reply.IDs {
		t := policy.Token{ID: id, LogProb: math.NaN()}
		if at < len(reply.Probs) && reply.Probs[at].ID == id {
			if logp := reply.Probs[at].LogProb; logp > math.MinInt16 { // else its probability was rounded to 0
				t.LogProb = logp
			}
			at++
		}
		if on, err := token(t); err != nil || !on {
			return err
		}
	}
	return nil
}

func (llamaCPP) score(context.Context, *address, string, []int32, int) ([]policy.Token, error) {
	return nil, policy.ErrCannot
}

func (llamaCPP) next(context.Context, *address, string, []int32, []int32) ([]float64, error) {
	return nil, policy.ErrCannot
}

func (llamaCPP) load(context.Context, *address, string, string) error { return policy.ErrCannot }

func (llamaCPP) unload(context.Context, *address, string) error { return policy.ErrCannot }
