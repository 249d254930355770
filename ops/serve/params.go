package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"

	"itool/stages/policy"
	"itool/stages/policy/sample"
)

// decode reads a request. Unknown fields are ignored, because clients send many. Fields
// that would change the answer and are not supported are refused later, by name.
func decode[T any](body io.Reader) (*T, error) {
	d, into := json.NewDecoder(body), new(T)
	if err := d.Decode(into); err != nil {
		var wrong *json.UnmarshalTypeError
		var e *apiError
		var size *http.MaxBytesError
		switch {
		case errors.As(err, &wrong):
			return nil, bad(strings.TrimPrefix(wrong.Field, "params."), "a %s is not what belongs here", wrong.Value)
		case errors.As(err, &e), errors.As(err, &size):
			return nil, err
		}
		return nil, bad("", "the body is not the JSON of a request: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, bad("", "the body holds more than one JSON value")
	}
	return into, nil
}

// params are the settings that both kinds of requests share.
type params struct {
	Model       string   `json:"model"` // "": the server's only one
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
	Frequency float64            `json:"frequency_penalty"`
	Presence  float64            `json:"presence_penalty"`
	Bias      map[string]float64 `json:"logit_bias"`
	BestOf    int                `json:"best_of"`
	Suffix    string             `json:"suffix"`
	Repeat    *float64           `json:"repetition_penalty"`
}

// job starts the job of a request: what both endpoints ask for alike. most is the number of tokens of an answer
// when the request does not say.
func (s *Server) job(p *params, most int) (*job, error) {
	on, err := s.named(p.Model)
	if err != nil {
		return nil, err
	}
	if err := p.unsupported(); err != nil {
		return nil, err
	}
	if err := p.checkStops(); err != nil {
		return nil, err
	}
	request, err := p.request(s.policy.Generation().Sampling, most)
	if err != nil {
		return nil, err
	}
	if p.Seed == nil {
		request.Seed = s.random.number()
	}
	choices := or(p.N, 1)
	if choices < 1 || choices > maxChoices {
		return nil, bad("n", "%d is not within 1..%d", choices, maxChoices)
	}
	return &job{
		on: on, request: request, choices: choices, stops: p.Stop, stream: p.Stream, sendUsage: p.StreamWith.Usage,
	}, nil
}

func (p *params) unsupported() error {
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"frequency_penalty", p.Frequency != 0}, {"presence_penalty", p.Presence != 0},
		{"logit_bias", len(p.Bias) > 0}, {"best_of", p.BestOf > 1}, {"suffix", p.Suffix != ""},
		{"repetition_penalty", or(p.Repeat, 1) != 1},
	} {
		if field.given {
			return refused(field.name, ": leave it out")
		}
	}
	return nil
}

func (p *params) checkStops() error {
	if len(p.Stop) > maxStops {
		return bad("stop", "%d texts, at most %d are looked for", len(p.Stop), maxStops)
	}
	for i, s := range p.Stop {
		if s == "" {
			return bad("stop", "text %d is empty", i)
		}
	}
	return nil
}

// request makes the engine's request of the settings. Those that are missing are those of like.
func (p *params) request(like sample.Settings, most int) (policy.Request, error) {
	if like.TopP == 0 {
		like.TopP = 1
	}
	r := policy.Request{
		Temperature: or(p.Temperature, like.Temperature), TopP: or(p.TopP, like.TopP), TopK: or(p.TopK, like.TopK),
		MinP: or(p.MinP, like.MinP), MaxTokens: or(p.MaxTokens, most), Seed: uint64(or(p.Seed, 0)),
	}
	switch {
	case !(r.Temperature == 0 || r.Temperature >= 1e-6 && r.Temperature <= 1e6):
		return r, bad("temperature", "%v is not 0, nor within 1e-6..1e6", r.Temperature)
	case !(r.TopP > 0 && r.TopP <= 1):
		return r, bad("top_p", "%v is not within (0, 1]", r.TopP)
	case !(r.MinP >= 0 && r.MinP <= 1):
		return r, bad("min_p", "%v is not within 0..1", r.MinP)
	case r.TopK < -1:
		return r, bad("top_k", "%d is below -1", r.TopK)
	case r.MaxTokens < 0:
		return r, bad("max_tokens", "%d is negative", r.MaxTokens)
	}
	r.TopK = max(0, r.TopK)
	return r, nil
}

// or is the value that a request gives, or the default.
func or[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
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

// short cuts what a client sent, for an error.
func short(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return strings.ToValidUTF8(s, "")
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
