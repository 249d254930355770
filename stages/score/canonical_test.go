package score

import (
	"slices"
	"testing"

	"itool/schemas"
	"itool/stages/policy/policytest"
)

const tools = `[{"name":"f","parameters":{"type":"object","properties":{
	"a":{"type":"integer"},"b":{"type":"string"},"c":{"type":"boolean"}},"required":["a"]}},
	{"name":"g.h","parameters":{"type":"dict","properties":{"z":{"type":"integer"},"y":{"type":"integer"}}}}]`

func TestCanonical(t *testing.T) {
	p := policytest.Open(t, 1)
	for _, c := range []struct{ name, reference, want string }{
		{"in order", "[f(a=1, b='x')]", "[f(a=1, b='x')]"},
		{"in order, written otherwise", `[ f( a = 1,b="x" ) ]`, `[ f( a = 1,b="x" ) ]`},
		{"out of order", "[f(c=True, b='x', a=1)]", "[f(a=1, b='x', c=True)]"},
		{"the schema's order, not the alphabet's", "[g.h(y=2, z=1)]", "[g.h(z=1, y=2)]"},
		{"calls keep their order", "[g.h(y=2, z=1), f(b='x', a=1)]", "[g.h(z=1, y=2), f(a=1, b='x')]"},
		{"an argument that is not in the schema", "[f(q=0, b='x', a=1)]", "[f(a=1, b='x', q=0)]"},
		{"an unknown tool", "[k(b=2, a=1)]", "[k(b=2, a=1)]"},
		{"words before", "Let me see.\n[f(b='x', a=1)]", "Let me see.\n[f(a=1, b='x')]"},
		{"Hermes", `<tool_call>{"name": "f", "arguments": {"b": "x", "a": 1}}</tool_call>`,
			"<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1, \"b\": \"x\"}}\n</tool_call>"},
		{"it cannot be read", "[f(b='x', a=", "[f(b='x', a="},
	} {
		ex := schemas.Example{Tools: tools, Reference: c.reference, Calls: 1, AnswerIDs: p.Answer(c.reference)}
		if got := canonical(p, &ex); !slices.Equal(got, p.Answer(c.want)) {
			t.Errorf("%s: %q, want %q", c.name, p.Text(got), c.want)
		}
	}
	prose := schemas.Example{Tools: tools, Reference: "No.", AnswerIDs: p.Answer("No.")}
	if got := canonical(p, &prose); !slices.Equal(got, prose.AnswerIDs) {
		t.Errorf("prose became %q", p.Text(got))
	}
	const swapped = "[f(b='x', a=1)]"
	full := schemas.Example{Tools: tools, Reference: swapped, Calls: 1, AnswerIDs: p.Answer(swapped)[:3],
		PromptIDs: make([]int32, policytest.ContextLength-4)}
	if got := canonical(p, &full); !slices.Equal(got, full.AnswerIDs) {
		t.Errorf("%d tokens, more than the context has room for", len(got))
	}
}
