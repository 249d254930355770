package remote

import (
	"context"
	"encoding/json"
	"math"

	"itool/stages/policy"
)

// sglang is SGLang's own /generate.
type sglang struct{}

type sglangSampling struct {
	MaxTokens   int     `json:"max_new_tokens"`
	Temperature float64 `json:"temperature"`
	TopP        float64 `json:"top_p"`
	TopK        int     `json:"top_k"` // -1: all
	MinP        float64 `json:"min_p"`
	Repetition  float64 `json:"repetition_penalty"`
	Presence    float64 `json:"presence_penalty"`
	Frequency   float64 `json:"frequency_penalty"`
	Seed        int64   `json:"sampling_seed"` // counts with --enable-deterministic-inference
	Stops       []int32 `json:"stop_token_ids,omitempty"`
}

type sglangRequest struct {
	IDs      []int32        `json:"input_ids"`
	Sampling sglangSampling `json:"sampling_params"`
	Adapter  string         `json:"lora_path,omitempty"` // its name
	LogProbs bool           `json:"return_logprob"`
	From     int            `json:"logprob_start_len"` // -1: only of what is drawn
	Of       []int32        `json:"token_ids_logprob,omitempty"`
	Stream   bool           `json:"stream"`
}

type sglangReply struct {
	Meta struct {
		Drawn  int             `json:"completion_tokens"`
		Output []sglangToken   `json:"output_token_logprobs"`
		Input  []sglangToken   `json:"input_token_logprobs"`
		Of     [][]sglangToken `json:"output_token_ids_logprobs"`
		Finish json.RawMessage `json:"finish_reason"`
	} `json:"meta_info"`
	Error json.RawMessage `json:"error"`
}

// sglangToken is [log-probability or null, id, text or null].
type sglangToken policy.Token

func (t *sglangToken) UnmarshalJSON(text []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return err
	}
	if len(parts) < 2 {
		return wrong("a token is a list of %d, want log-probability and id", len(parts))
	}
	var logp *float64
	if err := json.Unmarshal(parts[0], &logp); err != nil {
		return err
	}
	if t.LogProb = math.NaN(); logp != nil {
		t.LogProb = *logp
	}
	return json.Unmarshal(parts[1], &t.ID)
}

// request asks model: "" is the base, since /generate names adapters only.
func (sglang) request(model string, ids []int32) sglangRequest {
	return sglangRequest{IDs: ids, Adapter: model, LogProbs: true, From: -1,
		Sampling: sglangSampling{TopP: 1, TopK: -1, Repetition: 1}}
}

// draw asks for a stream. Its log-probabilities are those after the temperature, unless the server was started with
// SGLANG_RETURN_ORIGINAL_LOGPROB; at another temperature than 0 and 1 they are marked as unknown, and scored later.
func (k sglang) draw(ctx context.Context, a *address, q question, token func(policy.Token) (bool, error)) error {
	r := k.request(q.model, q.prompt)
	s := &r.Sampling
	s.MaxTokens, s.Temperature, s.MinP, s.Seed, s.Stops = q.MaxTokens, q.Temperature, q.MinP,
		int64(q.Seed&math.MaxInt64), q.ends
	if q.TopP > 0 {
		s.TopP = q.TopP
	}
	if q.TopK > 0 {
		s.TopK = q.TopK
	}
	r.Stream = true
	seen := 0
	return a.stream(ctx, "/generate", r, func(data []byte) (bool, error) {
		var reply sglangReply
		if err := json.Unmarshal(data, &reply); err != nil {
			return false, wrong("an event is not SGLang's: %s", a.hide(err.Error()))
		}
		if len(reply.Error) > 0 {
			return false, &fault{text: "it broke off: " + a.hide(errorText(data)), again: true}
		}
		fresh := reply.Meta.Output
		switch {
		case len(fresh) == reply.Meta.Drawn && len(fresh) >= seen: // every event has all tokens so far
			fresh = fresh[seen:]
		case seen+len(fresh) != reply.Meta.Drawn: // with --incremental-streaming-output the new ones
			return false, wrong("an event has %d log-probabilities of %d tokens, %d of which came before",
				len(fresh), reply.Meta.Drawn, seen)
		}
		for _, t := range fresh {
			if q.Temperature != 0 && q.Temperature != 1 {
				t.LogProb = math.NaN()
			}
			if on, err := token(policy.Token(t)); err != nil || !on {
				return true, err
			}
		}
		seen = reply.Meta.Drawn
		return len(reply.Meta.Finish) > 0 && string(reply.Meta.Finish) != "null", nil
	})
}

// score has the prompt scored from the token before the first that is asked: those before it can come from the cache.
func (k sglang) score(ctx context.Context, a *address, model string, ids []int32, from int) ([]policy.Token, error) {
	r := k.request(model, ids)
	r.From = max(0, from-1)
	var reply sglangReply
	if err := a.call(ctx, "/generate", r, &reply); err != nil {
		return nil, err
	}
	in := reply.Meta.Input
	if len(in) < len(ids)-from || len(in) > len(ids) {
		return nil, wrong("%d log-probabilities of a prompt of %d tokens, from %d", len(in), len(ids), r.From)
	}
	var out []policy.Token
	for _, t := range in[len(in)-(len(ids)-from):] {
		out = append(out, policy.Token(t))
	}
	return out, nil
}

func (k sglang) next(ctx context.Context, a *address, model string, prompt, ids []int32) ([]float64, error) {
	r := k.request(model, prompt)
	r.Sampling.MaxTokens, r.Sampling.Temperature, r.Of = 1, 1, ids
	var reply sglangReply
	if err := a.call(ctx, "/generate", r, &reply); err != nil {
		return nil, err
	}
	if len(reply.Meta.Of) == 0 {
		return nil, nil
	}
	out := make([]float64, len(ids))
	for i, id := range ids {
		out[i] = math.NaN()
		for _, t := range reply.Meta.Of[0] {
			if t.ID == id {
				out[i] = t.LogProb
			}
		}
	}
	return out, nil
}

func (k sglang) load(ctx context.Context, a *address, name, folder string) error {
	err := a.call(ctx, "/load_lora_adapter", map[string]string{"lora_name": name, "lora_path": folder}, nil)
	return loaded(err, "SGLang needs --enable-lora, --max-lora-rank and --lora-target-modules")
}

func (sglang) unload(ctx context.Context, a *address, name string) error {
	return a.call(ctx, "/unload_lora_adapter", map[string]string{"lora_name": name}, nil)
}
