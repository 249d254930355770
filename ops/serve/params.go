package serve

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"itool/stages/policy"
	"itool/stages/policy/sample"
)

// params are the settings that both kinds of requests share.
type params struct {
	Model       string   `json:"model"` // not checked: the server has one
	MaxTokens   *int     `json:"max_tokens"`
	Temperature *float64 `json:"temperature"` // default: what the checkpoint says, else 1
	TopP        *float64 `json:"top_p"`       // the same
	TopK        *int     `json:"top_k"`       // not OpenAI's, but of all open engines; 0 or -1: all
	MinP        *float64 `json:"min_p"`       // the same; 0: all
	N           *int     `json:"n"`           // default 1
	Seed        *int64   `json:"seed"`        // choice i draws with seed + i
	Stop        texts    `json:"stop"`
	Stream      bool     `json:"stream"`
	StreamWith  struct {
		Usage bool `json:"include_usage"`
	} `json:"stream_options"`

	// What would change the answer and is not supported.
	Frequency float64         `json:"frequency_penalty"`
	Presence  float64         `json:"presence_penalty"`
	Bias      map[string]any  `json:"logit_bias"`
	BestOf    int             `json:"best_of"`
	Format    *responseFormat `json:"response_format"`
	Suffix    string          `json:"suffix"`
	Repeat    *float64        `json:"repetition_penalty"`
}

type responseFormat struct {
	Type string `json:"type"`
}

// request checks the settings and makes the engine's request of them. Settings that are
// missing are those of like.
func (p *params) request(like sample.Settings, random func() uint64) (r policy.Request, choices int, err error) {
	for name, wrong := range map[string]bool{
		"frequency_penalty": p.Frequency != 0, "presence_penalty": p.Presence != 0,
		"logit_bias": len(p.Bias) > 0, "best_of": p.BestOf > 1, "suffix": p.Suffix != "",
		"response_format":    p.Format != nil && p.Format.Type != "text" && p.Format.Type != "",
		"repetition_penalty": p.Repeat != nil && *p.Repeat != 1,
	} {
		if wrong {
			return r, 0, bad(name, "is not supported: leave it out")
		}
	}
	r.Temperature, r.TopP, r.TopK, r.MinP, choices = like.Temperature, like.TopP, like.TopK, like.MinP, 1
	if r.TopP == 0 {
		r.TopP = 1
	}
	if p.Temperature != nil {
		r.Temperature = *p.Temperature
	}
	if p.TopP != nil {
		r.TopP = *p.TopP
	}
	if p.TopK != nil {
		r.TopK = *p.TopK
	}
	if p.MinP != nil {
		r.MinP = *p.MinP
	}
	if p.N != nil {
		choices = *p.N
	}
	if p.MaxTokens != nil {
		r.MaxTokens = *p.MaxTokens
	}
	switch {
	case !(r.Temperature == 0 || r.Temperature >= 1e-6 && r.Temperature <= 1e6):
		return r, 0, bad("temperature", "%v is not 0, nor within 1e-6..1e6", r.Temperature)
	case !(r.TopP > 0 && r.TopP <= 1):
		return r, 0, bad("top_p", "%v is not within (0, 1]", r.TopP)
	case !(r.MinP >= 0 && r.MinP <= 1):
		return r, 0, bad("min_p", "%v is not within 0..1", r.MinP)
	case r.TopK < -1:
		return r, 0, bad("top_k", "%d is below -1", r.TopK)
	case choices < 1 || choices > maxChoices:
		return r, 0, bad("n", "%d is not within 1..%d", choices, maxChoices)
	case r.MaxTokens < 0:
		return r, 0, bad("max_tokens", "%d is negative", r.MaxTokens)
	case len(p.Stop) > maxStops:
		return r, 0, bad("stop", "%d texts, at most %d are looked for", len(p.Stop), maxStops)
	}
	r.TopK = max(0, r.TopK)
	for i, s := range p.Stop {
		if s == "" {
			return r, 0, bad("stop", "text %d is empty", i)
		}
	}
	if p.Seed != nil {
		r.Seed = uint64(*p.Seed)
	} else {
		r.Seed = random()
	}
	return r, choices, nil
}

// texts is a text or a list of texts.
type texts []string

func (t *texts) UnmarshalJSON(raw []byte) error {
	var one *string
	if json.Unmarshal(raw, &one) == nil {
		*t = nil
		if one != nil {
			*t = texts{*one}
		}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(t))
}

// locked is a source of random numbers for many goroutines.
type locked struct {
	mu     sync.Mutex
	random *rand.Rand
}

func newLocked(s rand.Source) *locked {
	if s == nil {
		s = rand.NewChaCha8(seed())
	}
	return &locked{random: rand.New(s)}
}

// seed comes from the machine's own generator.
func seed() (s [32]byte) {
	for i := range s {
		s[i] = byte(rand.Uint32())
	}
	return s
}

// number fits into the int64 of JSON.
func (l *locked) number() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.random.Uint64() & math.MaxInt64
}

// name is prefix and 24 hexadecimal digits.
func (l *locked) name(prefix string) string {
	return fmt.Sprintf("%s%012x%012x", prefix, l.number()&0xffffffffffff, l.number()&0xffffffffffff)
}
