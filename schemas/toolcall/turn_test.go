package toolcall_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/toolcalltest"
)

// TestTexts reads the corpus of texts: want is what the makers of the format would read, the
// words before the calls first; null: nothing, it is refused.
func TestTexts(t *testing.T) {
	data, err := os.ReadFile("testdata/texts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var c struct {
			ID, Text string
			Format   toolcall.Format `json:"fmt"`
			Want     *string
		}
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		t.Run(string(c.Format)+" "+c.ID, func(t *testing.T) {
			turn, err := c.Format.ReadTurn(c.Text)
			if c.Want == nil {
				if err == nil {
					t.Errorf("%q became %q and %s, want an error", c.Text, turn.Words, toolcall.Print(turn.Calls))
				}
				return
			}
			got := strings.TrimSpace(turn.Words + " " + toolcall.Print(turn.Calls))
			if err != nil || got != *c.Want {
				t.Errorf("%q: got %s, %v, want %s", c.Text, got, err, *c.Want)
			}
			if turn.After != "" {
				t.Errorf("%q: %q stands behind the calls", c.Text, turn.After)
			}
		})
	}
}

// A turn that is printed reads back as the same turn, in every format, and FormatOf knows it.
func TestTurnsReadBack(t *testing.T) {
	for name, calls := range toolcalltest.Calls(t) {
		for _, f := range formats {
			for _, thought := range []string{"", "I could use <tool_call> or [f(a=1)]\n{\"name\": \"x\"}."} {
				for _, words := range []string{"", "Let me look.", "Two lines [1]:\n- [a](b)\nlike these."} {
					want := toolcall.Turn{Thought: thought, Words: words, Calls: calls}
					text := f.PrintTurn(want)
					got, err := f.ReadTurn(text)
					if err != nil || got.Thought != thought || got.Words != words || got.After != "" ||
						!toolcall.Equal(got.Calls, calls) {
						t.Errorf("%s, %s: %q became %+v, %v", name, f, text, got, err)
					}
					if got := toolcall.FormatOf(text); got != f {
						t.Errorf("%s: %q is taken for %s, want %s", name, text, got, f)
					}
				}
			}
		}
	}
}

func TestAfter(t *testing.T) {
	const block = "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>"
	turn, err := toolcall.Hermes.ReadTurn("a " + block + " b " + block + " c")
	if err != nil || turn.Words != "a" || turn.After != "bc" || len(turn.Calls) != 2 {
		t.Errorf("%+v, %v", turn, err)
	}
}

func TestBind(t *testing.T) {
	tools, err := toolcall.ParseTools([]byte(`[{"name": "f", "parameters": {"type": "object", "properties": {
		"to": {"type": "string"}, "n": {"type": "integer"}}}}]`))
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"[f('a', 2)]":        "[f(to='a', n=2)]",
		"[f('a', n=2)]":      "[f(to='a', n=2)]",
		"[f(n=2, to='a')]":   "[f(n=2, to='a')]",
		"[f('a', to='b')]":   "by position and by name",
		"[f('a', 2, 3)]":     "more arguments than its tool has parameters (2)",
		"[g('a')]":           "no tool says whose it is",
		"[f(), f('a'), f()]": "[f(), f(to='a'), f()]",
	} {
		turn, err := toolcall.Pythonic.ReadTurn(in)
		if err != nil {
			t.Fatal(err)
		}
		before := toolcall.Print(turn.Calls)
		calls, _, err := toolcall.Bind(turn.Calls, tools)
		got := toolcall.Print(calls)
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
		if toolcall.Print(turn.Calls) != before {
			t.Errorf("%s: the caller's calls were changed", in)
		}
	}
}

func TestLoneSurrogate(t *testing.T) {
	for in, want := range map[string]int{
		`"abc"`: -1, `"\ud83d\ude00"`: -1, `"\ud83d"`: 1, `"\ude00"`: 1, `"\ud83d\ud83d\ude00"`: 1,
		`"\\ud83d"`: -1, `"\\\ud83d"`: 3, `"\ud83d\n"`: 1, `"é\uD83D\uDE00\uDE00"`: 15, `\u12`: -1, `\`: -1,
	} {
		if got := toolcall.LoneSurrogate([]byte(in)); got != want {
			t.Errorf("%s: %d, want %d", in, got, want)
		}
		_, err := toolcall.FromJSON([]byte(in))
		if want >= 0 && (err == nil || !strings.Contains(err.Error(), "surrogate")) {
			t.Errorf("FromJSON(%s): %v", in, err)
		}
	}
}

// What is in front of calls, or looks like it, never makes a reader panic or hang.
func FuzzReadTurn(f *testing.F) {
	for _, s := range []string{"a\n[f(b=1)]", "<think>x</think>{\"name\": \"f\", \"parameters\": \"\"}",
		"<tool_call>{'name': 'f', 'arguments': {}}</tool_call>", strings.Repeat("\n[", 50), "[f(1, *a)]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_ = toolcall.IsProse(s)
		format := toolcall.FormatOf(s)
		turn, err := format.ReadTurn(s)
		if err != nil || format == toolcall.Pythonic {
			return
		}
		text := format.PrintTurn(toolcall.Turn{Calls: turn.Calls})
		if back, err := format.ReadTurn(text); err != nil || !toolcall.Equal(back.Calls, turn.Calls) {
			t.Errorf("%q became %q: %v", s, text, err)
		}
	})
}
