package toolcall_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/toolcalltest"
)

// short writes decisions in short.
func short(all []toolcall.Decision) string {
	var b []string
	for _, d := range all {
		switch d.Kind {
		case toolcall.Named:
			b = append(b, d.Name+"(")
		case toolcall.Given:
			b = append(b, d.Name+":"+d.Text)
		default:
			b = append(b, map[toolcall.DecisionKind]string{
				toolcall.Words: "words", toolcall.More: ",", toolcall.Closed: ")", toolcall.Again: "again",
				toolcall.Ended: "end", toolcall.Beyond: "beyond",
			}[d.Kind])
		}
	}
	return strings.Join(b, " ")
}

func TestDecisions(t *testing.T) {
	feeds := []toolcall.Tool{{Name: "Feed"}, {Name: "User Feed (Video Posts) V2"}, {Name: "g"}, {Name: "g (b)"}}
	const hermes = `<tool_call>{"name": "f", "arguments": {`
	for _, c := range []struct {
		format toolcall.Format
		text   string
		want   string
	}{
		{toolcall.Pythonic, "", ""},
		{toolcall.Pythonic, "[", ""},
		{toolcall.Pythonic, "[f", ""},
		{toolcall.Pythonic, "[f(", "f("},
		{toolcall.Pythonic, "[f(city", "f("},
		{toolcall.Pythonic, "[f(a='x'", "f("},
		{toolcall.Pythonic, "[f(a='x',", "f( a:a='x' ,"},
		{toolcall.Pythonic, "[f(a='x')", "f( a:a='x' )"},
		{toolcall.Pythonic, "[f(a='x,)', b=[1, (2)], c=g(x=1)), ", "f( a:a='x,)' , b:b=[1, (2)] , c:c=g(x=1) ) again"},
		{toolcall.Pythonic, "[f(), g", "f( ) again"},
		{toolcall.Pythonic, "[f()]", "f( ) end"},
		{toolcall.Pythonic, "[f()]\n", "f( ) end"},
		{toolcall.Pythonic, "[f()] So", "f( ) end beyond"},
		{toolcall.Pythonic, `[f(a='''it's, "so"''',`, `f( a:a='''it's, "so"''' ,`},
		{toolcall.Pythonic, "[f(a='',", "f( a:a='' ,"},
		{toolcall.Pythonic, "[f(1,", "f("},           // a value without a name
		{toolcall.Pythonic, "[f(a={1],", "f("},       // brackets that do not match
		{toolcall.Pythonic, "[f(a='Z\ufffd')", "f("}, // a character that was cut in two
		{toolcall.Pythonic, "[Feed(", "Feed("},
		{toolcall.Pythonic, "[User Feed (", ""},
		{toolcall.Pythonic, "[User Feed (Video Posts) V2(a=1,", "User Feed (Video Posts) V2( a:a=1 ,"},
		{toolcall.Pythonic, "[User Posts (", "User Posts("},
		{toolcall.Pythonic, "[g (", ""}, // g and g (b) are tools
		{toolcall.Pythonic, "I", ""},
		{toolcall.Pythonic, "I ", "words"},
		{toolcall.Pythonic, "f(a=1)", ""},        // a call without brackets
		{toolcall.Pythonic, "```\n[f(a=1)]", ""}, // a fence
		{toolcall.Pythonic, "<think>[f(", ""},
		{toolcall.Pythonic, "<think>hm</think>\n[f(", "f("},
		{toolcall.Hermes, "<tool", ""},
		{toolcall.Hermes, "<b>", "words"},
		{toolcall.Hermes, "Yes.\n" + hermes, "words f("},
		{toolcall.Hermes, hermes, "f("},
		{toolcall.Hermes, hermes + `"a": 1`, "f("},
		{toolcall.Hermes, hermes + `"a": 1,`, `f( a:"a": 1 ,`},
		{toolcall.Hermes, hermes + `"a": 1,}`, `f( a:"a": 1 ,`}, // no JSON
		{toolcall.Hermes, hermes + `"a": {"b": "}"}}`, `f( a:"a": {"b": "}"} )`},
		{toolcall.Hermes, hermes + `}}</tool_call>`, "f( ) end"},
		{toolcall.Hermes, hermes + `}}</tool_call> So <tool_call>`, "f( ) end again"},
		{toolcall.Hermes, `<tool_call>{"arguments": {"a": 1}, "name": "f"}</tool_call>`, ""},
		{toolcall.LlamaJSON, `<|python_tag|>{"name": "f", "parameters": {"a": 1}}; {"na`, `f( a:"a": 1 ) end again`},
		{toolcall.LlamaJSON, `{"name": "f", "parameters": {}} So`, "f( ) end beyond"},
		{toolcall.LlamaJSON, "No.", "words"},
	} {
		if got := short(c.format.Decisions(c.text, feeds)); got != c.want {
			t.Errorf("%s: %q\n got %s\nwant %s", c.format, c.text, got, c.want)
		}
	}
}

// expected are the decisions of calls that were printed in a format.
func expected(f toolcall.Format, calls []toolcall.Call) string {
	var b []string
	for i, c := range calls {
		if i > 0 {
			b = append(b, "again")
		}
		b = append(b, c.Name+"(")
		for j, a := range c.Args {
			if j > 0 {
				b = append(b, ",")
			}
			only := f.Print([]toolcall.Call{{Name: "f", Args: []toolcall.Arg{a}}})
			open, closing := "(", ")]"
			if f != toolcall.Pythonic {
				open, closing = `s": {`, "}}"
			}
			from := strings.Index(only, open) + len(open)
			b = append(b, a.Name+":"+only[from:strings.LastIndex(only, closing)])
		}
		if b = append(b, ")"); f != toolcall.Pythonic || i == len(calls)-1 {
			b = append(b, "end")
		}
	}
	return strings.Join(b, " ")
}

// TestDecisionsOfEveryFormat: of calls that are printed, everything is decided, and never taken back
// as the text grows.
func TestDecisionsOfEveryFormat(t *testing.T) {
	for name, calls := range toolcalltest.Calls(t) {
		var tools []toolcall.Tool
		for _, c := range calls {
			tools = append(tools, toolcall.Tool{Name: c.Name})
		}
		for _, f := range formats {
			text := f.Print(calls)
			whole := f.Decisions(text, tools)
			if got, want := short(whole), expected(f, calls); got != want {
				t.Errorf("%s, %s: %q\n got %s\nwant %s", name, f, text, got, want)
			}
			grows(t, f, text, tools)
		}
	}
}

// grows fails if a longer text takes back what a shorter one had decided.
func grows(t *testing.T, f toolcall.Format, text string, tools []toolcall.Tool) {
	t.Helper()
	whole := f.Decisions(text, tools)
	for end := range len(text) {
		if got := f.Decisions(text[:end], tools); len(got) > len(whole) || !slices.Equal(got, whole[:len(got)]) {
			t.Fatalf("%s: %q decides\n%s, but its beginning %q\n%s", f, text, short(whole), text[:end], short(got))
		}
	}
}

func FuzzDecisions(f *testing.F) {
	for _, s := range []string{
		"[f(a=1, b='x'), User Feed (Video Posts) V2()]", "No. I cannot.", `[f(a="\"")`, "[((((", "]]]",
		"[f(a='é,')]\x00\xff", "<think>a</think>[f(a='''x'''",
		`<tool_call>{"name": "f", "arguments": {"a": [1, {"k": 2}], "b": "x, {y}"}}</tool_call>`,
		`{"name": "f", "parameters": {"a": "\"", "b": 1}}; {"name": "g", "parameters": {}}`,
	} {
		f.Add(s)
	}
	tools := []toolcall.Tool{{Name: "f"}, {Name: "User Feed (Video Posts) V2"}}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 400 {
			return // every beginning is read
		}
		for _, format := range formats {
			grows(t, format, text, tools)
		}
	})
}

func ExampleFormat_Decisions() {
	for _, d := range toolcall.Pythonic.Decisions("[get_weather(city='Paris', days=", nil) {
		fmt.Printf("%d %q %q\n", d.Kind, d.Name, d.Text)
	}
	// Output:
	// 1 "get_weather" ""
	// 2 "city" "city='Paris'"
	// 3 "" ""
}
