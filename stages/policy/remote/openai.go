package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"itool/stages/policy"
)

// openAI is /v1/completions with the fields that vLLM has added to it; `itool serve` has those, too.
type openAI struct{ vllm bool }

// completion is a request. What a server would take from its own defaults, such as those of generation_config.json,
// is always sent.
type completion struct {
	Model       string  `json:"model"`
	Prompt      []int32 `json:"prompt"`
	MaxTokens   int     `json:"max_tokens"`
	Temperature float64 `json:"temperature"`
	TopP        float64 `json:"top_p"`
	TopK        int     `json:"top_k"` // 0: all
	MinP        float64 `json:"min_p"`
	Repetition  float64 `json:"repetition_penalty"`
	Presence    float64 `json:"presence_penalty"`
	Frequency   float64 `json:"frequency_penalty"`
	Seed        int64   `json:"seed"`
	Stream      bool    `json:"stream"`
	Echo        bool    `json:"echo"`
	LogProbs    int     `json:"logprobs"` // alternatives of each token; 0: the token alone
	IDs         bool    `json:"return_token_ids"`
	AsIDs       bool    `json:"return_tokens_as_token_ids"`
	Of          []int32 `json:"logprob_token_ids,omitempty"`

	// vLLM's only.
	Stops   []int32 `json:"stop_token_ids,omitempty"`
	Special *bool   `json:"add_special_tokens,omitempty"`
}

type completionReply struct {
	Choices []struct {
		IDs      []int32 `json:"token_ids"`
		LogProbs *struct {
			Tokens   []string             `json:"tokens"`
			LogProbs []*float64           `json:"token_logprobs"`
			Top      []map[string]float64 `json:"top_logprobs"`
		} `json:"logprobs"`
		Finish *string `json:"finish_reason"`
	} `json:"choices"`
	Error json.RawMessage `json:"error"`
}

func (k openAI) request(model string, prompt []int32) completion {
	c := completion{Model: model, Prompt: prompt, TopP: 1, Repetition: 1, IDs: true, AsIDs: true}
	if k.vllm {
		c.Special = new(bool)
	}
	return c
}

func (k openAI) draw(ctx context.Context, a *address, q question, token func(policy.Token) (bool, error)) error {
	c := k.request(q.model, q.prompt)
	c.MaxTokens, c.Temperature, c.TopK, c.MinP, c.Stream = q.MaxTokens, q.Temperature, q.TopK, q.MinP, true
	if q.TopP > 0 {
		c.TopP = q.TopP
	}
	c.Seed = int64(q.Seed)
	if k.vllm {
		c.Seed, c.Stops = int64(q.Seed&math.MaxInt64), q.ends
	}
	return a.stream(ctx, "/v1/completions", c, func(data []byte) (bool, error) {
		var r completionReply
		if err := json.Unmarshal(data, &r); err != nil {
			return false, wrong("an event is no completion: %s", a.hide(err.Error()))
		}
		if len(r.Error) > 0 {
			return false, &fault{text: "it broke off: " + a.hide(errorText(data)), again: true}
		}
		if len(r.Choices) == 0 {
			return false, nil
		}
		choice := r.Choices[0]
		if len(choice.IDs) > 0 && (choice.LogProbs == nil || len(choice.LogProbs.LogProbs) != len(choice.IDs)) {
			return false, wrong("an event has %d token_ids and no log-probability for each", len(choice.IDs))
		}
		for i, id := range choice.IDs {
			logp := choice.LogProbs.LogProbs[i]
			if logp == nil {
				return false, wrong("a drawn token has no log-probability")
			}
			if on, err := token(policy.Token{ID: id, LogProb: *logp}); err != nil || !on {
				return true, err
			}
		}
		return choice.Finish != nil, nil
	})
}

// ask posts a request that is not streamed and returns its only choice's log-probabilities.
func (k openAI) ask(ctx context.Context, a *address, c completion) (tokens []string, logps []*float64,
	top []map[string]float64, err error) {
	var r completionReply
	if err := a.call(ctx, "/v1/completions", c, &r); err != nil {
		return nil, nil, nil, err
	}
	if len(r.Choices) != 1 || r.Choices[0].LogProbs == nil {
		return nil, nil, nil, wrong("no log-probabilities in the answer to logprobs %d, echo %t", c.LogProbs, c.Echo)
	}
	l := r.Choices[0].LogProbs
	return l.Tokens, l.LogProbs, l.Top, nil
}

func (k openAI) score(ctx context.Context, a *address, model string, ids []int32, from int) ([]policy.Token, error) {
	c := k.request(model, ids)
	c.Echo = true
	tokens, logps, _, err := k.ask(ctx, a, c)
	if err != nil {
		return nil, err
	}
	if len(tokens) != len(ids) || len(logps) != len(ids) {
		return nil, wrong("%d log-probabilities of a prompt of %d tokens", len(logps), len(ids))
	}
	out := make([]policy.Token, 0, len(ids)-from)
	for i := from; i < len(ids); i++ {
		t := policy.Token{LogProb: math.NaN()}
		if _, err := fmt.Sscanf(tokens[i], "token_id:%d", &t.ID); err != nil {
			return nil, wrong("token %d is called %q, not token_id:%d", i, a.hide(tokens[i]), ids[i])
		}
		if logps[i] != nil {
			t.LogProb = *logps[i]
		}
		out = append(out, t)
	}
	return out, nil
}

func (k openAI) next(ctx context.Context, a *address, model string, prompt, ids []int32) ([]float64, error) {
	c := k.request(model, prompt)
	c.MaxTokens, c.LogProbs, c.Of = 1, 1, ids
	_, _, top, err := k.ask(ctx, a, c)
	if err != nil {
		return nil, err
	}
	if len(top) == 0 {
		return nil, nil
	}
	out := make([]float64, len(ids))
	for i, id := range ids {
		logp, ok := top[0][fmt.Sprintf("token_id:%d", id)]
		if !ok {
			return nil, nil // an older server, which ignores logprob_token_ids
		}
		out[i] = logp
	}
	return out, nil
}

func (k openAI) load(ctx context.Context, a *address, name, folder string) error {
	err := a.call(ctx, "/v1/load_lora_adapter", map[string]string{"lora_name": name, "lora_path": folder}, nil)
	return loaded(err, "vLLM needs --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, itool serve --adapters DIR")
}

func (openAI) unload(ctx context.Context, a *address, name string) error {
	return a.call(ctx, "/v1/unload_lora_adapter", map[string]string{"lora_name": name}, nil)
}

// loaded explains a refusal to load. A name is made of what the adapter holds, so one that is there is the right one.
func loaded(err error, needs string) error {
	var why *fault
	ok := errors.As(err, &why)
	switch {
	case err == nil, ok && strings.Contains(why.text, "already"):
		return nil
	case ok && !why.again:
		return wrong("it does not load the adapter (%s): %s", needs, why.text)
	}
	return err
}
