// Package serve answers HTTP requests with a policy, in the form of OpenAI's API:
// /v1/models, /v1/completions (prompts as text or token IDs, echo for scoring) and
// /v1/chat/completions (tools, in the call format of the model's template), both with
// streaming, log-probabilities and seeds.
//
// It knows no run and no store. Text and log-probabilities are those that training,
// search and evaluation see: one template, one tokenizer, one forward pass.
//
//	s := serve.New(p, serve.Options{Name: "my-model"})
//	go s.Run(ctx)
//	err := http.ListenAndServe("127.0.0.1:8000", s)
//
// The way of a request:
//
//	access.go       who may ask: key, origin, size
//	params.go       what both endpoints take, checked
//	chat.go         messages and tools → a prompt; choices and events of an answer
//	completions.go  the same for texts and token IDs
//	answer.go       the one pass of both: draw all choices, whole or as a stream
//	draw.go         one choice: tokens → text, up to a stop text
//	calls.go        words and calls of an answer
//	constraint.go   tool_choice and response_format as constraints of what is drawn (package constrain)
//	adapters.go     adapters that are loaded while the server runs
//	record.go       what the log and /metrics say about it
package serve

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"itool/stages/policy"
	"itool/stages/split"
)

// Server is an http.Handler. It answers while Run runs.
type Server struct {
	Options
	served                 // the model itself
	adapters adapters      // of it, by name
	scoring  chan struct{} // holds one while a text is scored: a pass uses all cores
	mux      *http.ServeMux
	random   *locked
	metrics  *metrics
	grammars grammars

	created     int64  // when the server was made, in Unix seconds
	noTools     string // why requests with tools are refused; "": they are answered
	fingerprint string // of model and template: the same request and fingerprint give the same answer
}

// New makes a server of a policy.
func New(p *policy.Policy, o Options) *Server {
	o = o.withDefaults()
	s := &Server{
		Options: o, served: served{p, policy.NewBatcher(p, o.Requests, o.Tokens)}, scoring: make(chan struct{}, 1),
		adapters: adapters{loaded: make(chan *adapter)},
		mux:      http.NewServeMux(), random: newLocked(o.Random), metrics: newMetrics(), created: o.Clock().Unix(),
		fingerprint: p.TemplateHash()[:6] + p.Model().Fingerprint()[:10],
	}
	s.chooseCalls()
	if g := p.Generation(); g.Repetition != 1 {
		o.Log.Warn("generation_config.json asks for a repetition_penalty, which is not supported: "+
			"answers are drawn without", "repetition_penalty", g.Repetition)
	}
	s.handle("GET /health", s.health)
	s.handle("GET /metrics", s.metrics.show)
	s.handle("GET /v1/models", s.models)
	s.handle("GET /v1/models/{id...}", s.model)
	s.handle("POST /v1/completions", s.completions)
	s.handle("POST /v1/load_lora_adapter", s.loadAdapter)
	s.handle("POST /v1/unload_lora_adapter", s.unloadAdapter)
	s.handle("POST /v1/chat/completions", s.chat)
	s.handle("/", s.nowhere)
	return s
}

// Run draws answers until ctx ends.
func (s *Server) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { s.batcher.Run(ctx) })
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-s.adapters.loaded:
			all.Go(func() { a.run(ctx) })
		}
	}
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := s.begin(w, r)
	defer s.finish(x)
	s.allowOrigin(x)
	if isPreflight(r) {
		x.WriteHeader(http.StatusNoContent)
		return
	}
	if err := s.admit(x); err != nil {
		s.fail(x, err)
		return
	}
	s.mux.ServeHTTP(x, x.request)
}

// handle routes requests to a handler. An error that it returns is the answer.
func (s *Server) handle(pattern string, h func(x *exchange) error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange) // of ServeHTTP
		x.request, x.route = r, pattern
		if err := h(x); err != nil {
			s.fail(x, err)
		}
	})
}

func (s *Server) health(x *exchange) error {
	_, err := fmt.Fprintln(x, "ok")
	return err
}

func (s *Server) nowhere(x *exchange) error {
	text := fmt.Sprintf("there is no %s %s: see /v1/models, /v1/completions and /v1/chat/completions",
		x.request.Method, x.request.URL.Path)
	return &apiError{http.StatusNotFound, unknownURL, "", text}
}

// modelInfo is the model as /v1/models describes it.
type modelInfo struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Owner   string `json:"owned_by"`
	Tokens  int    `json:"max_model_len"`    // context; not OpenAI's, but of other engines
	Parent  string `json:"parent,omitempty"` // of an adapter: the model; the same
}

type modelList struct {
	Object string      `json:"object"`
	Data   []modelInfo `json:"data"`
}

func (s *Server) info() modelInfo {
	return modelInfo{s.Name, "model", s.created, "itool", s.policy.ContextLength(), ""}
}

func (s *Server) models(x *exchange) error {
	all := []modelInfo{s.info()}
	for _, a := range s.adapters.list() {
		all = append(all, s.infoOf(a.name))
	}
	return x.reply(modelList{"list", all})
}

func (s *Server) model(x *exchange) error {
	name := x.request.PathValue("id")
	if _, err := s.named(name); err != nil {
		return err
	}
	return x.reply(s.infoOf(name))
}

// infoOf is the model, or an adapter on it.
func (s *Server) infoOf(name string) modelInfo {
	info := s.info()
	if name != s.Name {
		info.ID, info.Parent = name, s.Name
	}
	return info
}

// named finds the model or an adapter. The error is about a name that is not served.
func (s *Server) named(model string) (served, error) {
	if model == s.Name || model == "" {
		return s.served, nil
	}
	if a := s.adapters.find(model); a != nil {
		return a.served, nil
	}
	text := fmt.Sprintf("%q is not served: the model here is %q", short(model), s.Name)
	return served{}, &apiError{http.StatusNotFound, unknownModel, "model", text}
}

// chooseCalls finds out whether the chat template can serve tools, and in which format its model calls them.
func (s *Server) chooseCalls() {
	if !s.policy.Probe().Tools.Written {
		s.noTools = " by this model: its chat template writes no tools; " +
			"itool serve --model … --tools-in system writes them into the system message"
	}
	if s.Calls != "" {
		return
	}
	calls, err := split.CallFormat(s.policy, split.Default())
	if err != nil && s.noTools == "" {
		s.noTools = " for this model: " + err.Error()
	}
	s.Calls = calls
}
