package toolcall_test

import (
	"strings"
	"testing"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/toolcalltest"
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
		{"a number", "42", true},
		{"a number in brackets", "[42]", true},
		{"a sign", "👍", true},
		{"more in parentheses", "42 (approximately)", true},
		{"a thought and a number", "<think>[f(a=1)]?</think>\n42", true},
		{"only a thought", "<think>Well.</think>", false},
		{"a thought that does not end", "<think>Well", false},
		{"only marks", "...", false},
		{"blank", " \n", false},
		{"a fence around nothing", "```\n```", false},
		{"a call", "[f(a=1)]", false},
		{"an empty list", "[]", false},
		{"a call without brackets", "get_weather(city='Paris')", false},
		{"a call in a fence", "```\n[f()]\n```", false},
		{"a call after words", "Sure: [Market Trends API(country='us')]", false},
		{"a call cut off", "[get_weather(city='Par", false},
		{"a bare call cut off", "get_weather(city='Par", false},
		{"Hermes", "<tool_call>\n{\"name\": \"f\"", false},
		{"JSON", `{"name": "f", "parameters": {"a": 1}}`, false},
		{"JSON with its fields in another order", `{"parameters": {"a": 1}, "name": "f"}`, false},
		{"JSON with another field", `{"name": "f", "type": "function", "parameters": {"a": 1}}`, false},
		{"JSON of something else", `{"answer": "none of the tools fits"}`, true},
		{"JSON that names a tool otherwise", `{"tool": "f", "args": {"a": 1}}`, false},
		{"JSON that names a function", `{"function": "f", "arguments": {"a": 1}}`, false},
		{"a tool with a text as its input", `{"action": "f", "action_input": "x"}`, false},
		{"a log in words", `The log says {"api": "v2/orders", "input": "none"}, which is harmless.`, true},
		{"a formula as JSON", `It is {"function": "x^2 + 1", "parameters": {"x": 2}} in that file.`, true},
		{"ReAct", "Thought: I must look.\nAction: f\nAction Input: {\"a\": 1}", false},
		{"Kimi", "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0", false},
		{"DeepSeek", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f", false},
		{"FunctionGemma", "<start_function_call>call:f{a:1}<end_function_call>", false},
		{"Qwen-Agent", "✿FUNCTION✿: f\n✿ARGS✿: {}", false},
		{"harmony", "<|channel|>commentary to=functions.f<|message|>{}", false},
		{"Anthropic's XML", "<invoke name=\"f\">\n</invoke>", false},
		{"an action in words", "Action: none is needed.", true},
		{"not text", "abc\xff", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := toolcall.IsProse(tc.in); got != tc.want {
				t.Errorf("IsProse(%q) = %v, want %v", tc.in, got, tc.want)
			}
		})
	}
}

// In the ToolACE sample an answer that begins with a bracket holds calls, which print and read
// back unchanged. Every other answer is prose.
func TestToolACE(t *testing.T) {
	answers, prose, lenient := 0, 0, 0
	for i, row := range toolcalltest.ToolACE(t) {
		if _, err := toolcall.ParseTools(row.Tools); err != nil {
			t.Errorf("row %d: %v", i, err)
		}
		for _, answer := range row.Answers {
			if !strings.HasPrefix(answer, "[") {
				if prose++; !toolcall.IsProse(answer) {
					t.Errorf("row %d: not prose: %q", i, answer)
				}
				continue
			}
			answers++
			calls, err := toolcall.Parse(answer)
			if err != nil {
				t.Errorf("row %d: %q: %v", i, answer, err)
				continue
			}
			checkRoundTrip(t, calls)
			if _, err := toolcall.Decode(answer); err == nil {
				lenient++
			}
		}
	}
	t.Logf("%d answers with calls (%d of them also decode as Python), %d of prose", answers, lenient, prose)
}
