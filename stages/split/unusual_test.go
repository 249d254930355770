package split_test

import (
	"encoding/json"
	"testing"

	"itool/stages/split/format"
)

// chat writes a row of turns of from and value with the tool find_order.
func chat(turns ...string) string {
	row := `{"tools": ` + orderTools + `, "conversations": [`
	for i := 0; i < len(turns); i += 2 {
		value, _ := json.Marshal(turns[i+1]) // a string cannot fail
		row += []string{"", ", "}[min(i, 1)] + `{"from": "` + turns[i] + `", "value": ` + string(value) + `}`
	}
	return row + `]}`
}

// says writes a turn of the assistant that is only text.
func says(text string) string {
	content, _ := json.Marshal(text)
	return `{"role": "assistant", "content": ` + string(content) + `}`
}

// TestUnusual: rows as people publish them, of which a part was learnt wrongly in silence.
func TestUnusual(t *testing.T) {
	const two = `"tool_calls": [{"id": "a", "function": {"name": "find_order", "arguments": {"order_id": "1"}}}, ` +
		`{"id": "b", "function": {"name": "other", "arguments": {}}}]`
	both := func(turns string) string {
		return `{"messages": [` + ask + `, ` + turns + `], "tools": [` + orderTool + `, {"name": "other"}]}`
	}
	for _, c := range []struct {
		name  string
		kind  format.Format
		row   string
		cfg   map[string]any
		wants []want
	}{
		// Where a call has its arguments.
		{"arguments beside the function", format.OpenAI, messages(ask, `{"role": "assistant", "tool_calls": `+
			`[{"function": `+
			`{"name": "find_order"}, "arguments": {"order_id": "W0"}}]}`), nil,
			[]want{{"bad_row messages[1].tool_calls[0].arguments: it stands beside function", nil, ""}}},
		{"the same arguments as a text", format.OpenAI, messages(ask, `{"role": "assistant", "tool_calls": [{`+
			`"arguments": {"order_id": "W0"}, "function": `+orderCall+`}]}`), nil,
			[]want{{"", nil, hermes(`{"order_id": "W0"}`)}}},
		{"two names", format.OpenAI, messages(ask, `{"role": "assistant", "tool_calls": [{"name": "g", "function": `+
			orderCall+`}]}`), nil, []want{{"bad_row messages[1].tool_calls[0].name: it stands beside function", nil,
			""}}},
		{"the same name twice", format.OpenAI, messages(ask, `{"role": "assistant", "tool_calls": [{"name": `+
			`"find_order", `+
			`"arguments": null, "function": `+orderCall+`}]}`), nil, []want{{"", nil, hermes(`{"order_id": "W0"}`)}}},
		{"arguments beside the function, in answers", format.XLAM, `{"query": "q", "tools": ` + orderTools + `, ` +
			`"answers": ` +
			`[{"function": {"name": "find_order"}, "arguments": {"order_id": "W0"}}]}`, nil,
			[]want{{"bad_row answers.arguments: it stands beside function", nil, ""}}},
		{"calls in brackets as answers", format.XLAM, `{"query": "q", "tools": ` + orderTools + `, "answers": ` +
			`"[find_order(order_id='W0')]"}`, nil, []want{{"", nil, hermes(`{"order_id": "W0"}`)}}},
		{"a conversation beside a query", format.XLAM, `{"query": "q", "tools": ` + orderTools + `, "messages": [` +
			ask +
			`], "answers": [` + orderCall + `]}`, nil, []want{{"bad_row messages: it means something", nil, ""}}},
		{"a conversation among queries", format.XLAM, messages(ask, says("x")), nil,
			[]want{{"bad_row it looks like a row of openai, but the file begins with rows of xlam", nil, ""}}},
		{"a query among chats", format.Glaive, `{"query": "q", "tools": "[]", "answers": "[]"}`, nil,
			[]want{{"bad_row it looks like a row of xlam, but the file begins with rows of glaive", nil, ""}}},
		{"two answers", format.APIBank, `{"instruction": "API descriptions:\n{\"name\": \"f\"}", "input": "User: ` +
			`q\n", ` +
			`"expected_output": "AI: a", "output": "AI: b"}`, nil,
			[]want{{"bad_row output: the row has expected_output, too", nil, ""}}},
		{"an answer of another table", format.APIBank, `{"instruction": "API descriptions:\n{\"name\": \"f\"}", ` +
			`"input": "User: q\n", "expected_output": null, "output": "AI: b"}`, nil, []want{{"", nil, "b"}}},
		{"two questions", format.ToolRL, `{"instruction": "Help.", "input": "<user> a </user>", "output": "x", ` +
			`"prompt": [{"role": "user", "content": "<user> b </user>"}], "reward_model": {"ground_truth": "y"}}`, nil,
			[]want{{"bad_row instruction: the row has prompt, too", nil, ""}}},
		// Texts of calls that say more than a call holds.
		{"a name twice", format.OpenAI, messages(ask, says("[find_order(order_id='1', order_id='2')]")), nil,
			[]want{{"bad_answer a second order_id", nil, ""}}},
		{"a key twice in an argument", format.OpenAI, messages(ask, says("[find_order({'a': 1, 'a': 2})]")), nil,
			[]want{{"bad_answer a second 'a'", nil, ""}}},
		{"a key twice in a text to convert", format.OpenAI, messages(ask,
			says(`{"name": "find_order", "parameters": {"order_id": "1", "order_id": "2"}}`)), nil,
			[]want{{"bad_answer a call cannot hold: \"a second order_id\"", nil, ""}}},
		{"arguments under two keys", format.OpenAI, messages(ask,
			says(`{"name": "find_order", "parameters": {"order_id": "1"}, "arguments": {"order_id": "2"}}`)), nil,
			[]want{{"bad_answer a call cannot hold: \"arguments\"", nil, ""}}},
		{"a field that would be lost", format.OpenAI, messages(ask,
			says(`{"name": "find_order", "parameters": {"order_id": "1"}, "mood": 2, "id": 3}`)), nil,
			[]want{{"bad_answer a call cannot hold: \"mood\"", nil, ""}}},
		{"a field that stays", format.OpenAI, messages(ask, says("<tool_call>{\"name\": \"find_order\", "+
			"\"arguments\": {}, "+
			"\"mood\": 2}</tool_call>")), nil, []want{{"", nil,
			"<tool_call>{\"name\": \"find_order\", \"arguments\": {}, \"mood\": 2}</tool_call>"}}},
		{"Python's literal", format.OpenAI, messages(ask, says("<tool_call>\n{'arguments': {'order_id': 'W0', "+
			"'note': True}, "+
			"'name': 'find_order'}\n</tool_call>")), nil, []want{{"", nil, hermes(`{"order_id": "W0", "note": ` +
			`true}`)}}},
		// Calls in forms that are not read are no prose.
		{"an agent's action", format.OpenAI, messages(ask, says("Thought: look\nAction: find_order\nAction Input: "+
			"{}")), nil,
			[]want{{"bad_answer neither calls nor prose", nil, ""}}},
		{"a block of code that calls", format.OpenAI, messages(ask,
			says("```tool_code\nfind_order(order_id='W0')\n```")), nil,
			[]want{{"bad_answer a block of code that calls a tool", nil, ""}}},
		{"a block of code that calls no tool", format.OpenAI, messages(ask, says("```python\nprint(sep='')\n```")), nil,
			[]want{{"", nil, "```python\nprint(sep='')\n```"}}},
		// Objects and nulls where texts are expected.
		{"an object said by the user", format.OpenAI, messages(`{"role": "user", "content": {"type": "text", `+
			`"text": "x"}}`,
			says("y")), nil, []want{{"bad_row messages[0].content: want a text or a list of text parts, got an " +
			"object", nil, ""}}},
		{"an object said by the assistant", format.OpenAI, messages(ask, `{"role": "assistant", "content": `+
			`{"text": "x"}}`),
			nil, []want{{"bad_row messages[1].content: want a text or a list", nil, ""}}},
		{"columns of another table", format.OpenAI, `{"messages": null, "conversations": [{"from": "human", ` +
			`"value": "Hi", ` +
			`"role": null, "content": null}, {"from": null, "value": null, "role": "assistant", "content": ` +
			`"Hello."}]}`, nil,
			[]want{{"", []string{"<|user|>Hi<|end|>"}, "Hello."}}},
		// Marks and tools under other names.
		{"a mark under another name", format.OpenAI, messages(ask, `{"role": "assistant", "content": "x", `+
			`"isTrained": false}`), nil, []want{{"bad_row messages[1].isTrained: it seems to say what is learnt",
			nil, ""}}},
		{"a mark of a row", format.OpenAI, `{"messages": [` + ask + `, ` + says("x") + `], "loss-weight": 0.5}`, nil,
			[]want{{"bad_row loss-weight: it seems to say what is learnt", nil, ""}}},
		{"marks that change nothing", format.OpenAI, `{"messages": [` + ask + `, {"role": "assistant", "content": ` +
			`"x", ` +
			`"is_train": true, "ignore": false, "loss_weight": 1.0, "masked": null}], "train_split": 3}`, nil,
			[]want{{"", nil, "x"}}},
		{"marks of what happens anyway", format.OpenAI, `{"messages": [{"role": "user", "content": "q", "is_train": ` +
			`false, "use_loss": 0}, {"role": "assistant", "content": "x", "is_train": "True"}]}`, nil,
			[]want{{"", nil, "x"}}},
		{"a turn of the user to be left out", format.OpenAI, `{"messages": [{"role": "user", "content": "q", ` +
			`"to_ignore": true}, ` + says("x") + `]}`, nil,
			[]want{{"bad_row messages[0].to_ignore: it seems to say what is learnt", nil, ""}}},
		{"measured losses and weights", format.OpenAI, `{"messages": [` + ask + `, ` + says("x") +
			`], "weight_kg": 70.5, "eval_loss": 0.7, "avgLoss": 2}`, nil, []want{{"", nil, "x"}}},
		{"tools beside those of the prompt", format.OpenAI, `{"messages": [` + ask + `, ` + says("x") +
			`], "tools": ` + orderTools + `, "orig_tools": ` + orderTools + `}`, nil,
			[]want{{"", []string{"find_order"}, "x"}}},
		{"models are no tools", format.OpenAI, `{"messages": [` + ask + `, ` + says("x") + `], "models": [{"name": ` +
			`"m", "parameters": {"temperature": 0.1}}]}`, nil, []want{{"", nil, "x"}}},
		{"tools under another name", format.OpenAI, `{"messages": [` + ask + `, ` + says("x") + `], "apis": ` +
			orderTools + `}`,
			nil, []want{{"bad_row apis: it seems to list tools", nil, ""}}},
		{"tools under a name that is said", format.OpenAI, `{"messages": [` + ask + `, ` + says("x") + `], "apis": ` +
			orderTools + `}`, map[string]any{"columns": map[string]string{"tools": "apis"}},
			[]want{{"", []string{"find_order"}, "x"}}},
		{"a parameter twice", format.OpenAI, `{"messages": [` + ask + `, ` + says("x") + `], "tools": [{"name": "f", ` +
			`"parameters": {"type": "object", "properties": {"a": {"type": "string"}, "a": {"type": "integer"}}}}]}`,
			nil,
			[]want{{"bad_tools tools[0]: \"a\" stands there twice", nil, ""}}},
		{"schemas of a merged table", format.OpenAI, `{"messages": [` + ask + `, ` + says("x") + `], "tools": ` +
			`[{"name": ` +
			`"f", "strict": null, "parameters": {"type": "object", "required": null, "properties": {"enum": null, ` +
			`"a": ` +
			`{"type": "string", "items": null, "enum": ["b", null], "default": null}}}}, {"name": "g", "parameters": ` +
			`{"a": {"type": "int"}, "b": null}}]}`, nil, []want{{"", []string{`{"name": "f", "strict": null, ` +
			`"parameters": {"type": "object", "properties": {"a": {"type": "string", "enum": ["b", null], ` +
			`"default": null}}}}`, `{"name": "g", "parameters": {"a": {"type": "int"}}}`}, "x"}}},
		{"tools as Python's literals", format.Hermes, `{"conversations": [{"from": "system", "value": ` +
			`"<tools>\n{'name': ` +
			`'f', 'strict': True}\n{'name': 'g'}\n</tools>"}, {"from": "human", "value": "q"}, {"from": "gpt", ` +
			`"value": "x"}]}`,
			nil, []want{{"", []string{`{"name": "f", "strict": true}`, `{"name": "g"}`}, "x"}}},
		{"a name among Python's literals", format.Hermes, `{"conversations": [{"from": "system", "value": "<tools>` +
			`[{'name': 'f', 'parameters': {'a': {'default': NaN}}}]</tools>"}, {"from": "human", "value": "q"}]}`, nil,
			[]want{{"bad_tools system: the JSON in the text", nil, ""}}},
		{"tools as Kimi's template writes them", format.Toucan, `{"subset_name": "x", "messages": "[{\"role\": ` +
			`\"system\", ` +
			`\"content\": \"<|im_system|>tool_declare<|im_middle|>[{\\\"name\\\": \\\"f\\\"}]<|im_end|>\"}, ` +
			`{\"role\": \"user\", ` +
			`\"content\": \"q\"}, {\"role\": \"assistant\", \"content\": \"x\"}]"}`, nil,
			[]want{{"", []string{`{"name": "f"}`, "!im_middle"}, "x"}}},
		// Results.
		{"results in another order by name", format.OpenAI, both(`{"role": "assistant", ` + two + `}, {"role": ` +
			`"tool", ` +
			`"name": "other", "content": "2"}`), nil, []want{{"bad_row messages[2].name: \"other\" answers a " +
			"later call", nil, ""}}},
		{"results of two turns in another order", format.OpenAI, both(`{"role": "assistant", "tool_calls": ` +
			`[{"id": "a", ` +
			`"function": ` + orderCall + `}]}, {"role": "assistant", "tool_calls": [{"id": "b", "function": ` +
			orderCall + `}]}, ` +
			`{"role": "tool", "tool_call_id": "b", "content": "2"}`), nil, []want{{"bad_row " +
			"messages[3].tool_call_id", nil, ""}}},
		{"a result before its call", format.OpenAI, both(`{"role": "tool", "tool_call_id": "b", "content": "2"}, ` +
			`{"role": "assistant", ` + two + `}`), nil, []want{{"bad_row messages[2]: the result of call \"b\" " +
			"stands before it",
			nil, ""}}},
		{"a result of no call", format.OpenAI, both(`{"role": "assistant", ` + two + `}, {"role": "tool", ` +
			`"tool_call_id": "z", "content": "2"}`), nil, []want{{"bad_row no call before it that waits", nil, ""}}},
		{"a second result of a call", format.OpenAI, both(`{"role": "assistant", ` + two + `}, ` +
			`{"role": "tool", "tool_call_id": "a", "content": "1"}, ` +
			`{"role": "tool", "tool_call_id": "b", "content": "2"}, ` +
			`{"role": "tool", "tool_call_id": "b", "content": "3"}, ` + says("x")), nil,
			[]want{{"", nil, hermes(`{"order_id": "1"}`) + "\n<tool_call>\n{\"name\": \"other\", \"arguments\": " +
				"{}}\n</tool_call>"}, {"", []string{"3"}, "x"}}},
		{"ids that say nothing", format.OpenAI, both(`{"role": "assistant", ` + two + `}, {"role": "tool", ` +
			`"tool_call_id": "z", "content": "2"}, ` + says("x")),
			map[string]any{"ignore_keys": []string{"tool_call_id"}},
			[]want{{"", nil, hermes(`{"order_id": "1"}`) + "\n<tool_call>\n{\"name\": \"other\", \"arguments\": " +
				"{}}\n</tool_call>"},
				{"", []string{"<tool_response>\n2\n</tool_response>"}, "x"}}},
		{"results by other names", format.ShareGPT, chat("human", "q", "function_call", orderCall, "observation", "1",
			"gpt", "x"), nil, []want{{"", nil, hermes(`{"order_id": "W0"}`)}, {"", nil, "x"}}},
		// Reasoning.
		{"a thought before a call that is a turn", format.ShareGPT, chat("human", "q", "function_call",
			"<think>\nhm\n</think>\n"+
				orderCall), nil, []want{{"", nil, "<think>\nhm\n</think>\n\n" + hermes(`{"order_id": "W0"}`)}}},
		{"thoughts between words are dropped", format.OpenAI, messages(ask, says("<think>a</think>One "+
			"<think>b</think>\ntwo.")),
			map[string]any{"reasoning": "drop"}, []want{{"", nil, "One two."}}},
		{"the end of a thought is dropped", format.OpenAI, messages(ask, says("a</think>\n\nTwo.")),
			map[string]any{"reasoning": "drop"}, []want{{"", nil, "Two."}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := learn(t, c.kind, c.row+"\n", c.cfg)
			check(t, got, c.wants)
		})
	}
}
