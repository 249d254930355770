package split_test

import (
	"strings"
	"testing"

	"itool/schemas/toolcall"
	"itool/stages/split/format"
)

// Short forms for rows.
const (
	orderTool = `{"name": "find_order", "parameters": {"type": "object", "properties": ` +
		`{"order_id": {"type": "string"}, "note": {"type": "string"}}, "required": ["order_id"]}}`
	orderTools = `[` + orderTool + `]`
	orderCall  = `{"name": "find_order", "arguments": "{\"order_id\": \"W0\"}"}`
	ask        = `{"role": "user", "content": "Where is W0?"}`
)

// messages writes a row of turns with the tool find_order.
func messages(turns ...string) string {
	return `{"messages": [` + strings.Join(turns, ", ") + `], "tools": ` + orderTools + `}`
}

// callWith writes a turn of the assistant with find_order and these arguments.
func callWith(arguments string) string {
	return `{"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": ` +
		`{"name": "find_order", "arguments": ` + arguments + `}}]}`
}

// hermes is a call of find_order as it is learnt.
func hermes(arguments string) string {
	return "<tool_call>\n{\"name\": \"find_order\", \"arguments\": " + arguments + "}\n</tool_call>"
}

// TestNasty: more of each kind of row that trainers have learnt wrongly.
func TestNasty(t *testing.T) {
	for _, c := range []struct {
		name  string
		kind  format.Format
		row   string
		cfg   map[string]any
		wants []want
	}{
		// 01: tools beside conversations.
		{"tools as a list of texts", format.ShareGPT, `{"conversations": [{"from": "human", "value": "Hi"}, ` +
			`{"from": "gpt", "value": "Hello."}], "tools": ["{\"name\": \"f\"}", "{\"name\": \"g\"}"]}`, nil,
			[]want{{"", []string{`"name": "f"`, `"name": "g"`}, "Hello."}}},
		{"tools under their older name", format.OpenAI, `{"messages": [` + ask + `, {"role": "assistant", "content": ` +
			`"Hm."}], "functions": ` + orderTools + `, "tools": null}`, nil, []want{{"", []string{"find_order"},
			"Hm."}}},
		{"two lists of tools", format.OpenAI, `{"messages": [` + ask + `, {"role": "assistant", "content": "Hm."}], ` +
			`"functions": ` + orderTools + `, "tools": [{"name": "other"}]}`, nil,
			[]want{{"bad_tools functions: the row has other tools, too", nil, ""}}},
		// 02: a system text beside the turns.
		{"two system texts", format.OpenAI, `{"system": "Be brief.", "messages": [{"role": "system", "content": ` +
			`"Be long."}, ` + ask + `, {"role": "assistant", "content": "Hm."}]}`, nil,
			[]want{{"bad_row system: the first turn is another system text", nil, ""}}},
		{"the same system text twice", format.OpenAI, `{"system": "Be brief.\n", "messages": [{"role": "system", ` +
			`"content": "Be brief."}, ` + ask + `, {"role": "assistant", "content": "Hm."}]}`, nil,
			[]want{{"", []string{"<|system|>Be brief.<|end|><|user|>"}, "Hm."}}},
		{"a system text that is a list", format.OpenAI, `{"system": ["Be brief."], "messages": [` + ask + `]}`, nil,
			[]want{{"bad_row system: want a text, got a list", nil, ""}}},
		// 03: the older call.
		{"both kinds of calls", format.OpenAI, messages(ask, `{"role": "assistant", "content": null, "function_call": `+
			orderCall+`, "tool_calls": [{"function": `+orderCall+`}]}`), nil,
			[]want{{"bad_row messages[1].function_call: the turn has tool_calls, too", nil, ""}}},
		{"an older call without arguments, and an empty list", format.OpenAI, messages(ask,
			`{"role": "assistant", "content": "", "tool_calls": [], "function_call": {"name": "find_order"}}`), nil,
			[]want{{"", nil, hermes("{}")}}},
		{"calls as turns of their own", format.ShareGPT, `{"conversations": [{"from": "human", "value": "Both?"}, ` +
			`{"from": "gpt", "value": "I look."}, {"from": "tool_call", "value": "{\"name\": \"f\", ` +
			`\"arguments\": {}}"}, ` +
			`{"from": "tool_call", "value": "{\"name\": \"f\", \"arguments\": {\"a\": 1}}"}, ` +
			`{"from": "tool_response", "value": "1"}, {"from": "tool_response", "value": "2"}, ` +
			`{"from": "gpt", "value": "Done."}], "tools": "[{\"name\": \"f\"}]"}`, nil, []want{
			{"", []string{"<|user|>Both?<|end|><|assistant|>"}, "I look.\n<tool_call>\n{\"name\": \"f\", " +
				"\"arguments\": {}}" +
				"\n</tool_call>\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>"},
			{"", []string{"<tool_response>\n1\n</tool_response>", "<tool_response>\n2\n</tool_response>"}, "Done."}}},
		// 06: marks.
		{"train, loss and a user's weight", format.OpenAI, messages(`{"role": "user", "content": "a", "weight": 0}`,
			`{"role": "assistant", "content": "One.", "train": false}`, ask,
			`{"role": "assistant", "content": "Two.", "loss": 0.0}`, ask,
			`{"role": "assistant", "content": "Three.", "loss": true, "train": null}`), nil, []want{
			{"not_learnt", nil, ""}, {"not_learnt", nil, ""}, {"", []string{"One.<|end|>", "Two.<|end|>"}, "Three."}}},
		{"half a weight", format.OpenAI, messages(ask, `{"role": "assistant", "content": "x", "weight": 0.5}`), nil,
			[]want{{"bad_row messages[1].weight: 0.5: a turn is learnt (1) or not (0)", nil, ""}}},
		{"marks that disagree", format.OpenAI, messages(ask,
			`{"role": "assistant", "content": "x", "weight": 1, "train": false}`), nil,
			[]want{{"bad_row weight says that it is learnt, train that it is not", nil, ""}}},
		{"a user's turn to learn", format.OpenAI, messages(`{"role": "user", "content": "a", "train": true}`,
			`{"role": "assistant", "content": "x"}`), nil, []want{{"bad_row a turn of user cannot be learnt", nil,
			""}}},
		{"only the last turn", format.OpenAI, messages(ask, `{"role": "assistant", "content": "One."}`, ask,
			`{"role": "assistant", "content": "Two."}`), map[string]any{"turns": "last"},
			[]want{{"not_learnt split.turns is last", nil, ""}, {"", []string{"One.<|end|>"}, "Two."}}},
		// 08: forms that the text dictates.
		{"the benchmark's sentence", format.OpenAI, `{"messages": [{"role": "system", "content": "If you decide ` +
			`to invoke ` +
			`any of the function(s), you MUST put it in the format of [func_name1(params_name1=params_value1), ` +
			`func_name2(params)]\nThe end."}, ` + ask + `, {"role": "assistant", "content": "Hm."}]}`, nil,
			[]want{{"", []string{"If you decide to invoke any of the function(s), Write calls in the form that " +
				"you are " +
				"given for them.\nThe end.", "!func_name1"}, "Hm."}}},
		{"the sentence that is right", format.ToolACE, `{"system": "Put it in the format of [func1(a=b), ` +
			`func2(params)]", ` +
			`"conversations": [{"from": "user", "value": "Hi"}, {"from": "assistant", "value": "Hello."}]}`,
			map[string]any{"call_format": "pythonic"}, []want{{"", []string{"Put it in the format of [func1("},
				"Hello."}}},
		{"a text of one's own", format.ToolACE, `{"system": "Put it in the format of [func1(a=b), func2(params)]", ` +
			`"conversations": [{"from": "user", "value": "Hi"}, {"from": "assistant", "value": "Hello."}]}`,
			map[string]any{"format_text": "Use $0 JSON."}, []want{{"", []string{"<|system|>Use $0 JSON.<|end|>"},
				"Hello."}}},
		// 12: keys.
		{"a role of another case", format.OpenAI, `{"messages": [{"Role": "user", "content": "x"}]}`, nil,
			[]want{{"bad_row messages[0].Role: keys are compared exactly: role would be read", nil, ""}}},
		{"a key twice", format.OpenAI, messages(`{"role": "user", "content": "x", "content": "y"}`), nil,
			[]want{{"bad_row messages[0].content: it stands there twice", nil, ""}}},
		{"arguments of another case", format.OpenAI, messages(ask, `{"role": "assistant", "tool_calls": [{"function": `+
			`{"name": "find_order", "Arguments": "{\"order_id\": \"W0\"}"}}]}`), nil,
			[]want{{"bad_row function.Arguments: keys are compared exactly: arguments would be read", nil, ""}}},
		{"a picture", format.OpenAI, `{"images": ["a.png"], "messages": [` + ask + `]}`, nil,
			[]want{{"bad_row images: it means something that cannot be used here", nil, ""}}},
		{"no picture", format.OpenAI, `{"images": [], "audios": null, "tool_choice": "auto", "messages": [` + ask +
			`, {"role": "assistant", "content": "Hm.", "refusal": null}]}`, nil, []want{{"", nil, "Hm."}}},
		{"a key that says nothing here", format.OpenAI, `{"label": "good", "messages": [` + ask +
			`, {"role": "assistant", "content": "Hm."}]}`, map[string]any{"ignore_keys": []string{"label"}},
			[]want{{"", nil, "Hm."}}},
		{"a key that is used, and says nothing here", format.OpenAI, `{"parallel_tool_calls": false, "messages": [` +
			ask + `, {"role": "assistant", "content": "Hm."}]}`,
			map[string]any{"ignore_keys": []string{"parallel_tool_calls"}}, []want{{"", nil, "Hm."}}},
		{"a key that is ignored in the row and read in turns", format.OpenAI, `{"tool_calls": [1], "messages": [` +
			ask + `, ` + callWith(`{"order_id": "W0"}`) + `], "tools": ` + orderTools + `}`,
			map[string]any{"ignore_keys": []string{"tool_calls"}}, []want{{"", nil, hermes(`{"order_id": "W0"}`)}}},
		{"turns of the prompt that are said not to be learnt", format.OpenAI, `{"messages": [{"role": "system", ` +
			`"content": "s", "trainable": false}, {"role": "user", "content": "x", "loss_mask": 0}, ` +
			`{"role": "assistant", "content": "Hm."}]}`, nil, []want{{"", nil, "Hm."}}},
		{"an answer that is said not to be learnt", format.OpenAI, messages(ask,
			`{"role": "assistant", "content": "Hm.", "loss_mask": 0}`), nil,
			[]want{{"bad_row messages[1].loss_mask: it means something that cannot be used here", nil, ""}}},
		{"a row of another format", format.OpenAI, `{"query": "x", "tools": "[]", "answers": "[]"}`, nil,
			[]want{{"bad_row it looks like a row of xlam", nil, ""}}},
		// 15: padding and arguments.
		{"a null that is meant", format.OpenAI, `{"messages": [` + ask + `, ` + callWith(`{"a": null, "b": `+
			`null, "c": 1}`) +
			`], "tools": [{"name": "find_order", "parameters": {"type": "object", "properties": {"a": {"type": ` +
			`["string", "null"]}, "b": {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "c": {"type": "integer"}, ` +
			`"d": null}}}]}`, nil, []want{{"", []string{"!\"d\""}, hermes(`{"a": null, "b": null, "c": 1}`)}}},
		{"a required null", format.OpenAI, messages(ask, callWith(`{"order_id": null, "note": null}`)), nil,
			[]want{{"", nil, hermes(`{"order_id": null}`)}}},
		{"padding in a text of the model's format", format.OpenAI, messages(ask, `{"role": "assistant", "content": `+
			`"<tool_call>\n{\"name\": \"find_order\", \"arguments\": {\"order_id\": \"W0\", \"note\": `+
			`null}}\n</tool_call>"}`),
			nil, []want{{"", nil, hermes(`{"order_id": "W0"}`)}}},
		{"blank arguments", format.OpenAI, messages(ask, callWith(`" \n"`)), nil, []want{{"", nil, hermes("{}")}}},
		{"arguments by position", format.OpenAI, messages(ask,
			`{"role": "assistant", "content": "[find_order('W0', 'x')]"}`), nil,
			[]want{{"", nil, hermes(`{"order_id": "W0", "note": "x"}`)}}},
		{"too many by position", format.OpenAI, messages(ask,
			`{"role": "assistant", "content": "[find_order('W0', 'x', 'y')]"}`), nil,
			[]want{{"bad_answer more arguments than its tool has parameters", nil, ""}}},
		{"numbers as they are written", format.OpenAI, messages(ask,
			callWith(`"{\"order_id\": 12345678901234567890123, \"note\": 1.0}"`)), nil,
			[]want{{"", nil, hermes(`{"order_id": 12345678901234567890123, "note": 1.0}`)}}},
		{"half a surrogate pair", format.OpenAI, messages(`{"role": "user", "content": "\ud83d"}`,
			`{"role": "assistant", "content": "x"}`), nil, []want{{"bad_row half of a surrogate pair", nil, ""}}},
		{"half of one in arguments", format.OpenAI, messages(ask, callWith(`"{\"order_id\": \"\\ud83d\"}"`)), nil,
			[]want{{"bad_row messages[1].tool_calls[0].function.arguments", nil, ""}}},
		// 18: words beside calls.
		{"words that look like a call", format.OpenAI, messages(ask, `{"role": "assistant", "content": `+
			`"<tool_call>{}</tool_call>", "tool_calls": [{"function": `+orderCall+`}]}`, ask,
			`{"role": "assistant", "content": "Done."}`), nil, []want{
			{"bad_answer cannot be written as hermes and read back", nil, ""},
			{"bad_prompt an earlier turn, 0, cannot be shown", nil, ""}}},
		{"words beside a call in another form", format.OpenAI, messages(ask, `{"role": "assistant", "content": `+
			`"Let me look.\n[find_order(order_id='W0')]"}`), nil, []want{{"", nil,
			"Let me look.\n" + hermes(`{"order_id": "W0"}`)}}},
		{"words behind calls", format.OpenAI, messages(ask, `{"role": "assistant", "content": `+
			`"<tool_call>\n{\"name\": \"find_order\", \"arguments\": {}}\n</tool_call> Done."}`), nil, []want{
			{"", nil, "<tool_call>\n{\"name\": \"find_order\", \"arguments\": {}}\n</tool_call> Done."}}},
		{"short prose", format.OpenAI, messages(ask, `{"role": "assistant", "content": "42"}`), nil, []want{{"",
			nil, "42"}}},
		{"results in another order than the calls", format.OpenAI, messages(ask,
			`{"role": "assistant", "tool_calls": [`+
				`{"id": "a", "function": `+orderCall+`}, {"id": "b", "function": `+orderCall+`}]}`,
			`{"role": "tool", "tool_call_id": "b", "content": "2"}`, `{"role": "tool", "tool_call_id": "a", `+
				`"content": "1"}`), nil,
			[]want{{"bad_row messages[2].tool_call_id", nil, ""}}},
		// Layouts with one answer.
		{"earlier turns of a question are not learnt", format.XLAM, `{"query": [` + ask + `, {"role": "agent", ` +
			`"content": "I look."}, {"role": "assistant", "content": "` + "```" + `[{\"name\": \"find_order\", ` +
			`\"arguments\": {\"order_id\": \"W9\"}}]` + "```" + `"}, {"role": "tool", "content": "none"}, ` + ask +
			`, {"role": "agent", "content": "Again.\nGenerate API Request:"}], "tools": ` + orderTools + `, ` +
			`"answers": ` +
			`[{"name": "find_order", "arguments": {"order_id": "W0"}}]}`, nil, []want{
			{"not_learnt", nil, ""},
			{"", []string{"I look.\n" + hermes(`{"order_id": "W9"}`)}, "Again.\n" + hermes(`{"order_id": "W0"}`)}}},
		{"a history of ToolRL", format.ToolRL, `{"instruction": "Help.", "input": "**Dialogue Records History**\n` +
			`<user> a </user>\n<think> dummy </think>\n<response> b </response>\n<user> c </user>", ` +
			`"output": "<think> t </think>\n<response> d </response>"}`, map[string]any{"reasoning": "drop"},
			[]want{{"not_learnt", nil, ""}, {"", []string{"<|assistant|>b<|end|>", "!dummy"}, "d"}}},
		// Reasoning.
		{"reasoning is kept", format.OpenAI, messages(ask, `{"role": "assistant", "content": "Hm.", `+
			`"reasoning_content": `+
			`"Let me think."}`, ask, `{"role": "assistant", "content": "<think>\nAgain `+
			`[f(a=1)].\n</think>\n\nHo."}`), nil, []want{
			{"", nil, "<think>\nLet me think.\n</think>\n\nHm."},
			{"", []string{"<think>\nLet me think.\n</think>\n\nHm."}, "<think>\nAgain [f(a=1)].\n</think>\n\nHo."}}},
		{"reasoning is dropped", format.OpenAI, messages(ask, `{"role": "assistant", "content": `+
			`"<think>x</think>Hm.", `+
			`"tool_calls": [{"function": `+orderCall+`}]}`, ask, `{"role": "assistant", "content": `+
			`"<think>y</think> Ho."}`),
			map[string]any{"reasoning": "drop"}, []want{{"", nil, "Hm.\n" + hermes(`{"order_id": "W0"}`)},
				{"", []string{"!<think>"}, "Ho."}}},
		{"reasoning is refused", format.OpenAI, messages(ask, `{"role": "assistant", "content": "Hm.", `+
			`"thinking": "x"}`, ask,
			`{"role": "assistant", "content": "Ho."}`), map[string]any{"reasoning": "refuse"}, []want{
			{"bad_answer split.reasoning is refuse", nil, ""}, {"bad_prompt an earlier turn", nil, ""}}},
		{"two reasons", format.OpenAI, messages(ask, `{"role": "assistant", "content": "<think>a</think>Hm.", `+
			`"reasoning": "b"}`),
			nil, []want{{"bad_answer its reasoning stands there twice", nil, ""}}},
		// Columns with other names.
		{"names of dataset_info.json", format.ShareGPT, `{"dialog": [{"speaker": "customer", "text": "Hi"}, ` +
			`{"speaker": ` +
			`"bot", "text": "Hello."}], "persona": "Be kind.", "apis": "[{\"name\": \"f\"}]"}`, map[string]any{
			"columns": map[string]string{"messages": "dialog", "role_tag": "speaker", "content_tag": "text",
				"user_tag":      "customer",
				"assistant_tag": "bot", "system": "persona", "tools": "apis"}},
			[]want{{"", []string{"Be kind.", `"name": "f"`, "<|user|>Hi<|end|>"}, "Hello."}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := learn(t, c.kind, c.row+"\n", c.cfg)
			check(t, got, c.wants)
		})
	}
}

// TestNotes: what is dropped, replaced or not known is counted.
func TestNotes(t *testing.T) {
	rows := []string{
		messages(ask, callWith(`{"order_id": "W0", "x": null}`)),
		messages(ask, `{"role": "assistant", "content": "[find_order('W1')]", "mood": 1}`),
		messages(`{"role": "user", "content": "2", "mood": 3}`, `{"role": "assistant", "content": "2", "mood": 2}`),
		`{"messages": [` + ask + `, {"role": "assistant", "content": "<think>x</think>y"}], "Tools": [], ` +
			`"tools": [{"name": "f", ` +
			`"parameters": {"type": "object", "properties": {"a": {"$ref": "#/x"}, "b": null}}}]}`,
		`{"messages": [` + ask + `], "mood": 1}`,
	}
	_, n := learn(t, format.OpenAI, strings.Join(rows, "\n"), map[string]any{"reasoning": "drop"})
	if n.NullArguments != 1 || n.Positional != 1 || n.Reasoning != 1 || n.NullSchemas != 1 || n.Passages != 0 ||
		n.Unknown["turn.mood"] != 2 || n.Unknown["row.Tools"] != 1 || n.Unknown["row.mood"] != 1 ||
		len(n.Unknown) != 3 ||
		n.Unchecked["parameters.properties.a: $ref '#/x'"] != 1 {
		t.Errorf("%+v", n)
	}
	if _, n := learn(t, format.OpenAI, messages(ask, `{"role": "assistant", "content": "x"}`), nil); !n.Empty() {
		t.Errorf("a plain row leaves notes: %+v", n)
	}
}

// TestFormatsAreLearnt: the documented row of every format is learnt, in the model's form.
func TestFormatsAreLearnt(t *testing.T) {
	for _, l := range format.Layouts() {
		got, notes := learn(t, l.Format, read(t, "format/testdata/rows/"+string(l.Format)+".jsonl"), nil)
		call := 0
		for _, e := range got {
			if e.reason != "" || strings.Contains(e.prompt, "func1") || strings.Contains(e.prompt, "ApiName") ||
				strings.Contains(e.prompt, "args-dict") || strings.Contains(e.prompt, "Tool name") {
				t.Errorf("%s: %+v", l.Format, e)
			}
			if turn, err := toolcall.Hermes.ReadTurn(e.answer); err == nil && len(turn.Calls) == 1 {
				call++
			}
			if !strings.Contains(e.prompt, `"name": "find_order"`) {
				t.Errorf("%s: the tool is not in the prompt: %s", l.Format, e.prompt)
			}
		}
		if call != 1 || len(notes.Unknown) > 0 {
			t.Errorf("%s: %d calls in %+v, notes %+v", l.Format, call, got, notes)
		}
	}
}
