package multiturn_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/schemas/toolcall/toolcalltest"
)

func docs(t testing.TB) multiturn.Docs {
	t.Helper()
	d := multiturn.Docs{}
	for class, file := range multiturn.DocFiles {
		if err := d.Read(class, toolcalltest.Open(t, "bfcl_v3/multi_turn_func_doc/"+file)); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// TestConversations leads every entry with a model that makes one right call a step, or all in one
// step where they are more than the limit, and then says that it is done. It must be right
// everywhere but in the entry whose questions and answers have different numbers of turns, and be
// told of the functions that it calls but in the entry that hides one too early.
func TestConversations(t *testing.T) {
	all, o, descriptions, names := entries(t), options(t), docs(t), parameters(t)
	right := 0
	for id, e := range all {
		s, err := multiturn.NewSession(e, multiturn.SessionOptions{Options: o, Docs: descriptions})
		if err != nil {
			t.Fatal(err)
		}
		turn, step := 0, 0
		for {
			request, more := s.Next()
			if !more {
				break
			}
			answer := "That is all."
			if truth := e.Truth[turn]; step < len(truth) {
				answer, _ = name(t, truth[step], names)
				checkTold(t, id, request, answer)
				for len(truth) > multiturn.StepLimit && step < len(truth)-1 {
					step++
					more, _ := name(t, truth[step], names)
					answer += ", " + more
				}
				step++
			} else {
				turn, step = turn+1, 0
			}
			if err := s.Answer(answer); err != nil {
				t.Fatal(err)
			}
		}
		v, err := s.Check()
		if err != nil {
			t.Fatal(err)
		}
		if v.Valid {
			right++
		} else if !strings.HasSuffix(id, "_154") || v.Fault != multiturn.FaultTurns {
			t.Errorf("%s: %s in turn %d", id, v.Detail(), v.Turn)
		}
	}
	if right < len(all)-4 || right == len(all) {
		t.Errorf("%d of %d conversations are right, want all but entry 154", right, len(all))
	}
}

// checkTold: the model has been told of the function that it calls.
func checkTold(t *testing.T, id string, r multiturn.Request, call string) {
	t.Helper()
	method, _, _ := strings.Cut(call, "(")
	if !bytes.Contains(r.Tools, []byte(`{"name":"`+method+`"`)) && id != "multi_turn_miss_func_49" {
		t.Errorf("%s: %s is called and not among the tools", id, method)
	}
}

const missing = `{"id": "multi_turn_miss_func_900", "involved_classes": ["TicketAPI"],
	"question": [[{"role": "system", "content": "be brief"}, {"role": "user", "content": "late!"}], []],
	"initial_config": {"TicketAPI": {"current_user": "ann"}}, "missed_function": {"1": ["create_ticket"]},
	"ground_truth": [[], ["create_ticket(title='Late')"]]}`

func ticketDocs(t testing.TB) multiturn.Docs {
	t.Helper()
	d := multiturn.Docs{}
	err := d.Read("TicketAPI", strings.NewReader(`{"name": "create_ticket", "description": "it's new"}`+"\n\n"+
		`{"name": "logout", "parameters": {"type": "dict", "properties": {"a": null}}}`))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestRequests shows what a model is asked when a function is added.
func TestRequests(t *testing.T) {
	e, err := multiturn.ReadEntry([]byte(missing), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, inText := range []bool{false, true} {
		s, err := multiturn.NewSession(e, multiturn.SessionOptions{Docs: ticketDocs(t), InText: inText})
		if err != nil {
			t.Fatal(err)
		}
		var tools []string
		for _, answer := range []string{
			"[logout(), nothing(a=1)]", "I cannot.", "[create_ticket(title='Late')]", "Done.",
		} {
			request, more := s.Next()
			if !more {
				t.Fatal("the conversation has ended")
			}
			tools = append(tools, string(request.Tools))
			if err := s.Answer(answer); err != nil {
				t.Fatal(err)
			}
		}
		if request, more := s.Next(); more {
			t.Errorf("another request: %v", request)
		}
		if err := s.Answer("Hello?"); err == nil {
			t.Error("an answer without a request is taken")
		}
		added := multiturn.AddedFunctions
		both := `[{"name": "create_ticket", "description": "it's new"},{"name": "logout", ` +
			`"parameters": {"type": "dict", "properties": {"a": null}}}]`
		if inText {
			added = `[{'name': 'create_ticket', 'description': "it's new"}]` + "\n" + added
		}
		var got []bool
		for _, text := range tools {
			got = append(got, compact(t, text) == compact(t, both))
		}
		if diff := cmp.Diff([]bool{false, false, !inText, !inText}, got); diff != "" {
			t.Errorf("in text %v: the function is among the tools: %s", inText, diff)
		}
		want := [][]string{{"[logout(), nothing(a=1)]", "I cannot."}, {"[create_ticket(title='Late')]", "Done."}}
		if diff := cmp.Diff(want, s.Turns()); diff != "" {
			t.Error(diff)
		}
		checkHistory(t, e, inText, added)
		if v, err := s.Check(); err != nil || v.Fault != multiturn.FaultState {
			t.Errorf("%v, %v: logout was called, so that the ticket is not created", v, err)
		}
	}
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(v)
}

// checkHistory leads the same conversation and looks at the messages of its last request.
func checkHistory(t *testing.T, e *multiturn.Entry, inText bool, added string) {
	t.Helper()
	s, err := multiturn.NewSession(e, multiturn.SessionOptions{Docs: ticketDocs(t), InText: inText})
	if err != nil {
		t.Fatal(err)
	}
	var last multiturn.Request
	for _, answer := range []string{"[logout(), nothing(a=1)]", "I cannot.", "Done."} {
		last, _ = s.Next()
		if err := s.Answer(answer); err != nil {
			t.Fatal(err)
		}
	}
	want := []multiturn.Message{
		{Role: "system", Content: "be brief"}, {Role: "user", Content: "late!"},
		{Role: "assistant", Content: "[logout(), nothing(a=1)]"}, {Role: "tool", Content: `{"success": true}`},
		{Role: "tool", Content: "Error during execution: name 'nothing' is not defined"},
		{Role: "assistant", Content: "I cannot."}, {Role: "user", Content: added},
	}
	if diff := cmp.Diff(want, last.Messages); diff != "" {
		t.Error(diff)
	}
}

// TestStepLimit: the step after the limit ends the conversation; in the last turn it counts.
func TestStepLimit(t *testing.T) {
	e, err := multiturn.ReadEntry([]byte(missing), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		turn  int // that does not end
		fault string
	}{{0, multiturn.FaultTurns}, {1, ""}} {
		s, err := multiturn.NewSession(e, multiturn.SessionOptions{
			Docs: ticketDocs(t), Decode: func(raw string) ([]string, error) {
				calls, err := toolcall.Hermes.Read(raw)
				if err != nil {
					return nil, err
				}
				return multiturn.Sources(calls)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		for _, more := s.Next(); more; _, more = s.Next() {
			answer := "Done."
			if len(s.Turns())-1 == c.turn {
				answer = `<tool_call>{"name": "create_ticket", "arguments": {"title": "Late"}}</tool_call>`
				if asked++; asked > 1 || c.turn == 0 {
					answer = `<tool_call>{"name": "ticket_get_login_status", "arguments": {}}</tool_call>`
				}
			}
			if err := s.Answer(answer); err != nil {
				t.Fatal(err)
			}
		}
		v, err := s.Check()
		if err != nil || v.Fault != c.fault || !s.Forced() || asked != multiturn.StepLimit+1 {
			t.Errorf("turn %d: %v, %v, %d steps, forced %v", c.turn, v, err, asked, s.Forced())
		}
	}
}

func TestDocsErrors(t *testing.T) {
	e, err := multiturn.ReadEntry([]byte(missing), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = multiturn.NewSession(e, multiturn.SessionOptions{})
	if err == nil || !strings.Contains(err.Error(), "no descriptions of TicketAPI: read ticket_api.json") {
		t.Errorf("without descriptions: %v", err)
	}
	for text, want := range map[string]string{"{": "line 1", "{}\n": "line 1: name: missing"} {
		if err := (multiturn.Docs{}).Read("TicketAPI", strings.NewReader(text)); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
