package format_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"itool/schemas/toolcall"
	"itool/stages/split/format"
)

// TestRows: the documented row of each format is detected, read without an unknown key, and all
// of it is there: who said what, the tools, the calls.
func TestRows(t *testing.T) {
	const call = "[find_order(order_id='W0')]"
	ask, sent := "user: Where is W0?", "tool: sent"
	for kind, want := range map[format.Format][]string{
		format.ToolACE: {"system: You are an expert", ask, "assistant: " + call,
			`tool: [{"name": "find_order", "results": "sent"}]`, "assistant: It was sent."},
		format.BFCL:     {ask, "assistant: +" + call},
		format.OpenAI:   {"system: Be kind.", ask, "assistant: Let me look.+" + call, sent, "assistant: It was sent."},
		format.ShareGPT: {"system: Be kind.", ask, "assistant: +" + call, sent, "assistant: It was sent."},
		format.Hermes: {"system: You are a function calling AI model. ", ask,
			"assistant: <tool_call>\n{'arguments': {'order_id': 'W0'}, 'name': 'find_order'}\n</tool_call>",
			`tool: {"name": "find_order", "content": "sent"}`, "assistant: It was sent."},
		format.XLAM: {ask, "assistant: +" + call},
		format.Glaive: {"system: You are a helpful assistant.", ask, "assistant: +" + call, `tool: {"state": "sent"}`,
			"assistant: It was sent."},
		format.Toucan:  {"system: Be kind.", ask, "assistant: +" + call, sent, "assistant: It was sent."},
		format.ToolRL:  {"system: You are a helpful dialogue assistant.", ask, "assistant: (I look it up.)+" + call},
		format.APIBank: {"system: Generate an API request", ask, "assistant: Let me look.+" + call},
	} {
		t.Run(string(kind), func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("testdata", "rows", string(kind)+".jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := format.Detect("", data); got != kind || err != nil {
				t.Fatalf("detected as %s, %v", got, err)
			}
			row := readAll(t, "x", data)[0]
			if row.Err != nil || len(row.Unknown) > 0 {
				t.Fatalf("%v, unknown keys %v", row.Err, row.Unknown)
			}
			var got []string
			for _, m := range row.Messages {
				s := m.Role + ": " + m.Content
				if m.Thought != "" {
					s = m.Role + ": (" + m.Thought + ")" + m.Content
				}
				if len(m.Calls) > 0 {
					s += "+" + toolcall.Print(m.Calls)
				}
				got = append(got, s)
			}
			if !slices.EqualFunc(got, want, func(g, w string) bool {
				return g == w || strings.HasPrefix(w, "system") && strings.HasPrefix(g, w)
			}) {
				t.Errorf("got\n%q, want\n%q", got, want)
			}
			tools, err := toolcall.ParseTools(row.Tools)
			if err != nil || len(tools) != 1 || tools[0].Name != "find_order" || tools[0].Params[0].Name != "order_id" {
				t.Errorf("tools %+v, %v", tools, err)
			}
			if system := row.Messages[0].Content; strings.Contains(system, "order_id") {
				t.Errorf("the tools stand in the system text, too: %q", system)
			}
		})
	}
}
