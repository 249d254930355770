package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"itool/ops/demo"
	"itool/ops/serve"
	"itool/ops/synth"
	"itool/schemas/toolcall"
	"itool/schemas/toolcall/toolcalltest"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/policy/train"
)

// start serves a policy until the test ends.
func start(t *testing.T, p *policy.Policy, o serve.Options) *httptest.Server {
	t.Helper()
	s := serve.New(p, o)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	server := httptest.NewServer(s)
	t.Cleanup(func() { server.Close(); stop(); <-done })
	return server
}

func post(t *testing.T, server *httptest.Server, path string, body any) (int, []byte) {
	t.Helper()
	raw, ok := body.(string)
	if !ok {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		raw = string(text)
	}
	r, err := http.Post(server.URL+path, "application/json", strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	out, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, out
}

type choice struct {
	Index   int
	Text    string
	Message struct {
		Role    string
		Content *string
		Calls   []call `json:"tool_calls"`
	}
	Delta struct {
		Role    string
		Content string
		Calls   []call `json:"tool_calls"`
	}
	Finish   *string `json:"finish_reason"`
	LogProbs *struct {
		Content []struct {
			Token   string
			LogProb float64
			Top     []struct {
				Token   string
				LogProb float64
			} `json:"top_logprobs"`
		}
		Tokens []string
		Token  []*float64           `json:"token_logprobs"`
		Top    []map[string]float64 `json:"top_logprobs"`
		Offset []int                `json:"text_offset"`
	}
}

type call struct {
	Index    *int
	ID       string
	Type     string
	Function struct{ Name, Arguments string }
}

type answer struct {
	Object  string
	Choices []choice
	Usage   *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Details    struct {
			Cached int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	}
	Error *struct {
		Message string
		Param   *string
	}
}

func ask(t *testing.T, server *httptest.Server, path string, body any) answer {
	t.Helper()
	status, raw := post(t, server, path, body)
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d %s %v", path, status, raw, err)
	}
	return a
}

// stream reads server-sent events up to [DONE].
func stream(t *testing.T, server *httptest.Server, path string, body any) (all []answer) {
	t.Helper()
	status, raw := post(t, server, path, body)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", path, status, raw)
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	done := false
	for lines.Scan() {
		line, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if done = line == "[DONE]"; done {
			break
		}
		var a answer
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, a)
	}
	if !done {
		t.Errorf("the stream does not end in [DONE]: %s", raw)
	}
	return all
}

type object = map[string]any

// TestChatCalls: what the demo's base calls over HTTP, at once and in a stream, is what
// it calls in the line.
func TestChatCalls(t *testing.T) {
	p, err := policy.Open(demo.Base(), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := start(t, p, serve.Options{})
	c := synth.Default()
	c.Seed, c.Rows, c.Fold, c.Folds, c.Missing, c.NoTool = 5, 24, 2, 3, 0.2, 0
	rows, err := synth.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	withCalls, withWords := 0, 0
	var wg sync.WaitGroup
	for row := range rows {
		var msgs []policy.Message
		for _, m := range row.Messages[:len(row.Messages)-1] {
			msgs = append(msgs, policy.Message(m))
		}
		prompt, err := p.Prompt(msgs, row.Tools)
		if err != nil {
			t.Fatal(err)
		}
		draws, err := p.Generate(t.Context(), [][]int32{prompt}, policy.Request{MaxTokens: 120})
		if err != nil {
			t.Fatal(err)
		}
		want, finish := p.Text(draws[0].Tokens), "stop"
		calls, err := toolcall.Read(want)
		if isCall := err == nil && len(calls) > 0 && strings.HasPrefix(want, "["); isCall {
			finish = "tool_calls"
			withCalls++
		} else {
			calls = nil
			withWords++
		}
		if draws[0].Reason == policy.ReasonLength && calls == nil {
			finish = "length"
		}
		body := object{
			"messages": row.Messages[:len(row.Messages)-1], "tools": wrapped(t, row.Tools),
			"temperature": 0, "max_tokens": 120,
		}
		wg.Go(func() { chats(t, server, body, want, calls, finish, len(prompt), len(draws[0].Tokens)) })
	}
	wg.Wait()
	if withCalls < 5 || withWords == 0 {
		t.Errorf("%d answers with calls, %d without: the test shows little", withCalls, withWords)
	}
}

// chats asks at once and in a stream, and wants the answer, its calls if it is made of
// some, and the numbers of tokens.
func chats(t *testing.T, server *httptest.Server, body object, want string, calls []toolcall.Call, finish string,
	prompt, drawn int) {
	t.Helper()
	a := ask(t, server, "/v1/chat/completions", body)
	m := a.Choices[0].Message
	check(t, "at once", want, calls, m.Content, m.Calls)
	if got := *a.Choices[0].Finish; got != finish {
		t.Errorf("%s: finish reason %q, want %q", want, got, finish)
	}
	if a.Usage.Prompt != prompt || a.Usage.Completion != drawn || a.Usage.Details.Cached >= prompt {
		t.Errorf("usage %+v, want %d and %d", a.Usage, prompt, drawn)
	}
	streamed := object{"stream": true, "stream_options": object{"include_usage": true}}
	for k, v := range body {
		streamed[k] = v
	}
	var content *string
	var got []call
	last := ""
	events := stream(t, server, "/v1/chat/completions", streamed)
	for i, e := range events {
		if i == len(events)-1 {
			// The first request left all but the last token of the prompt in the prefix cache.
			if len(e.Choices) != 0 || e.Usage.Completion != drawn || e.Usage.Details.Cached != prompt-1 {
				t.Errorf("the last event: %+v", e)
			}
			continue
		}
		d := e.Choices[0].Delta
		if (d.Role == "assistant") != (i == 0) {
			t.Errorf("event %d: role %q", i, d.Role)
		}
		if d.Content != "" {
			if content == nil {
				content = new(string)
			}
			*content += d.Content
		}
		got = append(got, d.Calls...)
		if f := e.Choices[0].Finish; f != nil {
			last = *f
		}
	}
	check(t, "streamed", want, calls, content, got)
	if last != finish {
		t.Errorf("streamed: finish reason %q, want %q", last, finish)
	}
}

// TestChatCallsOfEveryFormat: a model that has memorised an answer in a format makes its
// calls over HTTP, at once and in a stream.
func TestChatCallsOfEveryFormat(t *testing.T) {
	calls := toolcalltest.Calls(t)["everything in a few"]
	tools := json.RawMessage(`[{"name": "say", "parameters": ` +
		`{"type": "object", "properties": {"a": {"type": "string"}}}}]`)
	for _, f := range toolcalltest.Formats {
		t.Run(string(f), func(t *testing.T) {
			p, want := policytest.Open(t, 1), f.Print(calls)
			prompt, err := p.Prompt([]policy.Message{{Role: "user", Content: "Go!"}}, tools)
			if err != nil {
				t.Fatal(err)
			}
			p = memorised(t, p, prompt, p.Answer(want))
			server := start(t, p, serve.Options{Calls: f})
			body := object{
				"messages": []object{{"role": "user", "content": "Go!"}}, "tools": wrapped(t, tools),
				"temperature": 0, "max_tokens": 400,
			}
			chats(t, server, body, want, calls, "tool_calls", len(prompt), len(p.Answer(want)))
		})
	}
}

// memorised is the policy after training on one answer until it gives it.
func memorised(t *testing.T, p *policy.Policy, prompt, answer []int32) *policy.Policy {
	t.Helper()
	c := train.Default()
	c.Full, c.Tokens = true, len(prompt)+len(answer)
	one := []train.Example{{ID: "x", Prompt: prompt, Answer: answer}}
	tr, err := train.New(p.Model(), c, []train.Phase{
		{Name: "p", Examples: one, Epochs: 200, Rate: 5e-3, BatchSize: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	for loss := 1.0; loss > 1e-2; {
		s, err := tr.Step(t.Context())
		if err != nil {
			t.Fatalf("at a loss of %v: %v", loss, err)
		}
		loss = s.Loss
	}
	m, err := tr.Model()
	if err != nil {
		t.Fatal(err)
	}
	return p.With(m)
}

// wrapped are tools as OpenAI's clients send them.
func wrapped(t *testing.T, raw json.RawMessage) (out []any) {
	t.Helper()
	var tools []json.RawMessage
	if err := json.Unmarshal(raw, &tools); err != nil {
		t.Fatal(err)
	}
	for _, tool := range tools {
		out = append(out, object{"type": "function", "function": tool})
	}
	return out
}

func check(t *testing.T, how, want string, calls []toolcall.Call, content *string, got []call) {
	t.Helper()
	if calls == nil {
		if content == nil || *content != want || len(got) > 0 {
			t.Errorf("%s: %v %v, want the words %q", how, content, got, want)
		}
		return
	}
	if content != nil || len(got) != len(calls) {
		t.Errorf("%s: %v %v, want the calls %s", how, content, got, want)
		return
	}
	ids := map[string]bool{}
	for i, c := range got {
		args, err := toolcall.FromJSON([]byte(c.Function.Arguments))
		if err != nil {
			t.Error(err)
			return
		}
		back := toolcall.Call{Name: c.Function.Name}
		for _, p := range args.Pairs {
			back.Args = append(back.Args, toolcall.Arg{Name: p.Key.Text, Value: p.Value})
		}
		if !toolcall.Equal([]toolcall.Call{back}, calls[i:i+1]) || c.Type != "function" || ids[c.ID] || c.ID == "" {
			t.Errorf("%s: call %d is %+v, want %s", how, i, c, want)
		}
		ids[c.ID] = true
	}
}

// TestSeeds: a seed gives the same words, also next to other requests; choice i has seed + i.
func TestSeeds(t *testing.T) {
	server := start(t, policytest.Open(t, 1), serve.Options{Tokens: 3000})
	body := func(seed, n int) object {
		return object{
			"prompt": "abc", "max_tokens": 20, "seed": seed, "n": n, "temperature": 1.2, "top_p": 0.9, "top_k": 50,
		}
	}
	many := ask(t, server, "/v1/completions", body(7, 4))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			one := ask(t, server, "/v1/completions", body(7+i, 1))
			if one.Choices[0].Text != many.Choices[i].Text || many.Choices[i].Index != i {
				t.Errorf("choice %d: %q, alone %q", i, many.Choices[i].Text, one.Choices[0].Text)
			}
			streamed := body(7+i, 1)
			streamed["stream"], streamed["logprobs"] = true, 2
			words, tokens := "", 0
			for _, e := range stream(t, server, "/v1/completions", streamed) {
				words += e.Choices[0].Text
				if l := e.Choices[0].LogProbs; l != nil {
					tokens += len(l.Tokens)
				}
			}
			if words != one.Choices[0].Text || tokens != one.Usage.Completion {
				t.Errorf("streamed: %q with %d tokens, at once %q with %d",
					words, tokens, one.Choices[0].Text, one.Usage.Completion)
			}
		})
	}
	wg.Wait()
}

// TestGenerationConfig: the checkpoint's settings are used where the request has none.
func TestGenerationConfig(t *testing.T) {
	files := policytest.Tiny(1).(fstest.MapFS)
	files["generation_config.json"] = &fstest.MapFile{Data: []byte(
		`{"temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.01, "repetition_penalty": 1.1}`)}
	p, err := policy.Open(files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	own := start(t, p, serve.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	plain := start(t, policytest.Open(t, 1), serve.Options{})
	text := func(server *httptest.Server, settings object) string {
		body := object{"prompt": "abc", "max_tokens": 20, "seed": 5}
		maps.Copy(body, settings)
		return ask(t, server, "/v1/completions", body).Choices[0].Text
	}
	asked := object{"temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.01}
	if got, want := text(own, nil), text(plain, asked); got != want || got == text(plain, nil) {
		t.Errorf("left open: %q; asked for of a plain checkpoint: %q, of nothing: %q", got, want, text(plain, nil))
	}
	all := object{"temperature": 1, "top_p": 1, "top_k": -1, "min_p": 0}
	if got, want := text(own, all), text(plain, nil); got != want {
		t.Errorf("asked for all: %q, want %q", got, want)
	}
	if !strings.Contains(log.String(), "repetition_penalty=1.1") {
		t.Errorf("the log says %q", log.String())
	}
}

// TestEcho: log-probabilities are those of training, of the prompt and of what is drawn,
// for text and for token IDs.
func TestEcho(t *testing.T) {
	p := policytest.Open(t, 1)
	server := start(t, p, serve.Options{})
	ids := p.Raw("Grüße")
	want, err := p.LogProbs(t.Context(), []policy.Sequence{{Prompt: ids[:1], Answer: ids[1:]}})
	if err != nil {
		t.Fatal(err)
	}
	for _, prompt := range []any{"Grüße", ids, [][]int32{ids}, []string{"Grüße"}} {
		body := object{"prompt": prompt, "max_tokens": 0, "echo": true, "logprobs": 0}
		l := ask(t, server, "/v1/completions", body).Choices[0].LogProbs
		if len(l.Token) != len(ids) || l.Token[0] != nil || len(l.Tokens) != len(ids) || len(l.Offset) != len(ids) {
			t.Fatalf("%v: %+v", prompt, l)
		}
		for i, logp := range want[0] {
			if math.Abs(*l.Token[i+1]-float64(logp)) > 1e-6 {
				t.Errorf("%v: token %d: %v, want %v", prompt, i+1, *l.Token[i+1], logp)
			}
		}
	}
	a := ask(t, server, "/v1/completions", object{
		"prompt": []any{"ab", "abc"}, "max_tokens": 3, "echo": true, "logprobs": 2, "temperature": 0,
	})
	if len(a.Choices) != 2 || !strings.HasPrefix(a.Choices[1].Text, "<|bos|>abc") {
		t.Fatalf("two prompts: %+v", a.Choices)
	}
	l := a.Choices[1].LogProbs
	got, n := strings.Join(l.Tokens, ""), len(l.Tokens)
	if len(l.Token) != n || len(l.Top) != n || !strings.HasPrefix(got, a.Choices[1].Text[:8]) {
		t.Fatalf("tokens %q of %q", l.Tokens, a.Choices[1].Text)
	}
	// Greedy tokens are the likeliest of their places, to the bit: evaluation harnesses compare them.
	for i := range l.Tokens {
		if (l.Top[i] == nil) != (i == 0) {
			t.Errorf("token %d: alternatives %v", i, l.Top[i])
			continue
		}
		best := math.Inf(-1)
		for _, logp := range l.Top[i] {
			best = max(best, logp)
		}
		if drawn := i >= len(l.Tokens)-a.Usage.Completion/2; i > 0 && drawn && *l.Token[i] != best {
			t.Errorf("token %d: %v, the likeliest has %v", i, *l.Token[i], best)
		}
	}
}

func TestChatLogProbs(t *testing.T) {
	server := start(t, policytest.Open(t, 1), serve.Options{})
	parts := []object{{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}}
	body := object{
		"messages":              []object{{"role": "developer", "content": parts}, {"role": "user", "content": "Hi"}},
		"max_completion_tokens": 6, "temperature": 0, "logprobs": true, "top_logprobs": 3,
	}
	a := ask(t, server, "/v1/chat/completions", body)
	list := a.Choices[0].LogProbs.Content
	if len(list) != a.Usage.Completion {
		t.Fatalf("%d tokens of %d", len(list), a.Usage.Completion)
	}
	for i, token := range list {
		if top := token.Top; len(top) != 3 || top[0].Token != token.Token ||
			math.Abs(top[0].LogProb-token.LogProb) > 1e-9 || top[1].LogProb > token.LogProb {
			t.Errorf("token %d: %+v", i, token)
		}
	}
	body["stream"] = true
	n := 0
	for _, e := range stream(t, server, "/v1/chat/completions", body) {
		if l := e.Choices[0].LogProbs; l != nil {
			n += len(l.Content)
		}
	}
	if n != len(list) {
		t.Errorf("streamed %d tokens, at once %d", n, len(list))
	}
}

func TestStop(t *testing.T) {
	server := start(t, policytest.Open(t, 1), serve.Options{})
	body := object{"prompt": "abc", "max_tokens": 60, "seed": 3}
	whole := ask(t, server, "/v1/completions", body).Choices[0].Text
	if len(whole) < 12 {
		t.Fatalf("%q is too short to show anything", whole)
	}
	stop := ""
	notASCII := func(r rune) bool { return r >= utf8.RuneSelf }
	for i := len(whole) / 4; stop == "" || strings.ContainsFunc(stop, notASCII); i++ {
		stop = whole[i : i+2]
	}
	want, _, _ := strings.Cut(whole, stop)
	body["stop"] = []string{"never said", stop}
	a := ask(t, server, "/v1/completions", body)
	if got := a.Choices[0]; got.Text != want || *got.Finish != "stop" {
		t.Errorf("%q %s, want %q of %q before %q", got.Text, *got.Finish, want, whole, stop)
	}
	body["stream"] = true
	got := ""
	for _, e := range stream(t, server, "/v1/completions", body) {
		got += e.Choices[0].Text
	}
	if got != want {
		t.Errorf("streamed %q, want %q", got, want)
	}
}

func TestRefusals(t *testing.T) {
	server := start(t, policytest.Open(t, 1), serve.Options{Tokens: 5000})
	chat := func(extra string) string { return `{"messages": [{"role": "user", "content": "Hi"}]` + extra + `}` }
	for _, c := range []struct {
		path, body string
		status     int
		want       string // part of the message; up to a colon it is the field
	}{
		{
			"completions", `{"prompt": [` + strings.Repeat("5,", 5000) + `5], "echo": true, "max_tokens": 0}`, 400,
			"prompt: prompt 0: 5001 tokens are longer",
		},
		{"completions", `{"prompt": ["` + strings.Repeat(`a", "`, 40) + `a"], "n": 7}`, 400, "n: 41 prompts with 7"},
		{
			"chat/completions", `{"messages": [{"role": "user", "content": "x"}], "functions": []}`, 400,
			"functions: is not supported",
		},
		{"chat/completions", `{"messages": [{"role": "assistant", "function_call": {}}]}`, 400, "function_call"},
		{"completions", `{"prompt": `, 400, "not the JSON"},
		{"completions", `{"prompt": "a"} {}`, 400, "more than one"},
		{"completions", `{}`, 400, "prompt: is missing"},
		{"completions", `{"prompt": null}`, 400, "prompt: is missing"},
		{"completions", `{"prompt": 7}`, 400, "prompt: neither"},
		{"completions", `{"prompt": [1, 99999]}`, 400, "id 99999"},
		{"completions", `{"prompt": [[]]}`, 400, "prompt 0 is empty"},
		{"completions", `{"prompt": "a", "temperature": -1}`, 400, "temperature: -1"},
		{"completions", `{"prompt": "a", "temperature": "hot"}`, 400, "temperature: a string"},
		{"completions", `{"prompt": "a", "top_p": 0}`, 400, "top_p"},
		{"completions", `{"prompt": "a", "n": 17}`, 400, "n: 17"},
		{"completions", `{"prompt": "a", "max_tokens": -1}`, 400, "max_tokens: -1"},
		{"completions", `{"prompt": "a", "max_tokens": 0}`, 400, "without echo"},
		{"completions", `{"prompt": "a", "max_tokens": 6000}`, 200, ""}, // cut to the context
		{"completions", `{"prompt": "a", "stop": ""}`, 400, "stop"},
		{"completions", `{"prompt": "a", "logit_bias": {"5": 1}}`, 400, "logit_bias"},
		{"completions", `{"prompt": "a", "logprobs": 21}`, 400, "logprobs: 21"},
		{"completions", `{"prompt": "` + strings.Repeat("a", 5000) + `"}`, 400, "longer than the model's context"},
		{"completions", `{"prompt": "` + strings.Repeat("a", 9<<20) + `"}`, 413, "bytes"},
		{"chat/completions", `{"messages": []}`, 400, "messages: there are none"},
		{"chat/completions", `{"messages": [{"role": "robot", "content": "x"}]}`, 400, "robot"},
		{"chat/completions", `{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}`, 400, "image_url"},
		{
			"chat/completions",
			`{"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]}`,
			400, `arguments of "f"`,
		},
		{"chat/completions", chat(`, "tool_choice": "required"`), 400, "tool_choice"},
		{"chat/completions", chat(`, "tools": [{"type": "function"}]`), 400, "tools"},
		{"chat/completions", chat(`, "top_logprobs": 2`), 400, "needs logprobs"},
		{"chat/completions", chat(`, "tool_choice": "any"`), 400, "tool_choice: is not supported"},
		{
			"chat/completions", chat(`, "tools": [{"type": "function", "function": {"name": "f"}}], ` +
				`"tool_choice": {"type": "function", "function": {"name": "g"}}`), 400,
			`tool_choice: no tool is called "g"`,
		},
		{"chat/completions", chat(`, "response_format": {"type": "xml"}`), 400, "response_format: type"},
		{
			"chat/completions", chat(`, "response_format": {"type": "json_schema"}`), 400,
			"response_format: json_schema.schema",
		},
		{
			"chat/completions", chat(`, "response_format": {"type": "json_schema", "json_schema": {"name": "x", ` +
				`"schema": {"type": "object", "properties": {"a": {"type": "string", "format": "uri"}}}}}`), 400,
			"response_format: $.properties.a: format: is not supported",
		},
		{"completions", `{"prompt": "a", "response_format": {"type": "json_object"}}`, 400, "response_format: is not"},
		{"nothing", `{}`, 404, "/v1/models"},
	} {
		status, raw := post(t, server, "/v1/"+c.path, c.body)
		var a answer
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Errorf("%.60s: %s", c.body, raw)
			continue
		}
		if status != c.status || c.want != "" && (a.Error == nil || !strings.Contains(a.Error.Message, c.want)) {
			t.Errorf("%.80s: %d %.200s, want %d with %q", c.body, status, raw, c.status, c.want)
			continue
		}
		if field, _, ok := strings.Cut(c.want, ": "); ok && (a.Error.Param == nil || *a.Error.Param != field) {
			t.Errorf("%.80s: the field is %v, want %s", c.body, a.Error.Param, field)
		}
	}
}

func TestKey(t *testing.T) {
	server := start(t, policytest.Open(t, 1), serve.Options{Key: "secret", Name: "m"})
	for key, want := range map[string]int{"": 401, "wrong": 401, "secret": 200} {
		r, _ := http.NewRequest("GET", server.URL+"/v1/models", nil)
		r.Header.Set("Authorization", "Bearer "+key)
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(got.Body)
		got.Body.Close()
		answered := want != 200 || bytes.Contains(body, []byte(`"id":"m"`))
		if got.StatusCode != want || bytes.Contains(body, []byte("secret")) || !answered {
			t.Errorf("key %q: %d %s, want %d", key, got.StatusCode, body, want)
		}
	}
}

// TestGone: a request too many is refused, and a client that leaves makes room.
func TestGone(t *testing.T) {
	p := policytest.Open(t, 1)
	server := start(t, p, serve.Options{Requests: 2})
	endless := "" // a prompt whose greedy answer repeats itself and does not end
	for _, prompt := range []string{"abc", "a", "b", "x y", "why"} {
		d, err := p.Generate(t.Context(), [][]int32{p.Raw(prompt)}, policy.Request{MaxTokens: 600})
		if err == nil && d[0].Reason == policy.ReasonLength {
			endless = prompt
		}
	}
	if endless == "" {
		t.Fatal("every answer ends soon")
	}
	body := fmt.Sprintf(`{"prompt": %q, "max_tokens": 4000, "temperature": 0, "stream": true}`, endless)
	ask := func() (status int, leave func()) {
		ctx, cancel := context.WithCancel(context.Background())
		r, _ := http.NewRequestWithContext(ctx, "POST", server.URL+"/v1/completions", strings.NewReader(body))
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return got.StatusCode, func() { cancel(); got.Body.Close() }
	}
	answered, refused := 0, 0
	for try := 0; answered < 6 && try < 3000; try++ {
		var all [3]func()
		for j := range all {
			var status int
			switch status, all[j] = ask(); status {
			case http.StatusOK:
				answered++
			case http.StatusTooManyRequests:
				refused++
			default:
				t.Fatalf("status %d", status)
			}
		}
		for _, leave := range all {
			leave()
		}
	}
	if answered < 6 || refused == 0 {
		t.Errorf("%d were answered, %d told to come again: two at a time may be", answered, refused)
	}
}
