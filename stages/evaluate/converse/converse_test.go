package converse_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"itool/schemas"
	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/stages/evaluate/bfcl"
	"itool/stages/evaluate/converse"
	"itool/stages/policy/policytest"
)

// entry has one turn for each of the words; the last wants a call.
func entry(t *testing.T, n int, words ...string) *multiturn.Entry {
	t.Helper()
	var questions, truth []string
	for i, w := range words {
		questions = append(questions, fmt.Sprintf(`[{"role": "user", "content": %q}]`, w))
		calls := `[]`
		if i == len(words)-1 {
			calls = `["ticket_get_login_status()"]`
		}
		truth = append(truth, calls)
	}
	e, err := multiturn.ReadEntry(fmt.Appendf(nil, `{"id": "multi_turn_base_%d", "involved_classes": ["TicketAPI"],
		"question": [%s], "ground_truth": [%s]}`, n, strings.Join(questions, ","), strings.Join(truth, ",")), nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func options(t *testing.T, parallel int) converse.Options {
	t.Helper()
	docs := multiturn.Docs{}
	if err := docs.Read("TicketAPI", strings.NewReader(`{"name": "logout", "parameters": {}}`)); err != nil {
		t.Fatal(err)
	}
	return converse.Options{SessionOptions: multiturn.SessionOptions{Docs: docs}, Parallel: parallel}
}

// scripted answers by what was said last.
type scripted map[string]string

var errBroken = errors.New("the line is broken")

func (s scripted) Answer(_ context.Context, r multiturn.Request) (string, int, error) {
	switch answer := s[r.Messages[len(r.Messages)-1].Content]; answer {
	case "full":
		return "", 0, converse.ErrContext
	case "broken":
		return "", 0, errBroken
	default:
		return answer, 1, nil
	}
}

func TestRun(t *testing.T) {
	m := scripted{
		"log in?": "[ticket_get_login_status()]", "hello": "Hello.", "long": "full", "loop": "[logout()]",
		`{"success": false}`: "[logout()]",
	}
	entries := []*multiturn.Entry{
		entry(t, 0, "hello", "log in?"), entry(t, 1, "hello"), entry(t, 2, "long", "log in?"),
		entry(t, 3, "loop", "hello"),
	}
	o := options(t, 2)
	last := 0
	o.Done = func(n int) { last = max(last, n) }
	results, err := converse.Run(t.Context(), m, entries, o)
	if err != nil || last != len(entries) {
		t.Fatalf("%v; %d are done", err, last)
	}
	type row struct {
		Category, Name, Type string
		Pass, Parsed, Cut    bool
		Tokens               int32
	}
	var got []row
	var verdicts []schemas.Verdict
	for _, r := range results {
		v := r.Record()
		verdicts = append(verdicts, v)
		got = append(got, row{v.Category, v.ErrorName, v.ErrorType, v.Pass, v.Parsed, v.Cut, v.Tokens})
	}
	const base = "multi_turn_base"
	want := []row{
		{base, "", "", true, true, false, 3},
		{base, multiturn.FaultEmpty, "tools count", false, false, false, 1},
		{base, multiturn.FaultInference, "other", false, true, true, 0},
		{base, multiturn.FaultTurns, "other", false, true, false, multiturn.StepLimit + 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if answer := results[0].Record().Answer; answer != `[["Hello."],["[ticket_get_login_status()]",""]]` {
		t.Errorf("the answer of entry 0 is %s", answer)
	}
	if c := bfcl.Tally(verdicts)[base]; c != (bfcl.Count{Right: 1, Total: 4}) {
		t.Errorf("the leaderboard counts %+v", c)
	}
}

func TestErrors(t *testing.T) {
	m := scripted{"break": "broken", "hello": "Hello."}
	entries := []*multiturn.Entry{entry(t, 0, "hello"), entry(t, 1, "break"), entry(t, 2, "hello")}
	_, err := converse.Run(t.Context(), m, entries, options(t, 3))
	if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "converse: multi_turn_base_1: ") {
		t.Errorf("a broken model: %v", err)
	}
	o := options(t, 1)
	o.Docs = nil
	_, err = converse.Run(t.Context(), m, entries, o)
	if err == nil || !strings.Contains(err.Error(), "no descriptions") {
		t.Errorf("without descriptions: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := converse.Run(ctx, m, entries, options(t, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run: %v", err)
	}
}

// TestPolicy: a real policy answers the same however many conversations are led at once, and a
// conversation that is too long is a wrong one, not an error.
func TestPolicy(t *testing.T) {
	entries := []*multiturn.Entry{
		entry(t, 0, "hello", "log in?"), entry(t, 1, "what?"),
		entry(t, 2, strings.Repeat("long ", policytest.ContextLength)), entry(t, 3, "bye"),
	}
	var before []converse.Result
	for _, parallel := range []int{1, 4} {
		m := converse.NewPolicy(policytest.Open(t, 1), 8, parallel)
		results, err := converse.Run(t.Context(), m, entries, options(t, parallel))
		m.Close()
		if err != nil {
			t.Fatal(err)
		}
		if !results[2].Full || results[0].Full || results[0].Steps < 2 || results[0].Tokens < results[0].Steps {
			t.Errorf("%+v", results)
		}
		if diff := cmp.Diff(before, results); before != nil && diff != "" {
			t.Errorf("%d conversations at once: %s", parallel, diff)
		}
		before = results
	}
}
