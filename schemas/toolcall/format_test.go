package toolcall_test

import (
	"strings"
	"testing"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/toolcalltest"
)

var formats = toolcalltest.Formats

// Calls that are printed read back as the same calls, in every format.
func TestFormatsKeepCalls(t *testing.T) {
	for name, calls := range toolcalltest.Calls(t) {
		for _, f := range formats {
			text := f.Print(calls)
			if back, err := f.Read(text); err != nil || !toolcall.Equal(back, calls) {
				t.Errorf("%s, %s: %s became %v, %v", name, f, text, back, err)
			}
			if got := toolcall.FormatOf(text); got != f {
				t.Errorf("%s, %s: recognized as %s", name, f, got)
			}
		}
	}
}

func TestFormatPrint(t *testing.T) {
	const text = `[get weather(city='Par"is\n', n=3, x=1.0, on=True, no=None, l=['é', {'k': -2}]), g()]`
	const args = `{"city": "Par\"is\n", "n": 3, "x": 1.0, "on": true, "no": null, "l": ["é", {"k": -2}]}`
	calls, err := toolcall.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for f, want := range map[toolcall.Format]string{
		toolcall.Pythonic: text,
		toolcall.Hermes: "<tool_call>\n" + `{"name": "get weather", "arguments": ` + args + "}" +
			"\n</tool_call>\n<tool_call>\n" + `{"name": "g", "arguments": {}}` + "\n</tool_call>",
		toolcall.LlamaJSON: `{"name": "get weather", "parameters": ` + args + `}; {"name": "g", "parameters": {}}`,
	} {
		got := f.Print(calls)
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", f, got, want)
		}
		if toolcall.FormatOf(got) != f {
			t.Errorf("%s: recognized as %s", f, toolcall.FormatOf(got))
		}
		back, err := f.Read(got)
		if err != nil || !toolcall.Equal(back, calls) {
			t.Errorf("%s: read back as %v, %v", f, back, err)
		}
		for _, other := range formats {
			if _, err := other.Read(got); other != f && err == nil {
				t.Errorf("%s reads as %s", f, other)
			}
		}
	}
	nested, err := toolcall.Parse("[f(a=(1, 2), b=g(c=3))]")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"name": "f", "parameters": {"a": [1, 2], "b": {"g": {"c": 3}}}}`
	if got := toolcall.LlamaJSON.Print(nested); got != want {
		t.Errorf("a tuple and a call: %s, want %s", got, want)
	}
}

func TestFormatRead(t *testing.T) {
	for name, c := range map[string]struct {
		format toolcall.Format
		text   string
		want   string // the calls, or part of the error
	}{
		"text around": {toolcall.Hermes,
			"Let me see.\n<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"f\"}</tool_call> Done.", "[f(a=1)]"},
		"a repeated key": {toolcall.Hermes,
			`<tool_call>{"name": "f", "arguments": {"a": 1, "a": 2}}</tool_call>`, "[f(a=2)]"},
		"cut off": {toolcall.Hermes, `<tool_call>{"name": "f", "arguments": {"a": 1`,
			"byte 45: want JSON, got the end"},
		"no end": {toolcall.Hermes, `<tool_call>{"name": "f", "arguments": {}}`,
			"want </tool_call>, got the end"},
		"no block": {toolcall.Hermes, "hello", "byte 0: want <tool_call>"},
		"no name": {toolcall.Hermes, `<tool_call>{"arguments": {}}</tool_call>`,
			`byte 11: want an object with "name"`},
		"arguments in a string": {toolcall.Hermes, `<tool_call>{"name": "f", "arguments": "{}"}</tool_call>`,
			`an object at "arguments"`},
		"the key of the other format": {toolcall.Hermes,
			`<tool_call>{"name": "f", "parameters": {}}</tool_call>`, `an object with "arguments"`},
		"Llama with the key of Hermes": {toolcall.LlamaJSON, `{"name": "f", "arguments": {"a": true}}`,
			"[f(a=True)]"},
		"Llama with its mark": {toolcall.LlamaJSON,
			` <|python_tag|>{"name": "f", "parameters": {}};{"name": "g", "parameters": {"b": null}} `,
			"[f(), g(b=None)]"},
		"Llama with words after it": {toolcall.LlamaJSON, `{"name": "f", "parameters": {}} ok`,
			`want ";" or the end`},
		"Llama with a bad escape": {toolcall.LlamaJSON, `{"name": "f", "parameters": {"a": "\q"}}`, "want JSON"},
		"not UTF-8":               {toolcall.LlamaJSON, "{\"name\": \"\xff\", \"parameters\": {}}", "valid UTF-8"},
		"deep": {toolcall.LlamaJSON,
			`{"name": "f", "parameters": {"a": ` + strings.Repeat("[", 300), "want JSON"},
		"a number beyond a float": {toolcall.LlamaJSON, `{"name": "f", "parameters": {"a": 1e999}}`, "want JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			calls, err := c.format.Read(c.text)
			got := toolcall.Print(calls)
			if err != nil {
				got = err.Error()
			}
			if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestFormatOfTemplate(t *testing.T) {
	for text, want := range map[string]toolcall.Format{
		"{{ '<tool_call>\\n{\"name\": ' }}":                                                   toolcall.Hermes,
		`in the format {"name": function name, "parameters": dictionary of argument name and`: toolcall.LlamaJSON,
		"{{ messages }}": toolcall.Pythonic,
	} {
		if got := toolcall.FormatOfTemplate(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// Calls that were read can be printed, and read back as the same calls.
func FuzzFormats(f *testing.F) {
	for _, s := range []string{
		`<tool_call>{"name": "f", "arguments": {"a": [1, 2.5, "x", null, {"k": true}]}}</tool_call>`,
		`{"name": "f", "parameters": {"a": "\u00e9\n"}}; {"name": "g", "parameters": {}}`, `<|python_tag|>{`,
		`{"name": "f", "parameters": {"a": -0.0, "b": 1e22}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, format := range formats[1:] {
			calls, err := format.Read(s)
			if err != nil {
				continue
			}
			for _, to := range formats[1:] {
				back, err := to.Read(to.Print(calls))
				if err != nil || !toolcall.Equal(back, calls) {
					t.Errorf("%s: %q became %q: %v", to, s, to.Print(calls), err)
				}
			}
		}
	})
}
