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
package serve

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"itool/schemas/toolcall"
	"itool/stages/policy"
	"itool/stages/split"
)

// Options of a server. Zero values mean the defaults.
type Options struct {
	Name     string           // of the model, as clients see it; default "itool"
	Key      string           // clients must send it as a bearer token; "": no key is needed
	Calls    toolcall.Format  // how the model writes calls; default: as its template asks
	Requests int              // most answers that wait or are drawn; default 256
	Tokens   int              // most tokens, prompts included, of the continuous batch; default: what 1 GiB holds
	Answer   int              // most tokens of an answer when the request does not say; default 2048
	Clock    func() time.Time // default: the machine's
	Random   rand.Source      // of seeds that a request does not give, and of IDs; default: the machine's
	Log      *slog.Logger     // default: none
}

// maxBody bounds a request, in bytes.
const maxBody = 8 << 20

// maxChoices bounds n, maxTop the alternatives of a token, maxStops the stop texts.
const (
	maxChoices = 16
	maxTop     = 20
	maxStops   = 16
)

// Server is an http.Handler. It answers while Run runs.
type Server struct {
	Options
	policy  *policy.Policy
	batcher *policy.Batcher
	scoring chan struct{} // holds one while a text is scored: a pass uses all cores
	mux     *http.ServeMux
	random  *locked

	noTools     string // why requests with tools are refused; "": they are answered
	fingerprint string // of model and template: the same request and fingerprint give the same answer
}

// New makes a server of a policy.
func New(p *policy.Policy, o Options) *Server {
	if o.Name == "" {
		o.Name = "itool"
	}
	if o.Requests <= 0 {
		o.Requests = 256
	}
	if o.Answer <= 0 {
		o.Answer = 2048
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		Options: o, policy: p, batcher: policy.NewBatcher(p, o.Requests, o.Tokens), scoring: make(chan struct{}, 1),
		mux: http.NewServeMux(), random: newLocked(o.Random),
		fingerprint: p.TemplateHash()[:6] + p.Model().Fingerprint()[:10],
	}
	s.chooseCalls()
	if g := p.Generation(); g.Repetition != 1 {
		o.Log.Warn("generation_config.json asks for a repetition_penalty, which is not supported: "+
			"answers are drawn without", "repetition_penalty", g.Repetition)
	}
	s.mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	s.mux.HandleFunc("GET /v1/models", s.models)
	s.mux.HandleFunc("POST /v1/completions", s.completions)
	s.mux.HandleFunc("POST /v1/chat/completions", s.chat)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		text := fmt.Sprintf("there is no %s %s: see /v1/models, /v1/completions and /v1/chat/completions",
			r.Method, r.URL.Path)
		s.fail(w, &badRequest{http.StatusNotFound, "", text})
	})
	return s
}

// Run draws answers until ctx ends.
func (s *Server) Run(ctx context.Context) { s.batcher.Run(ctx) }

// ServeHTTP checks the key and the size of what comes in.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Key != "" && r.URL.Path != "/health" {
		given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(given), []byte(s.Key)) != 1 {
			text := "the API key is missing or wrong: send it as Authorization: Bearer KEY"
			s.fail(w, &badRequest{http.StatusUnauthorized, "", text})
			return
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.mux.ServeHTTP(w, r)
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	s.reply(w, map[string]any{"object": "list", "data": []any{map[string]any{
		"id": s.Name, "object": "model", "owned_by": "itool", "max_model_len": s.policy.ContextLength(),
	}}})
}

// badRequest is an error whose text the client gets.
type badRequest struct {
	status int
	param  string // the field
	text   string
}

func (e *badRequest) Error() string {
	if e.param == "" {
		return e.text
	}
	return e.param + ": " + e.text
}

func bad(param, text string, args ...any) error {
	return &badRequest{http.StatusBadRequest, param, fmt.Sprintf(text, args...)}
}

// fail writes an error as OpenAI does. Faults of the server are logged; the client does not
// get their text.
func (s *Server) fail(w http.ResponseWriter, err error) {
	if errors.Is(err, context.Canceled) {
		return // the client has gone
	}
	b := s.forClient(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(b.status)
	_ = json.NewEncoder(w).Encode(failure(b))
}

// forClient is an error as the client gets it.
func (s *Server) forClient(err error) *badRequest {
	var b *badRequest
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &b):
	case errors.As(err, &tooLarge):
		text := fmt.Sprintf("the request has more than %d bytes", tooLarge.Limit)
		b = &badRequest{http.StatusRequestEntityTooLarge, "", text}
	case errors.Is(err, policy.ErrBusy):
		b = &badRequest{http.StatusTooManyRequests, "", "too many requests are waiting: try again later"}
	case errors.Is(err, policy.ErrTooLong):
		b = &badRequest{http.StatusBadRequest, "", err.Error()}
	default:
		s.Log.Error("request failed", "error", err)
		b = &badRequest{http.StatusInternalServerError, "", "the engine failed: see the server's log"}
	}
	return b
}

func failure(b *badRequest) map[string]any {
	kind := "invalid_request_error"
	if b.status >= 500 {
		kind = "server_error"
	}
	var param any
	if b.param != "" {
		param = b.param
	}
	return map[string]any{"error": map[string]any{"message": b.Error(), "type": kind, "param": param, "code": b.status}}
}

func (s *Server) reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.Log.Debug("reply not sent", "error", err)
	}
}

// decode reads a request. Unknown fields are ignored, because clients send many. Fields
// that would change the answer and are not supported are refused later, by name.
func decode(body io.Reader, into any) error {
	d := json.NewDecoder(body)
	if err := d.Decode(into); err != nil {
		var wrong *json.UnmarshalTypeError
		var b *badRequest
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &wrong):
			return bad(strings.TrimPrefix(wrong.Field, "params."), "a %s is not what belongs here", wrong.Value)
		case errors.As(err, &b), errors.As(err, &tooLarge):
			return err
		}
		return bad("", "the body is not the JSON of a request: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return bad("", "the body holds more than one JSON value")
	}
	return nil
}

// chooseCalls finds out whether the chat template can serve tools, and in which format its model calls them.
func (s *Server) chooseCalls() {
	if !s.policy.Probe().Tools.Written {
		s.noTools = "is not supported by this model: its chat template writes no tools; " +
			"itool serve --model … --tools-in system writes them into the system message"
	}
	if s.Calls != "" {
		return
	}
	calls, err := split.CallFormat(s.policy, split.Default())
	if err != nil && s.noTools == "" {
		s.noTools = "is not supported for this model: " + err.Error()
	}
	s.Calls = calls
}
