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
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"itool/ops/eval"
	"itool/ops/job"
	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/stages/evaluate/bfcl"
	"itool/stages/evaluate/converse"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

// put writes files into a folder.
func put(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// talks writes a benchmark of conversations: an entry for each of the first turns, whose second turn wants a call,
// and one of a class that does not exist.
func talks(t testing.TB, first ...string) string {
	t.Helper()
	var questions, answers []string
	for i, words := range append(first, "unknown class") {
		class := "TicketAPI"
		if i == len(first) {
			class = "MailAPI"
		}
		questions = append(questions, fmt.Sprintf(`{"id": "multi_turn_base_%d", "involved_classes": [%q], "question": `+
			`[[{"role": "user", "content": %q}], [{"role": "user", "content": "log in?"}]]}`, i, class, words))
		answers = append(answers, fmt.Sprintf(
			`{"id": "multi_turn_base_%d", "ground_truth": [[], ["ticket_get_login_status()"]]}`, i))
	}
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"BFCL_v3_multi_turn_base.json":                 strings.Join(questions, "\n"),
		"possible_answer/BFCL_v3_multi_turn_base.json": strings.Join(answers, "\n"),
		"multi_turn_func_doc/ticket_api.json": `{"name": "logout", "parameters": {"type": "dict", "properties": {}}}` +
			"\n" + `{"name": "ticket_get_login_status", "parameters": {"type": "dict", "properties": {}}}` + "\n",
	})
	return dir
}

func loadAll(t testing.TB, o eval.Options, dir string, categories ...string) []eval.File {
	t.Helper()
	paths, skipped, err := o.BFCL(dir, categories)
	if err != nil || len(skipped) > 0 {
		t.Fatal(skipped, err)
	}
	files, err := o.Load(t.Context(), paths)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// talker answers by what was said last; a step of calls is written in another notation.
type talker struct {
	asked *atomic.Int32
	fail  bool
}

func (talker) Answer(context.Context, *eval.Case) (eval.Answer, error) {
	return eval.Answer{}, errors.New("no case has one turn")
}

func (m talker) Step(_ context.Context, r multiturn.Request) (converse.Answer, error) {
	m.asked.Add(1)
	switch last := r.Messages[len(r.Messages)-1]; {
	case last.Role == "tool":
		return converse.Answer{Text: "Done.", Tokens: 1}, nil
	case last.Content == "long":
		return converse.Answer{}, converse.Unanswerable("too long")
	case last.Content == "break" && m.fail:
		return converse.Answer{}, errors.New("the server burnt down")
	case last.Content == "log in?" && !strings.Contains(r.Messages[0].Content, "mute"):
		cut := r.Messages[0].Content == "break"
		return converse.Answer{Text: "CALL ticket_get_login_status", Tokens: 5, Cut: cut}, nil
	}
	return converse.Answer{Text: "Hello.", Tokens: 1}, nil
}

func (talker) Pythonic(text string) string {
	if name, found := strings.CutPrefix(text, "CALL "); found {
		return "[" + name + "()]"
	}
	return text
}

func verdicts(t testing.TB, files []eval.File, path string) []string {
	t.Helper()
	dir, err := eval.ReadFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	all, missing, err := eval.Judge(files, dir)
	if err != nil || missing > 0 {
		t.Fatal(missing, err)
	}
	var out []string
	for _, v := range all {
		out = append(out, fmt.Sprintf("%s %t %s", v.ExampleID, v.Pass, v.ErrorName))
	}
	return out
}

// TestConversations: conversations are resumed, written as BFCL writes them, and judged from what is written.
func TestConversations(t *testing.T) {
	files, path := loadAll(t, eval.Options{}, talks(t, "hello", "mute", "long", "break")), t.TempDir()
	m := talker{new(atomic.Int32), true}
	if err := ask(t, m, files, path); err == nil || !strings.Contains(err.Error(), "multi_turn_base_3: the server") {
		t.Fatalf("err = %v, want the model's with its question", err)
	}
	m.fail = false
	m.asked.Store(0)
	if err := ask(t, m, files, path); err != nil {
		t.Fatal(err)
	}
	if n := m.asked.Load(); n != 3 {
		t.Errorf("%d steps were asked for the last conversation, want 3", n)
	}
	written, err := os.ReadFile(filepath.Join(path, "BFCL_v3_multi_turn_base_result.json"))
	if err != nil {
		t.Fatal(err)
	}
	const line = `{"id":"multi_turn_base_0","result":[["Hello."],["[ticket_get_login_status()]","Done."]],`
	if !strings.HasPrefix(string(written), line) {
		t.Errorf("the file begins with %.200s, want %s", written, line)
	}
	const at = "BFCL_v3_multi_turn_base/multi_turn_base_"
	want := []string{
		at + "0 true ", at + "1 false " + multiturn.FaultEmpty, at + "2 false " + multiturn.FaultInference,
		at + "3 true ", at + "4 false " + eval.ErrRefused,
	}
	if diff := cmp.Diff(want, verdicts(t, files, path)); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	dir, err := eval.ReadFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := eval.Judge(files, dir)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := eval.Summarise("m", files, all, 1).Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"of 5   1         0            0             1\n", "40.0 %", converse.Protocol} {
		if !strings.Contains(text.String(), s) {
			t.Errorf("the table lacks %q:\n%s", s, text.String())
		}
	}
	if c := bfcl.Tally(all)["multi_turn_base"]; c != (bfcl.Count{Right: 2, Total: 5}) {
		t.Errorf("the leaderboard counts %+v", c)
	}
}

// TestConversationsByFunctions: conversations with the same functions are asked one after the other, so that the model
// computes their common beginning once.
func TestConversationsByFunctions(t *testing.T) {
	dir := t.TempDir()
	var questions, answers []string
	for i, class := range []string{"TicketAPI", "MathAPI", "TicketAPI", "MathAPI"} {
		questions = append(questions, fmt.Sprintf(`{"id": "multi_turn_base_%d", "involved_classes": [%q], "question": `+
			`[[{"role": "user", "content": "hello"}]]}`, i, class))
		answers = append(answers, fmt.Sprintf(`{"id": "multi_turn_base_%d", "ground_truth": [[]]}`, i))
	}
	const function = `{"name": %q, "parameters": {"type": "dict", "properties": {}}}`
	put(t, dir, map[string]string{
		"BFCL_v3_multi_turn_base.json":                 strings.Join(questions, "\n"),
		"possible_answer/BFCL_v3_multi_turn_base.json": strings.Join(answers, "\n"),
		"multi_turn_func_doc/ticket_api.json":          fmt.Sprintf(function, "logout"),
		"multi_turn_func_doc/math_api.json":            fmt.Sprintf(function, "mean"),
	})
	path := t.TempDir()
	if err := ask(t, talker{new(atomic.Int32), false}, loadAll(t, eval.Options{}, dir), path); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(filepath.Join(path, "BFCL_v3_multi_turn_base_result.json"))
	if err != nil {
		t.Fatal(err)
	}
	var order string
	for line := range strings.Lines(string(written)) {
		var a eval.Answer
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		order += strings.TrimPrefix(a.ID, "multi_turn_base_")
	}
	if order != "1302" {
		t.Errorf("asked in the order %s, want 1302", order)
	}
}

// TestForeignConversations: results of bfcl-eval, by models that are prompted or asked through functions.
func TestForeignConversations(t *testing.T) {
	files := loadAll(t, eval.Options{}, talks(t, "a", "b", "c", "d", "e"))
	path := t.TempDir()
	put(t, path, map[string]string{"BFCL_v3_multi_turn_base_result.json": strings.Join([]string{
		`{"id": "multi_turn_base_0", "latency": [[1]],` +
			` "result": [["no"], [[{"ticket_get_login_status": "{}"}], "Done."]]}`,
		`{"id": "multi_turn_base_1",` +
			` "result": [[], [[{"ticket_get_login_status": "{"}], "[ticket_get_login_status()]"]]}`,
		`{"id": "multi_turn_base_2", "result": "Error during inference: 429"}`,
		`{"id": "multi_turn_base_3", "result": [["no"]]}`,
		`{"id": "multi_turn_base_4", "result": ["no", "no"]}`,
	}, "\n")})
	var got []string
	for _, v := range verdicts(t, files, path) {
		_, verdict, _ := strings.Cut(v, " ")
		got = append(got, verdict)
	}
	want := []string{
		"true ", "true ", "false " + multiturn.FaultInference, "false " + multiturn.FaultTurns,
		"false " + multiturn.FaultInference, "false " + eval.ErrRefused,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

// TestLocalConversations: a real policy answers the same however many conversations are led at once, and one that
// is too long is wrong, no error.
func TestLocalConversations(t *testing.T) {
	p, err := policy.Open(policytest.Tiny(1), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("long ", policytest.ContextLength)
	files := loadAll(t, eval.Options{}, talks(t, "hello", long, "bye", "a"))
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
		if err = errors.Join(err, dir.Close()); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(path, "BFCL_v3_multi_turn_base_result.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	one := run(1)
	if strings.Count(one, "\n") != 4 || strings.Count(one, `"result":"Error during inference: `) != 1 {
		t.Errorf("want four answers and one of them an error:\n%s", one)
	}
	if diff := cmp.Diff(one, run(4)); diff != "" {
		t.Errorf("one at a time and four at once differ:\n%s", diff)
	}
}

// TestProgress: questions come before conversations, whatever the order of the files, and a resumed evaluation counts
// what is there. Conversations have their own number at once.
func TestProgress(t *testing.T) {
	talks, questions := loadAll(t, eval.Options{}, talks(t, "hello", "bye")), load(t)
	files, path := append(talks, questions...), t.TempDir()
	var got []eval.Progress
	for range 2 {
		dir, err := eval.OpenFolder(path, origin)
		if err != nil {
			t.Fatal(err)
		}
		m := &counting{}
		err = eval.Ask(t.Context(), m, files, dir, eval.AtOnce{3, 1}, func(p eval.Progress) { got = append(got, p) })
		if err = errors.Join(err, dir.Close()); err != nil {
			t.Fatal(err)
		}
		if m.most > 1 {
			t.Errorf("%d conversations at once", m.most)
		}
	}
	want := []eval.Progress{ // one question cannot be asked
		{Done: 1, All: 6, Open: 3, Later: 2}, {Done: 2, All: 6, Asked: 1, Open: 2, Later: 2},
		{Done: 3, All: 6, Asked: 2, Open: 1, Later: 2}, {Done: 4, All: 6, Asked: 3, Later: 2},
		{Done: 4, All: 6, Conversations: true, Open: 2}, {Done: 5, All: 6, Conversations: true, Asked: 1, Open: 1},
		{Done: 6, All: 6, Conversations: true, Asked: 2}, {Done: 6, All: 6},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

// counting is a model that ends every turn at once, and counts the conversations that it is asked at the same time.
type counting struct {
	says
	mu        sync.Mutex
	now, most int
}

func (c *counting) Answer(context.Context, *eval.Case) (eval.Answer, error) {
	return eval.Answer{Result: "no"}, nil
}

func (c *counting) Step(context.Context, multiturn.Request) (converse.Answer, error) {
	c.mu.Lock()
	c.now++
	c.most = max(c.most, c.now)
	c.mu.Unlock()
	time.Sleep(20 * time.Millisecond)
	c.mu.Lock()
	c.now--
	c.mu.Unlock()
	return converse.Answer{Text: "no"}, nil
}

// TestEndpointConversations: an endpoint gets calls and results as its API has them.
func TestEndpointConversations(t *testing.T) {
	replies := []string{
		`{"content": "Hello."}`,
		`{"content": null, "tool_calls": [{"function": {"name": "ticket_get_login_status", "arguments": "{}"}}]}`,
		`{"content": "[logout(a=1)] and [logout()]"}`, // no calls to BFCL
	}
	var last struct{ Messages []map[string]any }
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&last); err != nil {
			t.Error(err)
		}
		if asked < len(replies) {
			fmt.Fprintf(w, `{"choices": [{"message": %s}], "usage": {"completion_tokens": 2}}`, replies[asked])
		} else {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"message": "maximum context length"}`)
		}
		asked++
	}))
	defer server.Close()
	m, err := eval.NewEndpoint(server.URL+"/v1", "m", "", 64)
	if err != nil {
		t.Fatal(err)
	}
	files, path := loadAll(t, eval.Options{}, talks(t, "hello", "bye")), t.TempDir()
	dir, err := eval.OpenFolder(path, origin)
	if err != nil {
		t.Fatal(err)
	}
	err = eval.Ask(t.Context(), m, files, dir, eval.AtOnce{1, 1}, func(eval.Progress) {})
	if err = errors.Join(err, dir.Close()); err != nil {
		t.Fatal(err)
	}
	got := verdicts(t, files, path)
	if !strings.HasSuffix(got[0], " true ") || !strings.HasSuffix(got[1], multiturn.FaultInference) {
		t.Errorf("verdicts %q", got)
	}
	if asked != 4 {
		t.Fatalf("%d requests, want 4", asked)
	}
}

// TestChatHistory: the API's history names the call of each result.
func TestChatHistory(t *testing.T) {
	var bodies []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Messages json.RawMessage }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		bodies = append(bodies, string(body.Messages))
		fmt.Fprint(w, `{"choices": [{"message": {"content": "ok"}}]}`)
	}))
	defer server.Close()
	m, err := eval.NewEndpoint(server.URL+"/v1", "m", "", 64)
	if err != nil {
		t.Fatal(err)
	}
	user, result := multiturn.Message{Role: "user", Content: "u"}, multiturn.Message{Role: "tool", Content: "r"}
	for _, c := range []struct{ said, want string }{
		{"[a.b(x='1'), c()]", `[{"role":"user","content":"u"},{"role":"assistant","content":"","tool_calls":[` +
			`{"id":"call_1_0","type":"function","function":{"name":"a_b","arguments":"{\"x\": \"1\"}"}},` +
			`{"id":"call_1_1","type":"function","function":{"name":"c","arguments":"{}"}}]},` +
			`{"role":"tool","content":"r","tool_call_id":"call_1_0"},` +
			`{"role":"tool","content":"r","tool_call_id":"call_1_1"}]`},
		{"[a()]", `[{"role":"user","content":"u"},{"role":"assistant","content":"[a()]"},` +
			`{"role":"user","content":"Results of the calls:\nr\nr"}]`},
	} {
		_, err := m.Step(t.Context(), multiturn.Request{
			Messages: []multiturn.Message{user, {Role: "assistant", Content: c.said}, result, result},
			Tools:    json.RawMessage(`[]`),
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, bodies[len(bodies)-1]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.said, diff)
		}
	}
}

// TestIncompleteFolders: what a multi-turn category lacks is said, and what to copy where.
func TestIncompleteFolders(t *testing.T) {
	dir := talks(t, "hello")
	put(t, dir, map[string]string{
		"BFCL_v3_multi_turn_long_context.json": "", "possible_answer/BFCL_v3_multi_turn_long_context.json": "",
	})
	_, skipped, err := eval.Options{}.BFCL(dir, nil)
	if err != nil || len(skipped) != 1 || !strings.Contains(skipped[0].Why, "long_context.py into "+dir) {
		t.Errorf("all categories: %v, %v; want the reason of one that is skipped", skipped, err)
	}
	_, _, err = eval.Options{}.BFCL(dir, []string{"multi_turn_long_context"})
	if err == nil || !strings.Contains(err.Error(), "multi_turn_long_context: the texts of long contexts are missing") {
		t.Errorf("the category alone: %v", err)
	}
	put(t, dir, map[string]string{"long_context.py": "import os\n"})
	paths, _, err := eval.Options{}.BFCL(dir, []string{"multi_turn_long_context"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = eval.Options{}.Load(t.Context(), paths)
	if err == nil || !strings.Contains(err.Error(), "long_context.py: sim: the texts of long contexts: ") {
		t.Errorf("a file without texts: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "multi_turn_func_doc")); err != nil {
		t.Fatal(err)
	}
	_, _, err = eval.Options{}.BFCL(dir, []string{"multi_turn_base"})
	if err == nil || !strings.Contains(err.Error(), "bfcl_eval/data/multi_turn_func_doc into "+dir) {
		t.Errorf("without descriptions: %v", err)
	}
}
