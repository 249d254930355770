package toolcall_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"itool/schemas/toolcall"
)

func TestIsProse(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     bool
	}{
		{"a refusal", "I'm sorry, none of the tools can do that.", true},
		{"a question", "Which city (and country) do you mean?", true},
		{"a list with links", "1. [Here](https://x.y/z) and ![img](data:x)\n2. **f** [1] (see [a])", true},
		{"a link named like a call", "See [sum()](https://docs).", true},
		{"blank", " \n", false},
		{"a fence around nothing", "```\n```", false},
		{"a call", "[f(a=1)]", false},
		{"an empty list", "[]", false},
		{"a call without brackets", "get_weather(city='Paris')", false},
		{"a call in a fence", "```\n[f()]\n```", false},
		{"a call behind words", "Sure: [Market Trends API(country='us')]", false},
		{"a call cut off", "[get_weather(city='Par", false},
		{"a bare call cut off", "get_weather(city='Par", false},
		{"Hermes", "<tool_call>\n{\"name\": \"f\"", false},
		{"JSON", `{"name": "f", "parameters": {"a": 1}}`, false},
		{"JSON with its fields in another order", `{"parameters": {"a": 1}, "name": "f"}`, false},
		{"JSON with another field", `{"name": "f", "type": "function", "parameters": {"a": 1}}`, false},
		{"JSON of something else", `{"answer": "none of the tools fits"}`, true},
		{"not text", "abc\xff", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := toolcall.IsProse(tc.in); got != tc.want {
				t.Errorf("IsProse(%q) = %v, want %v", tc.in, got, tc.want)
			}
		})
	}
}

// TestToolACE reads every row of the sample: an answer that begins with a bracket is
// calls, prints back equal and passes against itself; any other is prose.
func TestToolACE(t *testing.T) {
	raw, err := io.ReadAll(shared(t, "toolace/toolace_97_reconstructed.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		System        string
		Conversations []struct{ From, Value string }
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	answers, prose, lenient := 0, 0, 0
	for i, row := range all {
		var list json.RawMessage
		if err := json.NewDecoder(strings.NewReader(row.System[strings.Index(row.System, "[{"):])).Decode(&list); err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
		tools, err := toolcall.ParseTools(list)
		if err != nil {
			t.Errorf("row %d: %v", i, err)
		}
		for _, turn := range row.Conversations {
			if turn.From != "assistant" {
				continue
			}
			if turn.Value == "" { // two rows lost their answer upstream
				continue
			}
			if !strings.HasPrefix(turn.Value, "[") {
				if prose++; !toolcall.IsProse(turn.Value) {
					t.Errorf("row %d: not prose: %q", i, turn.Value)
				}
				continue
			}
			answers++
			calls, err := toolcall.Parse(turn.Value)
			if err != nil {
				t.Errorf("row %d: %q: %v", i, turn.Value, err)
				continue
			}
			checkRoundTrip(t, calls)
			rule, want := toolcall.RuleFor(calls), toolcall.Reference(calls)
			if m := toolcall.Check(calls, tools, want, rule); m != nil {
				t.Errorf("row %d: %s: %s", i, turn.Value, m)
			}
			if m := toolcall.Check(calls[:len(calls)-1], tools, want, rule); m == nil || m.Type != toolcall.ToolsCount {
				t.Errorf("row %d: %s without its last call: %s", i, turn.Value, m)
			}
			if _, err := toolcall.Decode(turn.Value); err == nil {
				lenient++
			}
		}
	}
	t.Logf("%d answers with calls (%d of them also decode as Python), %d of prose", answers, lenient, prose)
}
