package remote_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"itool/stages/policy"
	"itool/stages/policy/remote"
)

// This file has stand-ins for vLLM and SGLang: no real one runs here. They are written after the servers' sources,
// read in November 2026: of vLLM the requests and answers of entrypoints/openai/completion, its routes for adapters
// after programs that call them; of SGLang GenerateReqInput and LoRAUpdateOutput in srt/managers/io_struct.py and
// convert_logprob_style in tokenizer_manager.py. What they compute, our engine computes with the tiny model.

// standIn is a server of one kind.
type standIn struct {
	kind string
	base *policy.Policy

	ignores  bool                                          // adapters are accepted and ignored
	tempered bool                                          // drawn tokens have log-probabilities after the temperature
	before   func(w http.ResponseWriter, path string) bool // true: it has answered
	cut      func() int                                    // tokens after which a stream breaks; 0: it does not

	mu       sync.Mutex
	adapters map[string]*policy.Policy
	most     int // adapters at a time
	seeds    []int64
}

func (s *standIn) start(t testing.TB) *httptest.Server {
	t.Helper()
	s.adapters = map[string]*policy.Policy{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", s.models)
	if s.kind == remote.VLLM {
		mux.HandleFunc("POST /v1/completions", s.completions)
		mux.HandleFunc("POST /v1/load_lora_adapter", s.load)
		mux.HandleFunc("POST /v1/unload_lora_adapter", s.unload)
	} else {
		mux.HandleFunc("POST /generate", s.generate)
		mux.HandleFunc("POST /load_lora_adapter", s.load)
		mux.HandleFunc("POST /unload_lora_adapter", s.unload)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.before == nil || !s.before(w, r.URL.Path) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func (s *standIn) models(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, `{"object":"list","data":[{"id":"/models/tiny","object":"model","owned_by":%q,"root":"/models/tiny",
		"parent":null,"max_model_len":%d}]}`, s.kind, s.base.ContextLength())
}

func (s *standIn) load(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name string `json:"lora_name"`
		Path string `json:"lora_path"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.adapters[in.Name] != nil {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":{"message":"The lora adapter '%s' has already been loaded."}}`, in.Name)
		return
	}
	p, err := s.base.WithAdapter(os.DirFS(in.Path))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.ignores {
		p = s.base
	}
	s.adapters[in.Name] = p
	s.most = max(s.most, len(s.adapters))
	fmt.Fprint(w, `"Success"`)
}

func (s *standIn) unload(_ http.ResponseWriter, r *http.Request) {
	var in struct {
		Name string `json:"lora_name"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.adapters, in.Name)
}

// model is the policy that a request names.
func (s *standIn) model(w http.ResponseWriter, name string) *policy.Policy {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.adapters[name]; p != nil {
		return p
	}
	if name == "" || name == "/models/tiny" {
		return s.base
	}
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprintf(w, `{"error":{"message":"The model %s does not exist.","code":404}}`, name)
	return nil
}

// draw is one answer, with the end token, as both servers return it.
func (s *standIn) draw(r *http.Request, p *policy.Policy, prompt []int32, req policy.Request) ([]policy.Token, error) {
	s.mu.Lock()
	s.seeds = append(s.seeds, int64(req.Seed))
	s.mu.Unlock()
	draws, err := p.Generate(r.Context(), [][]int32{prompt}, req)
	if err != nil {
		return nil, err
	}
	var out []policy.Token
	for i, id := range draws[0].Tokens {
		logp := float64(draws[0].LogProbs[i])
		if s.tempered && req.Temperature != 0 {
			logp /= req.Temperature // not exactly what it would be, and as wrong
		}
		out = append(out, policy.Token{ID: id, LogProb: logp})
	}
	return out, nil
}

// score is the log-probability of each token but the first.
func score(r *http.Request, p *policy.Policy, ids []int32) ([]float32, error) {
	logps, err := p.LogProbs(r.Context(), []policy.Sequence{{Prompt: ids[:1], Answer: ids[1:]}})
	if err != nil {
		return nil, err
	}
	return logps[0], nil
}

// next is the log-probability of each of ids after a prompt.
func next(r *http.Request, p *policy.Policy, prompt, ids []int32) ([]float32, error) {
	session, err := p.NewSession(prompt)
	if err != nil {
		return nil, err
	}
	return session.Next(r.Context(), session.Root(), ids)
}

func name(id int32) string { return fmt.Sprintf("token_id:%d", id) }

// completions is vLLM's /v1/completions.
func (s *standIn) completions(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Model       string
		Prompt      []int32
		MaxTokens   int `json:"max_tokens"`
		Temperature float64
		TopP        float64 `json:"top_p"`
		Seed        int64
		Stream      bool
		Echo        bool
		LogProbs    *int    `json:"logprobs"`
		IDs         bool    `json:"return_token_ids"`
		AsIDs       bool    `json:"return_tokens_as_token_ids"`
		Of          []int32 `json:"logprob_token_ids"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.LogProbs == nil || !in.IDs || !in.AsIDs {
		http.Error(w, fmt.Sprint("a request that vLLM would answer otherwise: ", err), http.StatusBadRequest)
		return
	}
	p := s.model(w, in.Model)
	if p == nil {
		return
	}
	type logprobs struct {
		Tokens   []string             `json:"tokens"`
		LogProbs []*float32           `json:"token_logprobs"`
		Top      []map[string]float32 `json:"top_logprobs"`
	}
	type choice struct {
		Text     string    `json:"text"`
		IDs      []int32   `json:"token_ids"`
		LogProbs *logprobs `json:"logprobs"`
		Finish   *string   `json:"finish_reason"`
	}
	reply := func(c choice) string {
		text, _ := json.Marshal(map[string]any{"object": "text_completion", "choices": []choice{c}})
		return string(text)
	}
	stop := "stop"
	switch {
	case in.Echo && in.MaxTokens == 0:
		logps, err := score(r, p, in.Prompt)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		l := &logprobs{Tokens: []string{name(in.Prompt[0])}, LogProbs: []*float32{nil}}
		for i := range logps {
			l.Tokens, l.LogProbs = append(l.Tokens, name(in.Prompt[i+1])), append(l.LogProbs, &logps[i])
		}
		fmt.Fprint(w, reply(choice{LogProbs: l, Finish: &stop}))
	case len(in.Of) > 0:
		logps, err := next(r, p, in.Prompt, in.Of)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		top := map[string]float32{}
		for i, id := range in.Of {
			top[name(id)] = logps[i]
		}
		fmt.Fprint(w, reply(choice{LogProbs: &logprobs{Top: []map[string]float32{top}}, Finish: &stop}))
	default:
		tokens, err := s.draw(r, p, in.Prompt, policy.Request{
			Seed: uint64(in.Seed), Temperature: in.Temperature, TopP: in.TopP, MaxTokens: in.MaxTokens,
		})
		if err != nil || !in.Stream {
			http.Error(w, fmt.Sprint("not asked for as by remote: ", err), http.StatusBadRequest)
			return
		}
		s.events(w, tokens, 2, func(all []policy.Token, from int) string {
			c := choice{LogProbs: &logprobs{}}
			for _, t := range all[from:] {
				logp := float32(t.LogProb)
				c.IDs, c.LogProbs.LogProbs = append(c.IDs, t.ID), append(c.LogProbs.LogProbs, &logp)
			}
			if len(all) == len(tokens) {
				c.Finish = &stop
			}
			return reply(c)
		})
	}
}

// events sends a stream, some tokens in each event. Between them it is flushed.
func (s *standIn) events(w http.ResponseWriter, tokens []policy.Token, each int,
	event func(all []policy.Token, from int) string) {
	w.Header().Set("Content-Type", "text/event-stream")
	limit := 0
	if s.cut != nil {
		limit = s.cut()
	}
	for from := 0; from < len(tokens); from += each {
		if limit > 0 && from >= limit {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(w, "data: %s\n\n", event(tokens[:min(from+each, len(tokens))], from))
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
}

// generate is SGLang's /generate.
func (s *standIn) generate(w http.ResponseWriter, r *http.Request) {
	var in struct {
		IDs      []int32 `json:"input_ids"`
		Sampling struct {
			MaxTokens   int     `json:"max_new_tokens"`
			Temperature float64 `json:"temperature"`
			TopP        float64 `json:"top_p"`
			Seed        int64   `json:"sampling_seed"`
		} `json:"sampling_params"`
		Adapter  string  `json:"lora_path"`
		LogProbs bool    `json:"return_logprob"`
		From     int     `json:"logprob_start_len"`
		Of       []int32 `json:"token_ids_logprob"`
		Stream   bool    `json:"stream"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !in.LogProbs {
		http.Error(w, fmt.Sprint("not asked for as by remote: ", err), http.StatusBadRequest)
		return
	}
	p := s.model(w, in.Adapter)
	if p == nil {
		return
	}
	meta := map[string]any{"completion_tokens": 1, "finish_reason": map[string]any{"type": "length"}}
	reply := func() string {
		text, _ := json.Marshal(map[string]any{"text": "", "meta_info": meta})
		return string(text)
	}
	pairs := func(tokens []policy.Token) [][]any {
		out := [][]any{}
		for _, t := range tokens {
			out = append(out, []any{float32(t.LogProb), t.ID, nil})
		}
		return out
	}
	switch {
	case in.Sampling.MaxTokens == 0:
		logps, err := score(r, p, in.IDs)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		list := [][]any{{nil, in.IDs[in.From], nil}}
		for i := in.From + 1; i < len(in.IDs); i++ {
			list = append(list, []any{logps[i-1], in.IDs[i], nil})
		}
		meta["input_token_logprobs"] = list
		fmt.Fprint(w, reply())
	case len(in.Of) > 0:
		logps, err := next(r, p, in.IDs, in.Of)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var of []policy.Token
		for i, id := range in.Of {
			of = append(of, policy.Token{ID: id, LogProb: float64(logps[i])})
		}
		meta["output_token_ids_logprobs"] = []any{pairs(of)}
		fmt.Fprint(w, reply())
	default:
		tokens, err := s.draw(r, p, in.IDs, policy.Request{
			Seed: uint64(in.Sampling.Seed), Temperature: in.Sampling.Temperature, TopP: in.Sampling.TopP,
			MaxTokens: in.Sampling.MaxTokens,
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.events(w, tokens, 3, func(all []policy.Token, _ int) string { // every event has all tokens so far
			meta["completion_tokens"], meta["output_token_logprobs"], meta["finish_reason"] = len(all), pairs(all), nil
			if len(all) == len(tokens) {
				meta["finish_reason"] = map[string]any{"type": "stop"}
			}
			return reply()
		})
	}
}

// ask opens a policy at servers.
func ask(t testing.TB, kind string, files fs.FS, servers ...*httptest.Server) (*policy.Policy, error) {
	t.Helper()
	o := remote.Options{Adapters: filepath.Clean(t.TempDir()), Key: "s3cret"}
	for _, s := range servers {
		o.Addresses = append(o.Addresses, s.URL)
	}
	pool, err := remote.New(o)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := policy.NewEngine(policy.Options{Servers: pool})
	if err != nil {
		t.Fatal(err)
	}
	return engine.Ask(t.Context(), kind, fmt.Sprint(time.Now().UnixNano()), files)
}

// near compares numbers that were computed in another order.
func near(x, y []float32) bool {
	return slices.EqualFunc(x, y, func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-4 })
}
