// Package remote asks servers that others run: vLLM, SGLang, llama.cpp's server, or `itool serve`. It implements
// policy.Servers: token IDs go out, token IDs and their log-probabilities come back. Tokenizer and chat template are
// those of package policy.
//
//	pool, err := remote.New(remote.Options{Addresses: []string{"http://gpu1:8000"}, Adapters: "/shared/adapters"})
//	engine, err := policy.NewEngine(policy.Options{Servers: pool})
//	p, err := engine.Ask(ctx, remote.VLLM, digest, folder)
//
// It does not know what is asked, or why. It believes a server nothing that it can check: that the server has the
// policy's weights (canary.go), that IDs are in the vocabulary, that log-probabilities are numbers (serve.go). Every
// failure is a *policy.ServerError that names the address; the key is in none.
//
//	pool.go       the addresses: which one a request goes to, how many at a time, what is tried again
//	address.go    HTTP: bodies and streams of bounded size
//	openai.go     /v1/completions, as vLLM and `itool serve` have it
//	sglang.go     SGLang's /generate
//	llamacpp.go   llama.cpp's /completion
//	serve.go      a policy at the servers: what they must prove first, and what of their answers is believed
//	canary.go     whether a server has the policy's weights
//	adapter.go    the policy's adapter, under a name made of its content
//	probe.go      what a server is; examine.go: what it gives
package remote

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"itool/stages/policy"
)

// The kinds of servers, as a run's record names them.
const (
	Itool    = "itool"
	VLLM     = "vllm"
	SGLang   = "sglang"
	LlamaCPP = "llamacpp"
)

// Kinds are all kinds of engines, policy.Own first.
func Kinds() []string { return []string{policy.Own, Itool, VLLM, SGLang, LlamaCPP} }

// Config is the section "engine" of a run's configuration.
type Config struct {
	// Kind is what computes in score, select, expand and evaluate: own (the workers themselves), itool (itool
	// serve), vllm, sglang or llamacpp. Workers get the addresses: itool work --engine URL. Training is always own.
	// With another kind than own, the same seed gives the same bytes only as far as the server does.
	Kind string `json:"kind"`
}

// Default computes in the workers.
func Default() Config { return Config{Kind: policy.Own} }

// Validate names field, value and range.
func (c Config) Validate() error {
	if !slices.Contains(Kinds(), c.Kind) {
		return fmt.Errorf("engine.kind: %q is none of %s", c.Kind, strings.Join(Kinds(), ", "))
	}
	return nil
}

// Options of a Pool. Zero values mean the defaults, except Addresses.
type Options struct {
	Addresses []string // such as http://127.0.0.1:8000, with or without /v1; all of one kind
	Key       string   // a secret: sent as a bearer token; "": none
	// Adapters is a folder that the servers can read, too; There is its name where they run, "" the same. For itool
	// serve it is the folder of its --adapters.
	Adapters, There string
	AtOnce          int // most requests at a time to each address; default 64
	Log             *slog.Logger
	Client          *http.Client
	Clock           func() time.Time
}

func (o Options) withDefaults() Options {
	if o.There == "" {
		o.There = o.Adapters
	}
	if o.AtOnce <= 0 {
		o.AtOnce = 64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = o.AtOnce
		o.Client = &http.Client{Transport: transport}
	}
	client := *o.Client
	// A redirect could send prompts and key to another host.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o.Client = &client
	return o
}

// New checks the addresses. It asks no server yet.
func New(o Options) (*Pool, error) {
	o = o.withDefaults()
	p := &Pool{Options: o, changed: make(chan struct{})}
	for _, text := range o.Addresses {
		base, err := checkAddress(text)
		if err != nil {
			return nil, err
		}
		p.addresses = append(p.addresses, &address{url: base, o: &p.Options, limit: min(firstLimit, float64(o.AtOnce))})
	}
	if len(p.addresses) == 0 {
		return nil, errors.New("no address: give one such as http://127.0.0.1:8000")
	}
	return p, nil
}

func checkAddress(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", errors.New("an address is no URL: give one such as http://127.0.0.1:8000")
	case u.User != nil:
		return "", fmt.Errorf("%s: a password has no place in an address: give the key as ITOOL_ENGINE_KEY",
			u.Redacted())
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("%q: want http:// or https:// and a host, such as http://127.0.0.1:8000", text)
	}
	return strings.TrimSuffix(strings.TrimRight(text, "/"), "/v1"), nil
}
