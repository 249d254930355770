package serve_test

import (
	"errors"
	"io/fs"
	"math"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"itool/ops/serve"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/policy/remote"
	"itool/stages/policy/train"
	"itool/stages/stagetest"
)

// This file asks the real server through package remote, as workers do with --engine: what comes back must be what
// the engine computes in this process.

// trained is the tiny model's folder with an adapter that changes its answers.
func trained(t testing.TB, steps int) fstest.MapFS {
	t.Helper()
	files := policytest.Tiny(1).(fstest.MapFS)
	p := policytest.Open(t, 1)
	prompt, err := p.Prompt([]policy.Message{{Role: "user", Content: "A"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	phase := train.Phase{Name: "school", Epochs: steps, Rate: 0.02, BatchSize: 1, Examples: []train.Example{
		{ID: "e", Prompt: prompt, Answer: p.Answer("[f(a='A')]")},
	}}
	tr, err := train.New(p.Model(), train.Default(), []train.Phase{phase})
	if err != nil {
		t.Fatal(err)
	}
	for range steps {
		if _, err := tr.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	out := fstest.MapFS{}
	for name, f := range files {
		out[name] = f
	}
	if err := tr.Adapter(false).Save(stagetest.Create(out)); err != nil {
		t.Fatal(err)
	}
	return out
}

// asked is an engine that asks a server, and one that does not.
func asked(t *testing.T, server *httptest.Server, o remote.Options) *policy.Engine {
	t.Helper()
	o.Addresses = []string{server.URL + "/v1"}
	pool, err := remote.New(o)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := policy.NewEngine(policy.Options{Servers: pool})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

func TestRemoteEngine(t *testing.T) {
	adapters := t.TempDir()
	server := start(t, policytest.Open(t, 1), serve.Options{
		Name: "tiny", Key: "s3cret", Adapters: os.DirFS(adapters),
	})
	engine := asked(t, server, remote.Options{Key: "s3cret", Adapters: adapters})
	for name, files := range map[string]fs.FS{
		"base": policytest.Tiny(1), "first": trained(t, 5), "second": trained(t, 9),
	} {
		theirs, err := engine.Ask(t.Context(), remote.Itool, name, files)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ours, err := engine.Open(name, files)
		if err != nil {
			t.Fatal(err)
		}
		sameAnswers(t, name, ours, theirs)
	}
	entries, err := os.ReadDir(adapters)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d folders of adapters (%v), want 2: one for each content", len(entries), err)
	}
}

// sameAnswers compares everything that stages ask, to the last bit.
func sameAnswers(t *testing.T, name string, ours, theirs *policy.Policy) {
	t.Helper()
	ctx := t.Context()
	var prompts [][]int32
	var seqs []policy.Sequence
	for _, text := range []string{"A", "Call f.", "Which tool?"} {
		prompt, err := ours.Prompt([]policy.Message{{Role: "user", Content: text}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		prompts = append(prompts, prompt)
		seqs = append(seqs, policy.Sequence{Prompt: prompt, Answer: ours.Answer("[f(a='" + text + "')]")})
	}
	for _, temperature := range []float64{0, 0.7, 1} {
		req := policy.Request{Temperature: temperature, Seed: 1<<63 + 5, MaxTokens: 24}
		a, err := ours.Generate(ctx, prompts, req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := theirs.Generate(ctx, prompts, req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range a {
			if !slices.Equal(a[i].Tokens, b[i].Tokens) || !slices.Equal(a[i].LogProbs, b[i].LogProbs) ||
				a[i].Reason != b[i].Reason {
				t.Errorf("%s: temperature %v, prompt %d:\n%v\n%v", name, temperature, i, a[i], b[i])
			}
		}
	}
	a, err := ours.LogProbs(ctx, seqs)
	if err != nil {
		t.Fatal(err)
	}
	b, err := theirs.LogProbs(ctx, seqs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range a {
		if !slices.Equal(a[i], b[i]) {
			t.Errorf("%s: sequence %d: scored %v, want %v", name, i, b[i], a[i])
		}
	}
	sameTrees(t, name, ours, theirs, prompts[1])
}

// sameTrees compares sessions: branches of branches, what may come next, and a new prompt.
func sameTrees(t *testing.T, name string, ours, theirs *policy.Policy, prompt []int32) {
	t.Helper()
	ctx := t.Context()
	var tokens [2][]int32
	var logps [2][][]float32
	for i, p := range []*policy.Policy{ours, theirs} {
		s, err := p.NewSession(prompt[:4])
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(prompt); err != nil {
			t.Fatal(err)
		}
		n := 0
		draws, err := s.Draw(ctx, []policy.Request{
			{From: s.Root(), Temperature: 1, Seed: 3, MaxTokens: 16, Stop: func(int32) bool { n++; return n == 6 }},
		})
		if err != nil {
			t.Fatal(err)
		}
		d := &draws[0]
		tokens[i] = append(tokens[i], d.Tokens...)
		after, scored, err := s.Append(ctx, d.At(2), ours.Answer("x"))
		if err != nil {
			t.Fatal(err)
		}
		more, err := s.Draw(ctx, []policy.Request{
			{From: d.End, Seed: 4, Temperature: 1, MaxTokens: 5}, {From: after, MaxTokens: 3},
		})
		if err != nil {
			t.Fatal(err)
		}
		tokens[i] = append(append(tokens[i], more[0].Tokens...), more[1].Tokens...)
		next, err := s.Next(ctx, d.At(3), []int32{65, 66})
		if err != nil {
			t.Fatal(err)
		}
		choices, err := s.Choose(ctx, s.Root(), [][]int32{{70}, {71, 72}}, []int32{65, 66, 67})
		if err != nil {
			t.Fatal(err)
		}
		logps[i] = append([][]float32{scored, next}, choices...)
	}
	near := func(x, y []float32) bool { // a tree rounds otherwise than a plain sequence
		return slices.EqualFunc(x, y, func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-5 })
	}
	if !slices.Equal(tokens[0], tokens[1]) || !slices.EqualFunc(logps[0], logps[1], near) {
		t.Errorf("%s: a tree there\n%v %v\nand here\n%v %v", name, tokens[1], logps[1], tokens[0], logps[0])
	}
}

// TestRemoteEngineRefuses: a server that does not have the policy's weights computes nothing, and no error has the key.
func TestRemoteEngineRefuses(t *testing.T) {
	adapters := t.TempDir()
	tiny, adapted := policytest.Tiny(1), trained(t, 5)
	one, other := policytest.Open(t, 1), policytest.Open(t, 2)
	key := func(k string) remote.Options { return remote.Options{Key: k} }
	shared := remote.Options{Adapters: adapters}
	for name, c := range map[string]struct {
		served  *policy.Policy
		options serve.Options
		ask     remote.Options
		kind    string
		files   fs.FS
		want    string
	}{
		"another base": {other, serve.Options{}, key(""), remote.Itool, tiny, "is not the run's model"},
		"another kind": {one, serve.Options{}, key(""), remote.VLLM, tiny, "asks an engine of kind vllm"},
		"no adapters":  {one, serve.Options{}, shared, remote.Itool, adapted, "--adapters DIR"},
		"no folder":    {one, serve.Options{}, key(""), remote.Itool, adapted, "--engine-adapters"},
		"a wrong key":  {one, serve.Options{Key: "right"}, key("wr0ng"), remote.Itool, tiny, "401"},
		"no such kind": {one, serve.Options{}, key(""), "ollama", tiny, "none of"},
		"other folder": {one, serve.Options{Adapters: fstest.MapFS{}}, shared, remote.Itool, adapted, "lora_path"},
	} {
		t.Run(name, func(t *testing.T) {
			engine := asked(t, start(t, c.served, c.options), c.ask)
			_, err := engine.Ask(t.Context(), c.kind, "d", c.files)
			var failed *policy.ServerError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("err = %v, want %q", err, c.want)
			}
			if c.ask.Key != "" && strings.Contains(err.Error(), c.ask.Key) {
				t.Errorf("the key is in %v", err)
			}
		})
	}
}

// TestTokenIDs: what /v1/completions has of vLLM.
func TestTokenIDs(t *testing.T) {
	p := policytest.Open(t, 1)
	server := start(t, p, serve.Options{})
	status, body := post(t, server, "/v1/completions", map[string]any{
		"prompt": []int32{65, 66, 67}, "max_tokens": 1, "logprobs": 0, "seed": 1, "temperature": 1,
		"return_token_ids": true, "return_tokens_as_token_ids": true, "logprob_token_ids": []int32{70, 71},
	})
	if status != 200 {
		t.Fatalf("%d: %s", status, body)
	}
	for _, want := range []string{`"token_ids":[`, `"token_id:70":-`, `"token_id:71":-`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%s\nhas no %s", body, want)
		}
	}
	if _, err := policy.CheckLogProb(math.NaN()); err == nil {
		t.Error("NaN passes for a log-probability")
	}
}
