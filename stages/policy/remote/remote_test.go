package remote_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/policy/remote"
	"itool/stages/policy/train"
)

type memory struct {
	strings.Builder
	close func(string)
}

func (m *memory) Close() error { m.close(m.String()); return nil }

// trained is the tiny model with an adapter that changes its answers.
func trained(t testing.TB) fstest.MapFS { return trainedFor(t, 5) }

func trainedFor(t testing.TB, steps int) fstest.MapFS {
	t.Helper()
	p := policytest.Open(t, 1)
	phase := train.Phase{Name: "school", Epochs: steps, Rate: 0.02, BatchSize: 1, Examples: []train.Example{
		{ID: "e", Prompt: prompts(t, p)[0], Answer: p.Answer("[f(a='A')]")},
	}}
	tr, err := train.New(p.Model(), train.Default(), []train.Phase{phase})
	for range steps {
		if err != nil {
			t.Fatal(err)
		}
		_, err = tr.Step(t.Context())
	}
	files := policytest.Tiny(1).(fstest.MapFS)
	err = tr.Adapter(false).Save(func(name string) (io.WriteCloser, error) {
		return &memory{close: func(s string) { files[name] = &fstest.MapFile{Data: []byte(s)} }}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func prompts(t testing.TB, p *policy.Policy) (out [][]int32) {
	t.Helper()
	for _, text := range []string{"A", "Call f.", "Which tool?"} {
		ids, err := p.Prompt([]policy.Message{{Role: "user", Content: text}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, ids)
	}
	return out
}

// TestStandIns: what is drawn and scored at each server is what the engine draws and scores here.
func TestStandIns(t *testing.T) {
	for _, kind := range []string{remote.VLLM, remote.SGLang} {
		t.Run(kind, func(t *testing.T) {
			in := &standIn{kind: kind, base: policytest.Open(t, 1), tempered: kind == remote.SGLang}
			server, files := in.start(t), trained(t)
			theirs, err := ask(t, kind, files, server)
			if err != nil {
				t.Fatal(err)
			}
			ours, err := policy.Open(files, policy.Options{})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, ours, theirs)
			if _, err := ask(t, kind, files, server); err != nil {
				t.Errorf("another worker, the adapter is loaded: %v", err)
			}
			if kind == remote.VLLM && slices.ContainsFunc(in.seeds, func(seed int64) bool { return seed < 0 }) {
				t.Errorf("seeds %v are not within 63 bits", in.seeds)
			}
		})
	}
}

func compare(t *testing.T, ours, theirs *policy.Policy) {
	t.Helper()
	ctx, asked := t.Context(), prompts(t, ours)
	for _, temperature := range []float64{0, 0.7, 1} {
		req := policy.Request{Temperature: temperature, Seed: 5, MaxTokens: 20}
		a, err := ours.Generate(ctx, asked, req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := theirs.Generate(ctx, asked, req)
		if err != nil {
			t.Fatal(err)
		}
		for i := range a {
			if !slices.Equal(a[i].Tokens, b[i].Tokens) || !near(a[i].LogProbs, b[i].LogProbs) ||
				a[i].Reason != b[i].Reason {
				t.Errorf("temperature %v, prompt %d:\nhere  %+v\nthere %+v", temperature, i, a[i], b[i])
			}
		}
	}
	seq := []policy.Sequence{{Prompt: asked[1], Answer: ours.Answer("[f(a='x')]")}}
	a, err := ours.LogProbs(ctx, seq)
	if err != nil {
		t.Fatal(err)
	}
	b, err := theirs.LogProbs(ctx, seq)
	if err != nil || !near(a[0], b[0]) {
		t.Errorf("scored %v (%v), want %v", b, err, a)
	}
	var choices [2][][]float32
	for i, p := range []*policy.Policy{ours, theirs} {
		s, err := p.NewSession(asked[0])
		if err != nil {
			t.Fatal(err)
		}
		if choices[i], err = s.Choose(ctx, s.Root(), [][]int32{{70}, {71, 72}}, []int32{65, 66, 67}); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.EqualFunc(choices[0], choices[1], near) {
		t.Errorf("choices %v, want %v", choices[1], choices[0])
	}
}

// TestCanary: an adapter that is accepted and ignored, and log-probabilities that are not raw, are found before any
// answer is used.
func TestCanary(t *testing.T) {
	for name, c := range map[string]struct {
		in   *standIn
		want string
	}{
		"vLLM ignores the adapter":   {&standIn{kind: remote.VLLM, ignores: true}, "ignores it"},
		"SGLang ignores the adapter": {&standIn{kind: remote.SGLang, ignores: true}, "ignores it"},
		"processed_logprobs":         {&standIn{kind: remote.VLLM, tempered: true}, "raw_logprobs"},
	} {
		t.Run(name, func(t *testing.T) {
			c.in.base = policytest.Open(t, 1)
			_, err := ask(t, c.in.kind, trained(t), c.in.start(t))
			var failed *policy.ServerError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want %q", err, c.want)
			}
		})
	}
}

// TestHostileServer: what a server sends instead of an answer is a *ServerError that names it.
func TestHostileServer(t *testing.T) {
	event := func(ids, logps string) string {
		return fmt.Sprintf(`data: {"choices":[{"token_ids":%s,"logprobs":{"token_logprobs":%s}}]}`+"\n\n", ids, logps)
	}
	for name, c := range map[string]struct{ body, want string }{
		"not JSON":              {"data: {]\n\n", "is no completion"},
		"an id too large":       {event("[99999]", "[-1]"), "not in the vocabulary"},
		"an id below 0":         {event("[-1]", "[-1]"), "not in the vocabulary"},
		"an id that is no int":  {event("[1e99]", "[-1]"), "is no completion"},
		"NaN":                   {event("[5]", "[NaN]"), "is no completion"},
		"infinity":              {event("[5]", "[-1e999]"), "is no completion"},
		"a probability above 1": {event("[5]", "[0.5]"), "log-probability"},
		"null":                  {event("[5]", "[null]"), "no log-probability"},
		"fewer numbers":         {event("[5, 6]", "[-1]"), "no log-probability for each"},
		"nothing":               {"", "ended after 0 of"},
		"too little":            {event("[5]", "[-1]") + "data: [DONE]\n\n", "ended after 1 of"},
		"an endless event":      {"data: " + strings.Repeat("x", 9<<20), "more than"},
		"an error":              {`data: {"error":{"message":"s3cret out of memory"}}` + "\n\n", "out of memory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var hostile atomic.Bool
			in := &standIn{kind: remote.VLLM, base: policytest.Open(t, 1)}
			in.before = func(w http.ResponseWriter, path string) bool {
				if hostile.Load() && path == "/v1/completions" {
					_, _ = io.WriteString(w, c.body)
					return true
				}
				return false
			}
			p, err := ask(t, in.kind, policytest.Tiny(1), in.start(t))
			if err != nil {
				t.Fatal(err)
			}
			hostile.Store(true)
			_, err = p.Generate(t.Context(), prompts(t, p)[:1], policy.Request{MaxTokens: 9, Temperature: 1, Seed: 3})
			var failed *policy.ServerError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) ||
				!strings.Contains(err.Error(), "http://127.0.0.1") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("err = %v, want %q, the address and no key", err, c.want)
			}
		})
	}
}

// TestTriesAgain: a stream that breaks is drawn again with the same seed, and gives the same answer; one that goes on
// with other tokens is an error.
func TestTriesAgain(t *testing.T) {
	var streams atomic.Int64
	in := &standIn{kind: remote.VLLM, base: policytest.Open(t, 1), cut: func() int {
		if streams.Add(1)%4 == 2 { // then the canary is asked again
			return 4
		}
		return 0
	}}
	p, err := ask(t, in.kind, policytest.Tiny(1), in.start(t))
	if err != nil {
		t.Fatal(err)
	}
	req := policy.Request{MaxTokens: 12, Temperature: 1, Seed: 3}
	for range 2 {
		got, err := p.Generate(t.Context(), prompts(t, p)[:1], req)
		if err != nil {
			t.Fatal(err)
		}
		want, err := in.base.Generate(t.Context(), prompts(t, p)[:1], req)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got[0].Tokens, want[0].Tokens) {
			t.Errorf("got %v, want %v", got[0].Tokens, want[0].Tokens)
		}
	}
	if streams.Load() < 3 {
		t.Errorf("%d streams: none was drawn again", streams.Load())
	}
}

// TestFollowsTheServer: a server that refuses more than two requests at a time gets all its work done, and an address
// where nothing listens does not matter.
func TestFollowsTheServer(t *testing.T) {
	in := &standIn{kind: remote.VLLM, base: policytest.Open(t, 1)}
	server := in.start(t)
	var many atomic.Bool // there is more to do than it has room for
	var once sync.Once
	room, refused := make(chan struct{}, 2), make(chan struct{})
	narrow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
			if many.Load() {
				select {
				case <-refused: // it is busy at least until then
				case <-r.Context().Done():
				}
			}
			server.Config.Handler.ServeHTTP(w, r)
		default:
			once.Do(func() { close(refused) })
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	t.Cleanup(narrow.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	p, err := ask(t, in.kind, policytest.Tiny(1), gone, narrow)
	if err != nil {
		t.Fatal(err)
	}
	many.Store(true)
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			req := policy.Request{MaxTokens: 6, Temperature: 1, Seed: uint64(i)}
			if _, err := p.Generate(t.Context(), prompts(t, p), req); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	select {
	case <-refused:
	default:
		t.Error("no request was refused: this tests nothing")
	}
}

// TestRounds: every round's adapter is another model there, and old ones do not pile up.
func TestRounds(t *testing.T) {
	in := &standIn{kind: remote.SGLang, base: policytest.Open(t, 1)}
	pool, err := remote.New(remote.Options{Addresses: []string{in.start(t).URL}, Adapters: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := policy.NewEngine(policy.Options{Servers: pool})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 7 {
		files := trainedFor(t, round+1)
		theirs, err := engine.Ask(t.Context(), in.kind, fmt.Sprint(round), files)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := policy.Open(files, policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		seq := []policy.Sequence{{Prompt: prompts(t, ours)[0], Answer: ours.Answer("[f(a='A')]")}}
		a, err := ours.LogProbs(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		b, err := theirs.LogProbs(t.Context(), seq)
		if err != nil || !near(a[0], b[0]) {
			t.Errorf("round %d: %v (%v), want %v", round, b, err, a)
		}
	}
	if in.most > 5 {
		t.Errorf("%d adapters at a time", in.most)
	}
}

// TestShortContext: what does not fit into the server's context is the server's fault, with a remedy.
func TestShortContext(t *testing.T) {
	in := &standIn{kind: remote.VLLM, base: policytest.Open(t, 1)}
	in.before = func(w http.ResponseWriter, path string) bool {
		if path == "/v1/models" {
			_, _ = io.WriteString(w, `{"data":[{"id":"/models/tiny","owned_by":"vllm","max_model_len":100}]}`)
			return true
		}
		return false
	}
	p, err := ask(t, in.kind, policytest.Tiny(1), in.start(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Generate(t.Context(), prompts(t, p)[:1], policy.Request{MaxTokens: 200})
	var failed *policy.ServerError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "start it with a longer context") {
		t.Errorf("err = %v", err)
	}
	if _, err := p.Generate(t.Context(), prompts(t, p)[:1], policy.Request{MaxTokens: 8}); err != nil {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	for _, address := range []string{
		"", "gpu1:8000", "ftp://gpu1", "http://", "http://u:hunter2@gpu1", "http://gpu1?k=1",
		"http://gpu1/\x7f",
	} {
		_, err := remote.New(remote.Options{Addresses: []string{address}})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: err = %v", address, err)
		}
	}
	if err := (remote.Config{Kind: "ollama"}).Validate(); err == nil {
		t.Error("an unknown kind is accepted")
	}
}
