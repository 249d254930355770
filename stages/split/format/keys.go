package format

import (
	"slices"
	"strings"
	"sync"
)

// Keys says what an importer makes of the keys of one kind of object. They are compared
// exactly: "Content" is not "content". A key of no list is unknown: it is counted and named.
type Keys struct {
	Of      string   // the kind of object: row, turn, part, call, function
	Used    []string // what is learnt, or shown to the model, depends on them
	Silent  []string // they say nothing to a trainer
	Refused []string // they mean something that cannot be used: they refuse the row, unless they are empty
}

// Layout is what a format's importer knows.
type Layout struct {
	Format Format
	From   string // who writes such rows
	Looks  string // a row, in short
	Keys   []Keys
}

var (
	silentRow = []string{
		"id", "uuid", "idx", "index", "_source_index", "conversation_id", "source", "dataset", "data_source", "url",
		"lang", "language", "license", "created", "created_at", "timestamp", "model", "hash", "metadata", "meta",
		"extra_info",
		"num_turns", "subcategory", "task", "tags", "difficulty",
	}
	refusedRow = []string{
		"image", "images", "video", "videos", "audio", "audios", "objects", "chosen", "rejected", "rejected_response",
		"rejected_messages", "kto_tag", "label", "margin", "response_format", "tool_choice", "history", "weight",
		"loss", "train", "channel",
		"system_prompt", "system_message", "instruction", "instructions", "developer", "tool", "function",
		"available_functions", "function_call", "tool_calls", "documents", "chat_template_kwargs", "enable_thinking",
		"reasoning", "reasoning_content", "thinking", "mask", "loss_mask", "weights", "trainable", "training",
		"train_on_inputs", "messages", "conversations",
	}
	turnKeys = Keys{
		Of: "turn",
		Used: []string{
			"role", "content", "from", "value", "tool_calls", "function_call", "tool_call_id", "reasoning_content",
			"reasoning", "thinking", "weight", "train", "loss", "tools", "functions", "name",
		},
		Silent: []string{"id", "index", "timestamp", "created_at", "metadata", "annotations", "model"},
		Refused: []string{
			"audio", "image", "images", "video", "videos", "refusal", "train_detail", "loss_scale", "prefix", "channel",
			"recipient", "tool_call", "function_calls", "calls", "tool_use", "tool_uses", "documents", "files",
			"attachments", "reasoning_details", "thought", "thoughts", "tool_plan", "mask", "loss_mask", "weights",
			"trainable", "training",
		},
	}
	partKeys = Keys{
		Of: "part", Used: []string{"type", "text", "value"},
		Silent:  []string{"id", "index", "cache_control", "annotations", "logprobs"},
		Refused: []string{"weight", "train", "loss", "mask", "image", "image_url", "audio", "video", "file"},
	}
	callKeys = Keys{
		Of: "call", Used: []string{"function", "name", "arguments", "id"}, Silent: []string{"type", "index"},
	}
	functionKeys = Keys{
		Of: "function", Used: []string{"name", "arguments", "parameters"},
		Silent:  []string{"id", "type", "call_id", "index"},
		Refused: []string{"input", "args", "kwargs", "params"},
	}
	conversationKeys = []Keys{turnKeys, partKeys, callKeys, functionKeys}
)

// Layouts are all importers, in the order of Formats. The guide's table is made from them.
func Layouts() []Layout {
	row := func(used, silent, refused []string) []Keys {
		k := Keys{Of: "row", Used: used}
		known := func(key string) bool { return slices.Contains(used, key) || slices.Contains(silent, key) }
		k.Silent = slices.DeleteFunc(slices.Concat(silent, silentRow), func(s string) bool {
			return slices.Contains(used, s) || slices.Contains(refused, s)
		})
		k.Refused = slices.DeleteFunc(slices.Concat(refused, refusedRow), known)
		return append([]Keys{k}, conversationKeys...)
	}
	list := strings.Fields
	chat := list("messages conversations system tools functions category parallel_tool_calls")
	return []Layout{
		{ToolACE, "ToolACE", `{"system": "… [tools] …", "conversations": [{"from", "value"}]}`, row(chat, nil, nil)},
		{BFCL, "BFCL", `{"id", "question": [[…]], "function": […], "ground_truth": […]}`,
			row(list("id question function ground_truth"), list("execution_result_type"),
				list("initial_config path involved_classes missed_function excluded_function"))},
		{OpenAI, "OpenAI, TRL, Axolotl, ms-swift; itool synth",
			`{"messages": [{"role", "content", "tool_calls"}], "tools": […], "system"}`, row(chat, nil, nil)},
		{ShareGPT, "LLaMA-Factory, APIGen-MT", `{"conversations": [{"from", "value"}], "system", "tools": "[…]"}`,
			row(chat, nil, nil)},
		{Hermes, "Hermes v1", `{"conversations": [{"from": "system", "value": "… <tools>[…]</tools> …"}, …]}`,
			row(chat, nil, nil)},
		{XLAM, "xLAM-60k, Hammer", `{"query", "tools": "[…]", "answers": "[{\"name\", \"arguments\"}]"}`,
			row(list("query tools answers system"), nil, nil)},
		{Glaive, "glaive v2", `{"system": "SYSTEM: … {…}", "chat": "USER: … ASSISTANT: <functioncall> {…}"}`,
			row(list("system chat"), nil, nil)},
		{Toucan, "Toucan-1.5M", `{"messages": "[…]", "available_tools": "[…]", "question", "target_tools"}`,
			row(list("messages available_tools tools system"), list("subset_name question target_tools "+
				"question_quality_assessment response_quality_assessment"), nil)},
		{ToolRL, "ToolRL", `{"instruction": "… **Available Tools** …", "input": "… <user> …", "output": "<think> …"}`,
			row(list("instruction input output prompt reward_model"), list("ability"), nil)},
		{APIBank, "API-Bank", `{"instruction": "… API descriptions: …", "input": "User: …", "expected_output"}`,
			row(list("instruction input expected_output output"), list("file"), nil)},
	}
}

// layouts makes the lists once, because every row is held against them. They are only read.
var layouts = sync.OnceValue(Layouts)

// layoutOf finds the importer of a format.
func layoutOf(f Format) (Layout, bool) {
	all := layouts()
	i := slices.IndexFunc(all, func(l Layout) bool { return l.Format == f })
	if i < 0 {
		return Layout{}, false
	}
	return all[i], true
}
