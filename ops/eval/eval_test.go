package eval_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"itool/ops/eval"
	"itool/ops/job"
	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/stages/evaluate/converse"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

const weather = `{"name": "get.weather", "description": "Weather of a city.", "parameters": {"type": "dict",` +
	` "properties": {"city": {"type": "string"}, "days": {"type": "integer"},` +
	` "default": {"type": "float", "default": {"type": "float"}}}, "required": ["city"]}}`

// bench writes a benchmark of two categories and three questions.
func bench(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	question := func(id, text string) string {
		return fmt.Sprintf(`{"id": %q, "question": [[{"role": "user", "content": %q}]], "function": [%s]}`,
			id, text, weather)
	}
	answer := func(id, city string) string {
		return fmt.Sprintf(`{"id": %q, "ground_truth": [{"get.weather": {"city": [%q], "days": ["", 3]}}]}`, id, city)
	}
	for name, lines := range map[string][]string{
		"BFCL_v3_simple.json":                      {question("simple_0", "Oslo?"), question("simple_1", "Rome?")},
		"possible_answer/BFCL_v3_simple.json":      {answer("simple_0", "Oslo"), answer("simple_1", "Rome")},
		"BFCL_v3_live_simple.json":                 {question("live_simple_0-0-0", "Bonn?")},
		"possible_answer/BFCL_v3_live_simple.json": {answer("live_simple_0-0-0", "Bonn")},
		"BFCL_v3_multi_turn_base.json":             {`{"id": "multi_turn_base_0"}`},
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T) []eval.File {
	t.Helper()
	paths, skipped, err := eval.Options{}.BFCL(bench(t), nil)
	if err != nil || len(paths) != 2 || len(skipped) != 1 || skipped[0].Name != "multi_turn_base" {
		t.Fatalf("paths %v, skipped %v, %v", paths, skipped, err)
	}
	files, err := eval.Options{}.Load(t.Context(), paths)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// says answers by the question's text.
type says struct {
	answers map[string]string
	asked   *atomic.Int32
	fail    string // the question that breaks the model
}

func (m says) Answer(_ context.Context, c *eval.Case) (eval.Answer, error) {
	m.asked.Add(1)
	for question, answer := range m.answers {
		if strings.Contains(c.Example.Messages, question) {
			if m.fail != "" && question == m.fail {
				return eval.Answer{}, errors.New("the server burnt down")
			}
			return eval.Answer{Result: answer, Tokens: 7}, nil
		}
	}
	return eval.Answer{Result: "", Error: "too long"}, nil
}

func (says) Step(context.Context, multiturn.Request) (converse.Answer, error) {
	return converse.Answer{}, errors.New("no case has several turns")
}

func (says) Pythonic(text string) string { return text }

var origin = eval.Origin{Model: "m", Digest: "d", MaxTokens: 64}

func ask(t *testing.T, m eval.Model, files []eval.File, path string) error {
	t.Helper()
	dir, err := eval.OpenFolder(path, origin)
	if err != nil {
		t.Fatal(err)
	}
	err = eval.Ask(t.Context(), m, files, dir, eval.AtOnce{4, 4}, func(eval.Progress) {})
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	return err
}

// TestResume: a failure loses no answer that was given, no question is asked twice, half a line is asked again,
// and the bytes are those of an evaluation without a failure.
func TestResume(t *testing.T) {
	files, path := load(t), t.TempDir()
	m := says{map[string]string{"Oslo": "[get.weather(city='Oslo')]", "Rome": "no", "Bonn": "[get.weather(city=1)]"},
		new(atomic.Int32), "Rome"}
	if err := ask(t, m, files, path); err == nil || !strings.Contains(err.Error(), "simple_1: the server burnt down") {
		t.Fatalf("err = %v, want the model's with its question", err)
	}
	name := filepath.Join(path, "BFCL_v3_live_simple_result.json")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, append(whole, `{"id": "li`...), 0o644); err != nil {
		t.Fatal(err)
	}
	m.fail = ""
	m.asked.Store(0)
	if err := ask(t, m, files, path); err != nil {
		t.Fatal(err)
	}
	if n := m.asked.Load(); n < 1 || n > 2 {
		t.Errorf("%d questions were asked again, want 1 or 2", n)
	}
	calm := t.TempDir()
	if err := ask(t, m, files, calm); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"BFCL_v3_live_simple_result.json", "BFCL_v3_simple_result.json", "eval.json"} {
		got, err1 := os.ReadFile(filepath.Join(path, f))
		want, err2 := os.ReadFile(filepath.Join(calm, f))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-calm +resumed):\n%s", f, diff)
		}
	}
}

// TestJudge: verdicts, sums and the comparison of two folders.
func TestJudge(t *testing.T) {
	files, ours, other := load(t), t.TempDir(), t.TempDir()
	good := says{map[string]string{
		"Oslo": "[get.weather(city='Oslo')]", "Rome": "[get.weather(city='Rome', days=3)]",
		"Bonn": "[get.weather(city=1)]",
	}, new(atomic.Int32), ""}
	poor := says{map[string]string{"Oslo": "[get.weather(city='Oslo')]", "Rome": "cannot"}, new(atomic.Int32), ""}
	if err := errors.Join(ask(t, good, files, ours), ask(t, poor, files, other)); err != nil {
		t.Fatal(err)
	}
	read := func(path string) []schemas.Verdict {
		dir, err := eval.ReadFolder(path)
		if err != nil {
			t.Fatal(err)
		}
		verdicts, missing, err := eval.Judge(files, dir)
		if err != nil || missing != 0 {
			t.Fatal(missing, err)
		}
		return verdicts
	}
	a, b := read(ours), read(other)
	var got []string
	for _, v := range append(a, b...) {
		got = append(got, fmt.Sprintf("%s %t %s", v.ExampleID, v.Pass, v.ErrorName))
	}
	want := []string{
		"BFCL_v3_live_simple/live_simple_0-0-0 false type_error:simple",
		"BFCL_v3_simple/simple_0 true ", "BFCL_v3_simple/simple_1 true ",
		"BFCL_v3_live_simple/live_simple_0-0-0 false answer:none",
		"BFCL_v3_simple/simple_0 true ", "BFCL_v3_simple/simple_1 false ast_decoder:decoder_failed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	r := eval.Summarise("ours", files, a, 1)
	r.Compare("other", b, a, 1)
	if r.Against.Gain.Won != 1 || r.Against.Gain.Lost != 0 || r.Against.Gain.N != 3 {
		t.Errorf("gain %+v", r.Against.Gain)
	}
	var text strings.Builder
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"ours: right 66.7 %", "live_simple", "against other", "won 1, lost 0", "code syntax"} {
		if !strings.Contains(text.String(), s) {
			t.Errorf("the table lacks %q:\n%s", s, text.String())
		}
	}
}

// TestForeignFolders: results of bfcl-eval are read, and what is broken is refused with its place.
func TestForeignFolders(t *testing.T) {
	files := load(t)
	for _, c := range []struct{ name, lines, want string }{
		{"function calls", `{"id": "simple_0", "result": [{"get.weather": "{\"city\": \"Oslo\"}"}]}` + "\n" +
			`{"id": "simple_1", "result": [{"get.weather": {"city": "Rome"}}], "latency": 2, "input_token_count": [3]}`,
			"true true"},
		{"no end of line", `{"id": "simple_0", "result": "[get.weather(city='Oslo')]"}`, "true"},
		{"wrong forms", `{"id": "simple_0", "result": 5}` + "\n" + `{"id": "simple_1", "result": [{"f": "{"}]}`,
			"false false"},
		{"no object", "[1]", "line 1: "},
		{"no id", `{"result": ""}`, `line 1: no "id"`},
		{"twice", `{"id": "a", "result": ""}` + "\n" + `{"id": "a", "result": ""}`, "line 2: id a stands there twice"},
		{"long", `{"id": "` + strings.Repeat("a", 17<<20) + `"}`, "line 1: longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := t.TempDir()
			err := os.WriteFile(filepath.Join(path, "BFCL_v3_simple_result.json"), []byte(c.lines), 0o644)
			if err != nil {
				t.Fatal(err)
			}
			dir, err := eval.ReadFolder(path)
			if err != nil {
				if !strings.Contains(err.Error(), c.want) || strings.HasPrefix(c.want, "true") {
					t.Errorf("err = %v, want %q", err, c.want)
				}
				return
			}
			verdicts, _, err := eval.Judge(files, dir)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range verdicts {
				got = append(got, fmt.Sprint(v.Pass))
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("passes %s, want %s", s, c.want)
			}
			if _, err := eval.OpenFolder(path, origin); err == nil {
				t.Error("another program's results were opened to be continued")
			}
		})
	}
	if _, err := eval.ReadFolder(t.TempDir()); err == nil {
		t.Error("an empty folder was read as answers")
	}
	mine := t.TempDir()
	if _, err := eval.OpenFolder(mine, origin); err != nil {
		t.Fatal(err)
	}
	if _, err := eval.OpenFolder(mine, eval.Origin{Model: "n", Digest: "e", MaxTokens: 64}); err == nil ||
		!strings.Contains(err.Error(), "give another folder") {
		t.Errorf("another model's folder: err = %v", err)
	}
}

// TestEndpoint: tools are offered under names that the API allows, calls come back under their own, a busy server
// is asked again, and no error shows the key.
func TestEndpoint(t *testing.T) {
	files := load(t)
	const key = "sk-very-secret"
	calls := 0
	var body struct {
		Tools []struct {
			Function struct {
				Name       string
				Parameters struct {
					Type       string
					Properties map[string]map[string]any
				}
			}
		}
		Temperature float64
		Model       string
	}
	replies := []struct {
		status int
		text   string
	}{
		{http.StatusTooManyRequests, `{"error": {"message": "busy"}}`},
		{http.StatusOK, `{"choices": [{"message": {"content": null, "tool_calls": [{"function":` +
			` {"name": "get_weather", "arguments": "{\"city\": \"Bonn\"}"}}]}, "finish_reason": "tool_calls"}],` +
			` "usage": {"completion_tokens": 9}}`},
		{http.StatusBadRequest, `{"message": "maximum context length is 128 tokens"}`},
		{http.StatusUnauthorized, `{"error": {"message": "wrong key ` + key + `"}}`},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+key || r.URL.Path != "/v1/chat/completions" {
			t.Errorf("%s with %v", r.URL.Path, r.Header)
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(replies[calls].status)
		fmt.Fprint(w, replies[calls].text)
		calls++
	}))
	defer server.Close()
	m, err := eval.NewEndpoint(server.URL+"/v1/", "some-model", key, 64)
	if err != nil {
		t.Fatal(err)
	}
	c := &files[0].Cases[0]
	a, err := m.Answer(t.Context(), c)
	if err != nil || a.Result != "[get.weather(city='Bonn')]" || a.Tokens != 9 {
		t.Errorf("answer %+v, %v", a, err)
	}
	f := body.Tools[0].Function
	if f.Name != "get_weather" || f.Parameters.Type != "object" || body.Model != "some-model" {
		t.Errorf("asked with %+v", body)
	}
	want := map[string]any{"type": "number", "default": map[string]any{"type": "float"}}
	if diff := cmp.Diff(want, f.Parameters.Properties["default"]); diff != "" {
		t.Errorf("a parameter named like a keyword (-want +got):\n%s", diff)
	}
	if a, err := m.Answer(t.Context(), c); err != nil || !strings.Contains(a.Error, "context length") {
		t.Errorf("too long: %+v, %v", a, err)
	}
	if _, err := m.Answer(t.Context(), c); err == nil || strings.Contains(err.Error(), key) ||
		!strings.Contains(err.Error(), "ITOOL_API_KEY") {
		t.Errorf("wrong key: err = %v", err)
	}
	for _, address := range []string{"127.0.0.1:80", "ftp://x/v1", "http://user:" + key + "@x/v1", "http://\x00"} {
		if _, err := eval.NewEndpoint(address, "m", "", 1); err == nil || strings.Contains(err.Error(), key) {
			t.Errorf("%q: err = %v", address, err)
		}
	}
}

// TestLocal asks a policy of this process: each question is answered, and alike at any number at once.
func TestLocal(t *testing.T) {
	p, err := policy.Open(policytest.Tiny(3), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files := load(t)
	run := func(atOnce int) string {
		local := eval.NewLocal(p, toolcall.Pythonic, 8)
		stop := job.Until(context.Background(), func(ctx context.Context) error { local.Run(ctx); return nil })
		defer func() { _ = stop() }()
		path := t.TempDir()
		dir, err := eval.OpenFolder(path, origin)
		if err != nil {
			t.Fatal(err)
		}
		err = eval.Ask(t.Context(), local, files, dir, eval.AtOnce{atOnce, atOnce}, func(eval.Progress) {})
		if err != nil {
			t.Fatal(err)
		}
		if err := dir.Close(); err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, f := range files {
			data, err := os.ReadFile(filepath.Join(path, f.Name+"_result.json"))
			if err != nil {
				t.Fatal(err)
			}
			all.Write(data)
		}
		return all.String()
	}
	one, four := run(1), run(4)
	if n := strings.Count(one, "\n"); n != 3 {
		t.Errorf("%d answers of 3 questions", n)
	}
	if diff := cmp.Diff(one, four); diff != "" {
		t.Errorf("one at a time and four at once differ:\n%s", diff)
	}
}
