package split_test

import (
	"strings"
	"testing"

	"itool/stages/split/format"
)

const (
	sent     = `{"role": "tool", "content": "sent"}`
	wasSent  = `{"role": "assistant", "content": "It was sent."}`
	newTurn  = `{"role": "user", "content": "And now?"}`
	shownNew = "<|user|>And now?<|end|>"
)

// TestKeysThatMeanSomething: what says something under a key that no importer reads refuses the
// row by name. A row without it would be another row.
func TestKeysThatMeanSomething(t *testing.T) {
	turn := func(keys string) string {
		return messages(ask, `{"role": "assistant", `+keys+`}`, sent, wasSent)
	}
	call := func(keys string) string {
		return turn(`"content": null, "tool_calls": [{"function": {"name": "find_order", ` + keys + `}}]`)
	}
	row := func(keys string) string { return `{` + keys + `, "messages": [` + ask + `, ` + wasSent + `]}` }
	for _, c := range []struct{ name, row, place string }{
		{"a system text of another name", row(`"system_prompt": "Be kind."`), "system_prompt"},
		{"an instruction beside the turns", row(`"instruction": "Be kind."`), "instruction"},
		{"tools of another name", row(`"available_functions": ` + orderTools), "available_functions"},
		{"tools of another case", row(`"Tools": ` + orderTools), "Tools: keys are compared exactly: tools"},
		{"a system text of another case", row(`"SYSTEM": "Be kind."`), "SYSTEM: keys are compared exactly: system"},
		{"what the template is given", row(`"chat_template_kwargs": {"xml_tools": ["f"]}`), "chat_template_kwargs"},
		{"documents", row(`"documents": [{"text": "a"}]`), "documents"},
		{"a mask of the row", row(`"loss_mask": [0, 1]`), "loss_mask"},
		{"a call of another name", turn(`"content": "", "tool_call": {"name": "find_order"}`),
			"messages[1].tool_call"},
		{"calls in camel case", turn(`"content": "I look.", "toolCalls": [{"function": ` + orderCall + `}]`),
			"messages[1].toolCalls: keys are compared exactly: tool_calls"},
		{"nothing but a key that is not known", turn(`"content": "", "moves": ["e4"]`),
			"messages[1]: it says nothing but moves"},
		{"a text of another name", turn(`"utterance": "Hm."`), "messages[1]: it says nothing but utterance"},
		{"a user's text of another name", messages(`{"role": "user", "text": "Hi"}`, wasSent, newTurn, wasSent),
			"messages[0]"},
		{"no text at all", messages(ask, `{"role": "assistant"}`, newTurn, wasSent), "messages[1].content: missing"},
		{"a mask", turn(`"content": "WRONG", "loss_mask": 0`), "messages[1].loss_mask"},
		{"a mark of another name", turn(`"content": "WRONG", "trainable": false`), "messages[1].trainable"},
		{"axolotl's other mark", turn(`"content": "WRONG", "training": false`), "messages[1].training"},
		{"a mark of another case", turn(`"content": "WRONG", "Weight": 0`), "messages[1].Weight"},
		{"a plan", turn(`"content": "x", "tool_plan": "First …"`), "messages[1].tool_plan"},
		{"a part with a mark", turn(`"content": [{"type": "text", "text": "WRONG", "weight": 0}]`),
			"messages[1].content[0].weight"},
		{"arguments as Anthropic calls them", call(`"input": {"order_id": "W0"}`), "function.input"},
		{"arguments of a short name", call(`"args": {"order_id": "W0"}`), "function.args"},
		{"arguments of another case", call(`"Arguments": {"order_id": "W0"}`), "function.Arguments"},
		{"arguments of a name that nobody knows", call(`"slots": {"order_id": "W0"}`), "has no arguments, but slots"},
		{"an argument twice", call(`"arguments": "{\"order_id\": \"W0\", \"order_id\": \"W1\"}"`), "twice"},
		{"an argument twice, deep", call(`"arguments": {"note": [{"a": 1, "a": 2}]}`), "twice"},
		{"a user with tools", messages(`{"role": "user", "content": "Hi", "tools": `+orderTools+`}`, wasSent),
			"messages[0].tools"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := learn(t, format.OpenAI, c.row+"\n", nil)
			for _, g := range got {
				if g.reason != "bad_row" || !strings.Contains(g.detail, c.place) {
					t.Errorf("%s\ngot %q (%s), answer %q; want bad_row with %q", c.row, g.reason, g.detail, g.answer,
						c.place)
				}
			}
		})
	}
}

// TestMoreLayouts: rows that mean the same as others and are written otherwise.
func TestMoreLayouts(t *testing.T) {
	found := hermes(`{"order_id": "W0"}`)
	for _, c := range []struct {
		name  string
		row   string
		cfg   map[string]any
		wants []want
	}{
		{"tools in the system turn", `{"messages": [{"role": "system", "content": "Be kind.", "tools": ` + orderTools +
			`}, ` + ask + `, ` + callWith(`{"order_id": "W0"}`) + `]}`, nil,
			[]want{{"", []string{"Be kind.\n\n# Tools", `"name": "find_order"`}, found}}},
		{"tools in a system turn without text", `{"messages": [{"role": "system", "tools": ` + orderTools + `}, ` +
			ask + `, ` + callWith(`{"order_id": "W0"}`) + `]}`, nil,
			[]want{{"", []string{`"name": "find_order"`}, found}}},
		{"other tools in the system turn", `{"messages": [{"role": "system", "content": "Be kind.", "tools": ` +
			orderTools + `}, ` + ask + `, ` + wasSent + `], "tools": [{"name": "other"}]}`, nil,
			[]want{{"bad_tools messages[0].tools: the row has other tools, too", nil, ""}}},
		{"parameters as a text", `{"messages": [` + ask + `, ` + callWith(`{"order_id": "W0", "note": null}`) +
			`], "tools": [{"type": "function", "function": {"name": "find_order", "parameters": ` +
			`"{\"type\": \"object\", \"properties\": {\"order_id\": {\"type\": \"string\"}, \"note\": {\"type\": ` +
			`\"string\"}}}"}}]}`, nil, []want{{"", []string{`"parameters": {"type": "object", "properties"`}, found}}},
		{"parameters as a text, without a wrapper", `{"messages": [` + ask + `, ` + callWith(`{"order_id": "W0"}`) +
			`], "tools": "[{\"name\": \"find_order\", \"parameters\": \"{\\\"type\\\": \\\"object\\\"}\"}]"}`, nil,
			[]want{{"", []string{`"parameters": {"type": "object"}`}, found}}},
		{"an older call as a text", messages(ask, `{"role": "assistant", "content": null, "function_call": `+
			`"{\"name\": \"find_order\", \"arguments\": {\"order_id\": \"W0\"}}"}`), nil, []want{{"", nil, found}}},
		{"any parameters", `{"messages": [` + ask + `, ` + callWith(`{"order_id": "W0"}`) +
			`], "tools": [{"name": "find_order", "parameters": true}]}`, nil, []want{{"", nil, found}}},
		{"parameters of several kinds", `{"messages": [` + ask + `, ` + callWith(`{"order_id": "W0"}`) +
			`], "tools": [{"name": "find_order", "parameters": {"anyOf": [{"type": "object", "properties": ` +
			`{"order_id": {"type": "string"}}}, {"type": "object"}]}}]}`, nil, []want{{"", nil, found}}},
		{"reasoning that the prompt began is kept", messages(ask, `{"role": "assistant", "content": `+
			`"Hm.</think>\n\nHo."}`), nil, []want{{"", nil, "Hm.</think>\n\nHo."}}},
		{"and dropped", messages(ask, `{"role": "assistant", "content": "Hm.</think>\n\nHo."}`),
			map[string]any{"reasoning": "drop"}, []want{{"", nil, "Ho."}}},
		{"and dropped before a call", messages(ask, `{"role": "assistant", "content": "Hm.\n</think>", "tool_calls": `+
			`[{"function": `+orderCall+`}]}`, sent, wasSent), map[string]any{"reasoning": "drop"}, []want{
			{"", nil, found}, {"", []string{"!Hm.", "!think>"}, "It was sent."}}},
		{"and refused", messages(ask, `{"role": "assistant", "content": "Hm.</think>\n\nHo."}`),
			map[string]any{"reasoning": "refuse"}, []want{{"bad_answer split.reasoning is refuse", nil, ""}}},
		{"nothing but reasoning", messages(ask, `{"role": "assistant", "content": "<think>Hm.</think>"}`), nil,
			[]want{{"no_answer nothing stands behind its reasoning", nil, ""}}},
		{"a part that the server keeps", messages(`{"role": "user", "content": [{"type": "text", "text": "And now?", `+
			`"cache_control": {"type": "ephemeral"}}]}`, wasSent), nil,
			[]want{{"", []string{shownNew}, "It was sent."}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := learn(t, format.OpenAI, c.row+"\n", c.cfg)
			check(t, got, c.wants)
		})
	}
}
