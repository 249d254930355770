package serve

import (
	"encoding/json"
	"slices"
	"testing"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/toolcalltest"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

// TestCalls: in every format calls are taken out of an answer, and a stream sends no part of
// a call as words.
func TestCalls(t *testing.T) {
	const (
		hermes = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>"
		llamaF = `{"name": "f", "parameters": {"a": 1}}`
		llamaG = `{"name": "g", "parameters": {}}`
	)
	for name, c := range map[string]struct {
		format toolcall.Format
		answer string
		finish string
		words  string
		calls  int
	}{
		"pythonic":                {toolcall.Pythonic, "[f(a=1), g()]", "stop", "", 2},
		"pythonic, cut":           {toolcall.Pythonic, "[f(a=1), g(b=2)", "length", "[f(a=1), g(b=2)", 0},
		"pythonic behind blanks":  {toolcall.Pythonic, " \n[g()]", "stop", "", 1},
		"words":                   {toolcall.Pythonic, "No [1] tool.", "stop", "No [1] tool.", 0},
		"a list of no calls":      {toolcall.Pythonic, "[1] is a source", "stop", "[1] is a source", 0},
		"hermes":                  {toolcall.Hermes, hermes + "\n" + hermes, "stop", "", 2},
		"hermes behind words":     {toolcall.Hermes, "Let me see.\n" + hermes, "stop", "Let me see.", 1},
		"hermes that only begins": {toolcall.Hermes, "a <tool_", "stop", "a <tool_", 0},
		"hermes, broken":          {toolcall.Hermes, "<tool_call>{", "stop", "<tool_call>{", 0},
		"pythonic is not hermes":  {toolcall.Hermes, "[g()]", "stop", "[g()]", 0},
		"llama":                   {toolcall.LlamaJSON, llamaF + "; " + llamaG, "stop", "", 2},
		"llama with its mark":     {toolcall.LlamaJSON, "<|python_tag|>" + llamaG, "stop", "", 1},
		"pythonic behind words":   {toolcall.Pythonic, "Let me see.\n[f(a=1)]", "stop", "Let me see.", 1},
		"a link on its own line":  {toolcall.Pythonic, "See\n[1](x)", "stop", "See\n[1](x)", 0},
		"llama behind words":      {toolcall.LlamaJSON, "Let me see.\n" + llamaG, "stop", "Let me see.", 1},
		"a mark in a thought": {toolcall.Hermes, "<think>\n<tool_call>?\n</think>\n\n" + hermes, "stop",
			"<think>\n<tool_call>?\n</think>\n\n", 1},
		"arguments by position without a schema": {toolcall.Pythonic, "[f(1)]", "stop", "[f(1)]", 0},
		"arguments that are null": {toolcall.Hermes, "<tool_call>{\"name\": \"f\", \"arguments\": null}</tool_call>",
			"stop", "", 1},
		"llama's JSON of no calls": {toolcall.LlamaJSON, `{"a": 1}`, "stop", `{"a": 1}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Server{Options: Options{Calls: c.format}, random: newLocked(nil)}
			a := &chatAnswer{s: s, in: &chatRequest{Tools: []json.RawMessage{[]byte("{}")}}}
			words, calls := a.read(drawn{text: c.answer, finish: c.finish})
			if words != c.words || len(calls) != c.calls {
				t.Errorf("words %q and calls %v, want %q and %d", words, calls, c.words, c.calls)
			}
			sent := 0
			for end := range len(c.answer) + 1 {
				upTo := end
				if at := a.callsAt(c.answer[:end]); at >= 0 {
					upTo = at
				}
				sent = max(sent, upTo)
			}
			if c.calls > 0 && len(calls) > 0 && sent > len(c.words)+1 { // the line's end before a block
				t.Errorf("%q was sent as words", c.answer[:sent])
			}
		})
	}
}

// TestCallsOfEveryFormat: a client gets the calls that the model wrote, and when it sends
// them back, the model reads the text that it wrote.
func TestCallsOfEveryFormat(t *testing.T) {
	p := policytest.Open(t, 1)
	for name, want := range toolcalltest.Calls(t) {
		for _, f := range toolcalltest.Formats {
			s := &Server{served: served{policy: p}, Options: Options{Calls: f}, random: newLocked(nil)}
			text := f.Print(want)
			a := &chatAnswer{s: s, in: &chatRequest{Tools: []json.RawMessage{[]byte("{}")}}}
			for end := range len(text) + 1 {
				if at := a.callsAt(text[:end]); at != 0 {
					t.Errorf("%s, %s: of %q something is sent as words", name, f, text[:end])
				}
			}
			words, calls := a.read(drawn{text: text, finish: "stop"})
			if words != "" || len(calls) != len(want) {
				t.Errorf("%s, %s: words %q and %d calls, want %d", name, f, words, len(calls), len(want))
			}
			got, err := s.prompt(&chatRequest{Messages: []message{
				{Role: "user", Content: "?"}, {Role: "assistant", Calls: calls},
			}})
			if err != nil {
				t.Errorf("%s, %s: %v", name, f, err)
			}
			again, err := p.Prompt([]policy.Message{
				{Role: "user", Content: "?"}, {Role: "assistant", Content: text},
			}, nil)
			if err != nil || !slices.Equal(got, again) {
				t.Errorf("%s, %s: the model reads %q, wrote %q, %v", name, f, p.Text(got), text, err)
			}
		}
	}
}

// TestBlankArguments: a call without parameters, as many clients send it back, is {}; words
// beside a call are kept.
func TestBlankArguments(t *testing.T) {
	p := policytest.Open(t, 1)
	s := &Server{served: served{policy: p}, Options: Options{Calls: toolcall.Hermes}, random: newLocked(nil)}
	for _, arguments := range []string{"", " ", "null", "{}", " \n\t"} {
		call := callJSON{ID: "c1", Type: "function"}
		call.Function.Name, call.Function.Arguments = "now", arguments
		got, err := s.prompt(&chatRequest{Messages: []message{
			{Role: "user", Content: "time?"}, {Role: "assistant", Content: "Let me look.", Calls: []callJSON{call}},
			{Role: "tool", Content: "12"},
		}})
		if err != nil {
			t.Errorf("%q: %v", arguments, err)
			continue
		}
		want, err := p.Prompt([]policy.Message{
			{Role: "user", Content: "time?"},
			{Role: "assistant", Content: "Let me look.\n" +
				"<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"},
			{Role: "tool", Content: "12"},
		}, nil)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: the model reads %q, want %q, %v", arguments, p.Text(got), p.Text(want), err)
		}
	}
	for _, arguments := range []string{"[]", "3", `"x"`, `{"a": "\ud83d"}`, "{"} {
		call := callJSON{}
		call.Function.Name, call.Function.Arguments = "now", arguments
		_, err := s.prompt(&chatRequest{Messages: []message{{Role: "assistant", Calls: []callJSON{call}}}})
		if err == nil {
			t.Errorf("%q was taken for arguments", arguments)
		}
	}
}
