package converse_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/stages/evaluate/converse"
)

// entry has one turn for each of the words; the last wants a call.
func entry(t *testing.T, words ...string) *multiturn.Entry {
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
	e, err := multiturn.ReadEntry(fmt.Appendf(nil, `{"id": "multi_turn_base_0", "involved_classes": ["TicketAPI"],
		"question": [%s], "ground_truth": [%s]}`, strings.Join(questions, ","), strings.Join(truth, ",")), nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func options(t *testing.T) multiturn.SessionOptions {
	t.Helper()
	docs := multiturn.Docs{}
	if err := docs.Read("TicketAPI", strings.NewReader(`{"name": "logout", "parameters": {}}`)); err != nil {
		t.Fatal(err)
	}
	return multiturn.SessionOptions{Docs: docs}
}

// scripted answers by what was said last.
type scripted map[string]string

var errBroken = errors.New("the line is broken")

func (s scripted) Step(_ context.Context, r multiturn.Request) (converse.Answer, error) {
	switch answer := s[r.Messages[len(r.Messages)-1].Content]; answer {
	case "full":
		return converse.Answer{}, fmt.Errorf("step: %w", converse.Unanswerable("too long"))
	case "broken":
		return converse.Answer{}, errBroken
	default:
		return converse.Answer{Text: answer, PromptTokens: 2, Tokens: 1, Cut: answer == "[logout()]"}, nil
	}
}

func TestLead(t *testing.T) {
	m := scripted{
		"log in?": "[ticket_get_login_status()]", "hello": "Hello.", "long": "full", "loop": "[logout()]",
		`{"success": false}`: "[logout()]",
	}
	for _, c := range []struct {
		name  string
		words []string
		want  converse.Result
		fault string
	}{
		{"right", []string{"hello", "log in?"},
			converse.Result{
				Turns: [][]string{{"Hello."}, {"[ticket_get_login_status()]", ""}}, PromptTokens: 6, Tokens: 3,
			}, ""},
		{"no call", []string{"hello"},
			converse.Result{Turns: [][]string{{"Hello."}}, PromptTokens: 2, Tokens: 1}, multiturn.FaultEmpty},
		{"too long", []string{"hello", "long"},
			converse.Result{Turns: [][]string{{"Hello."}, nil}, PromptTokens: 2, Tokens: 1, Stopped: "too long"},
			multiturn.FaultEmpty},
		{"no end", []string{"loop", "hello"}, converse.Result{
			Turns:  [][]string{strings.Fields(strings.Repeat("[logout()] ", multiturn.StepLimit+1))},
			Tokens: multiturn.StepLimit + 1, PromptTokens: 2 * (multiturn.StepLimit + 1), Cut: true, Forced: true,
		}, multiturn.FaultTurns},
	} {
		e := entry(t, c.words...)
		got, err := converse.Lead(t.Context(), m, e, options(t))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got): %s", c.name, diff)
		}
		v, err := multiturn.Check(e, got.Turns, multiturn.Options{})
		if err != nil || v.Fault != c.fault {
			t.Errorf("%s: %+v, %v; want %q", c.name, v, err, c.fault)
		}
	}
}

func TestErrors(t *testing.T) {
	e := entry(t, "break")
	if _, err := converse.Lead(t.Context(), scripted{"break": "broken"}, e, options(t)); !errors.Is(err, errBroken) {
		t.Errorf("a broken model: %v", err)
	}
	_, err := converse.Lead(t.Context(), scripted{}, e, multiturn.SessionOptions{})
	if err == nil || !strings.Contains(err.Error(), "no descriptions") {
		t.Errorf("without descriptions: %v", err)
	}
}
