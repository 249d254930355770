package expand

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/toolcalltest"
)

// cut splits a text of one-byte tokens the way a draw is split.
func cut(text string) []string {
	var s scanner
	var out []string
	from := 0
	for i := range len(text) {
		if s.feed([]byte{text[i]}) {
			out, from = append(out, text[from:i+1]), i+1
		}
	}
	if from < len(text) {
		out = append(out, text[from:])
	}
	return out
}

func TestFragments(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"a call":                   {"[f(a=1, b='x')]", []string{"[f(", "a=1,", " b='x')", "]"}},
		"two calls":                {"[f(a=1), g()]", []string{"[f(", "a=1)", ", g(", ")", "]"}},
		"separators inside quotes": {`[f(a='x, (y)', b="it's")]`, []string{"[f(", "a='x, (y)',", ` b="it's")`, "]"}},
		"an escaped quote": {
			`[f(a='it\'s, so', b=2)]`, []string{"[f(", `a='it\'s, so',`, " b=2)", "]"},
		},
		"a nested list and dict": {
			"[f(a=[1, 2], b={'k': (3, 4)})]", []string{"[f(", "a=[1, 2],", " b={'k': (3, 4)})", "]"},
		},
		"a nested call":             {"[f(a=g(1, 2), b=3)]", []string{"[f(", "a=g(1, 2),", " b=3)", "]"}},
		"a name with an apostrophe": {"[Today's News(a=1)]", []string{"[Today's News(", "a=1)", "]"}},
		"a name with a bracket":     {"[get[x](a=1, b=2)]", []string{"[get[x](", "a=1,", " b=2)", "]"}},
		"an unfinished answer":      {"[f(a='never ends, never", []string{"[f(", "a='never ends, never"}},
		"too many closing parentheses": {
			"[f(a=1))), g(b=2)]", []string{"[f(", "a=1)", ")), g(b=2)]"},
		},
		"triple quotes": {`[f(a='''it's, (so)''', b=1)]`, []string{"[f(", `a='''it's, (so)''',`,
			" b=1)", "]"}},
		"an empty string":         {`[f(a='', b="")]`, []string{"[f(", "a='',", ` b="")`, "]"}},
		"a call without brackets": {"f(a='Hello. World', b=1)", []string{"f(", "a='Hello. World',", " b=1)"}},
		"two without brackets":    {"f(a=1), g.h()", []string{"f(", "a=1)", ", g.h(", ")"}},
		"words behind a call":     {"f(a=1) is it. Yes", []string{"f(", "a=1)", " is it. ", "Yes"}},
		"a word with parentheses": {"Call(s) are. Fine", []string{"Call(", "s) are. ", "Fine"}},
		"a fence":                 {"```\n[f(a=1, b=2)]\n```", []string{"```\n[f(", "a=1,", " b=2)", "]\n```"}},
		"a fence of a language":   {"```python\nf(a='x. y')\n```", []string{"```python\nf(", "a='x. y')", "\n```"}},
		"a name with parentheses": {"[User Feed (Video Posts) V2(a=1, b=2)]",
			[]string{"[User Feed (Video Posts) V2(", "a=1,", " b=2)", "]"}},
		"a blank before arguments": {"[Trends API (a=1, b=2)]", []string{"[Trends API (a=1,", " b=2)", "]"}},
		"arguments without names":  {"[f('x, (y)', b=1)]", []string{"[f(", "'x, (y)', b=1)", "]"}},
		"a comparison":             {"[f(a==1, b=2)]", []string{"[f(", "a==1, b=2)", "]"}},
		"a comment": {"[f(a=1, # it's b=2, c\n b=2)]", []string{"[f(", "a=1,",
			" # it's b=2, c\n b=2)", "]"}},
		"a line end in a string":   {"[f(a='x\n', b=2)]", []string{"[f(", "a='x\n', b=2)]"}},
		"brackets that do not fit": {"[f(a=[1), b=2)]", []string{"[f(", "a=[1), b=2)]"}},
		"a link":                   {"[a link](x). Yes", []string{"[a link](x). ", "Yes"}},
		"a list of OpenAI": {
			`[{"name": "f", "arguments": {"a": "x (y), z", "b": 1}}, {"name": "g", "arguments": {}}]`,
			[]string{`[{"name": "f", "arguments": {`, `"a": "x (y), z",`, ` "b": 1}`,
				`}, {"name": "g", "arguments": {`, "}", "}]"},
		},
		"a fenced list of OpenAI": {
			"```json\n" + `[{"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}]` + "\n```",
			[]string{"```json\n" + `[{"type": "function", "function": {"name": "f", "arguments": {`, `"a": 1}`,
				"}}]\n```"},
		},
		"arguments as text": {
			`{"tool_calls": [{"function": {"name": "f", "arguments": "{\"a\": 1, \"b\": 2}"}}]}`,
			[]string{`{"tool_calls": [{"function": {"name": "f", "arguments": "{\"a\": 1, \"b\": 2}"}}]}`},
		},
		"arguments of no call": {`{"x": {"arguments": {"a": 1, "b": 2}}}`,
			[]string{`{"x": {"arguments": {"a": 1, "b": 2}}}`}},
		"hermes in Python": {
			`<tool_call>{'name': 'f', 'arguments': {'a': 'x, "y"', 'b': True}}</tool_call>`,
			[]string{`<tool_call>{'name': 'f', 'arguments': {`, `'a': 'x, "y"',`, ` 'b': True}`, "}</tool_call>"},
		},
		"blanks before the list": {"\n [f(a=1)]", []string{"\n [f(", "a=1)", "]"}},
		"hermes": {
			"<tool_call>\n" + `{"name": "f", "arguments": {"a": [1, {"k": 2}], "b": "x, {y}"}}` + "\n</tool_call>\n" +
				"<tool_call>\n" + `{"name": "g", "arguments": {}}` + "\n</tool_call>",
			[]string{
				"<tool_call>\n" + `{"name": "f", "arguments": {`, `"a": [1, {"k": 2}],`, ` "b": "x, {y}"}`,
				"}\n</tool_call>\n<tool_call>\n" + `{"name": "g", "arguments": {`, "}", "}\n</tool_call>",
			},
		},
		"llama": {
			`{"name": "f", "parameters": {"a": "\"", "b": 1}}; {"name": "g", "parameters": {}}`,
			[]string{
				`{"name": "f", "parameters": {`, `"a": "\"",`, ` "b": 1}`,
				`}; {"name": "g", "parameters": {`, "}", "}",
			},
		},
		"hermes behind words": {
			"Let me see. Now\n<tool_call>\n" + `{"name": "f", "arguments": {"a": "Hello. World"}}` + "\n</tool_call>",
			[]string{
				"Let me see. ", "Now\n", "<tool_call>\n" + `{"name": "f", "arguments": {`, `"a": "Hello. World"}`,
				"}\n</tool_call>",
			},
		},
		"prose with a bracket": {"<b>No. <tool_<tool_call", []string{"<b>No. ", "<tool_<tool_call"}},
		"llama's mark": {
			`<|python_tag|>{"name": "f", "parameters": {"a": 1}}`,
			[]string{`<|python_tag|>{"name": "f", "parameters": {`, `"a": 1}`, "}"},
		},
		"prose": {
			"I cannot. Sorry, (really)\nbye", []string{"I cannot. ", "Sorry, (really)\n", "bye"},
		},
		"a decimal point ends nothing":  {"It is 3.5 km", []string{"It is 3.5 km"}},
		"multibyte characters in prose": {"Größe. É", []string{"Größe. ", "É"}},
		"nothing":                       {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := cut(c.text); !slices.Equal(got, c.want) {
				t.Errorf("%q:\n got %q\nwant %q", c.text, got, c.want)
			}
		})
	}
}

// TestFragmentsOfEveryFormat: each call has a fragment for its beginning and one for each
// argument, or one for the end of empty arguments; one more closes the answer. No quote,
// bracket or comma inside a value ends a fragment.
func TestFragmentsOfEveryFormat(t *testing.T) {
	for name, calls := range toolcalltest.Calls(t) {
		want := 1
		for _, c := range calls {
			want += 1 + max(1, len(c.Args))
		}
		for _, f := range toolcalltest.Formats {
			text := f.Print(calls)
			got := cut(text)
			if len(got) != want {
				t.Errorf("%s, %s: %d fragments, want %d: %q", name, f, len(got), want, got)
			}
			if back, err := f.Read(strings.Join(got, "")); err != nil || !toolcall.Equal(back, calls) {
				t.Errorf("%s, %s: %q became %v, %v", name, f, text, back, err)
			}
		}
	}
}

func TestACutLiesBehindTheTokenThatHoldsTheSeparator(t *testing.T) {
	tokens := []string{"[f", "(a", "=1", ", b", "=2)]", ""}
	n := fragments([]int32{0, 1, 2, 3, 4, 5}, func(id int32) []byte { return []byte(tokens[id]) })
	if n != 4 { // "[f(a" "=1, b" "=2)]" and the empty end of turn
		t.Errorf("got %d fragments, want 4", n)
	}
}

// A token costs no memory, and the state that a branch of the tree copies is small.
func TestScannerAllocatesNothing(t *testing.T) {
	token := []byte(`[f(a='x', b={"k": [1]})]`)
	var s scanner
	if n := testing.AllocsPerRun(100, func() { s = scanner{}; s.feed(token) }); n != 0 {
		t.Errorf("%g allocations for a token", n)
	}
	if size := unsafe.Sizeof(s); size > 64 {
		t.Errorf("the state has %d bytes", size)
	}
}

func BenchmarkScanner(b *testing.B) {
	token := []byte(` b='x, y',`)
	var s scanner
	s.feed([]byte("[f("))
	b.SetBytes(int64(len(token)))
	for b.Loop() {
		s.feed(token)
	}
}

// The fragments of any text have exactly its bytes, and end where the slow twin parses an end.
func FuzzFragments(f *testing.F) {
	for _, s := range []string{
		"[f(a=1, b='x')]", "No. I cannot.", `[f(a="\"")`, "[((((", "]]]", "[f(a='é,')]\x00\xff",
		`<tool_call>{"name": "f"]}}}</tool_call>`, `{"a": {"b`,
		"```json\n[{\"name\": \"f\", \"arguments\": {\"a\": 1}}]\n```",
		"[User Feed (Video Posts) V2(a=1, b=2)]", "f(a='''x, (y)''', # c\n b=g(x=1))",
		"[()()", "[f()()]", "0(0!=0,)", "f(a>=1, b<=2, c:=3)", "[f(1, a=r'\\'), g(*x, b=[1, (2,)])]",
		`<tool_call>{'name': 'f', 'arguments': {'a': 'x, "y"', 'b': True}}</tool_call>`, "[f(a==1, b='')]",
		`{"name": "f", "parameters": {"a": {"arguments": {"b": 1}}, "c": []}}; {"name": "g", "parameters": {}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := cut(s)
		if joined := strings.Join(got, ""); joined != s {
			t.Errorf("got %q, want %q", joined, s)
		}
		checkCuts(t, s, got)
	})
}
