package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"itool/schemas/toolcall"
)

// openAIRoles maps the roles; functions are the API's older word for tools.
var openAIRoles = map[string]string{
	"system": "system", "developer": "system", "user": "user", "assistant": "assistant",
	"tool": "tool", "function": "tool",
}

func readOpenAI(raw []byte) (Row, error) {
	var in struct {
		Messages []json.RawMessage `json:"messages"`
		Tools    json.RawMessage   `json:"tools"`
		Category json.RawMessage   `json:"category"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return Row{}, typeError(err)
	}
	if len(in.Messages) == 0 {
		return Row{}, fail(BadRow, "messages", "no turn: want a list of {role, content}")
	}
	var row Row
	var err error
	if len(in.Category) > 0 {
		if row.Category, err = text("category", in.Category); err != nil {
			return Row{}, err
		}
	}
	if row.Tools, err = openAITools(in.Tools); err != nil {
		return Row{}, err
	}
	for i, m := range in.Messages {
		message, err := openAIMessage(fmt.Sprintf("messages[%d]", i), m)
		if err != nil {
			return Row{}, err
		}
		row.Messages = append(row.Messages, message)
	}
	return row, nil
}

// openAITools takes a list, or a text that holds one, as some exporters write it.
func openAITools(raw json.RawMessage) (json.RawMessage, error) {
	switch kind(raw) {
	case "nothing", "null":
		return nil, nil
	case "a text":
		s, err := text("tools", raw)
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(s) == "" {
			return nil, nil
		}
		raw = json.RawMessage(s)
	}
	return raw, checkTools("tools", raw)
}

func openAIMessage(field string, raw json.RawMessage) (Message, error) {
	var in struct {
		Role      json.RawMessage   `json:"role"`
		Content   json.RawMessage   `json:"content"`
		ToolCalls []json.RawMessage `json:"tool_calls"`
	}
	if err := object(field, raw, &in); err != nil {
		return Message{}, err
	}
	name, err := text(field+".role", in.Role)
	if err != nil {
		return Message{}, err
	}
	role, known := openAIRoles[name]
	if !known {
		return Message{}, fail(BadRow, field+".role", "%q is none of system, user, assistant, tool", name)
	}
	content, err := openAIContent(field+".content", in.Content)
	if err != nil {
		return Message{}, err
	}
	if len(in.ToolCalls) == 0 {
		return Message{role, content}, nil
	}
	if strings.TrimSpace(content) != "" {
		return Message{}, fail(BadRow, field,
			"both content and tool_calls: an answer is calls or prose, keep one of them")
	}
	var calls []toolcall.Call
	for i, c := range in.ToolCalls {
		call, err := openAICall(fmt.Sprintf("%s.tool_calls[%d]", field, i), c)
		if err != nil {
			return Message{}, err
		}
		calls = append(calls, call)
	}
	return Message{role, toolcall.Print(calls)}, nil
}

// openAIContent reads a text, null, or a list of text parts.
func openAIContent(field string, raw json.RawMessage) (string, error) {
	switch kind(raw) {
	case "nothing", "null":
		return "", nil
	case "a text":
		return text(field, raw)
	case "an object": // some exporters leave a tool's answer as it was
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil {
			return "", fail(BadRow, field, "%v", err)
		}
		return b.String(), nil
	case "a list":
		return openAIParts(field, raw)
	}
	return "", fail(BadRow, field, "want a text or a list of text parts, got %s", kind(raw))
}

func openAIParts(field string, raw json.RawMessage) (string, error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", fail(BadRow, field, "%v", err)
	}
	var all strings.Builder
	for i, part := range parts {
		place := fmt.Sprintf("%s[%d]", field, i)
		var p struct{ Type, Text json.RawMessage }
		if err := object(place, part, &p); err != nil {
			return "", err
		}
		if typ, err := text(place+".type", p.Type); err != nil {
			return "", err
		} else if typ != "text" {
			return "", fail(BadRow, place+".type", "%q: only text parts can be read", typ)
		}
		s, err := text(place+".text", p.Text)
		if err != nil {
			return "", err
		}
		all.WriteString(s)
	}
	return all.String(), nil
}

// openAICall reads {"function": {"name", "arguments"}}; the arguments are an
// object, or a text that holds one.
func openAICall(field string, raw json.RawMessage) (toolcall.Call, error) {
	var in struct {
		Function json.RawMessage `json:"function"`
	}
	if err := object(field, raw, &in); err != nil {
		return toolcall.Call{}, err
	}
	field += ".function"
	var f struct{ Name, Arguments json.RawMessage }
	if err := object(field, in.Function, &f); err != nil {
		return toolcall.Call{}, err
	}
	name, err := text(field+".name", f.Name)
	if err != nil {
		return toolcall.Call{}, err
	}
	call := toolcall.Call{Name: name}
	arguments := f.Arguments
	if kind(arguments) == "a text" {
		s, err := text(field+".arguments", arguments)
		if err != nil {
			return call, err
		}
		if arguments = json.RawMessage(s); strings.TrimSpace(s) == "" {
			return call, nil
		}
	}
	if k := kind(arguments); k == "nothing" || k == "null" {
		return call, nil
	}
	v, err := toolcall.FromJSON(arguments)
	if err != nil {
		return call, fail(BadRow, field+".arguments", "%v", err)
	}
	if v.Kind != toolcall.Dict {
		return call, fail(BadRow, field+".arguments", "want an object, got a %s", v.Kind)
	}
	for _, p := range v.Pairs {
		call.Args = append(call.Args, toolcall.Arg{Name: p.Key.Text, Value: p.Value})
	}
	// A call that cannot be read back cannot be learned, for example one of a name with a bracket.
	printed := toolcall.Print([]toolcall.Call{call})
	if back, err := toolcall.Parse(printed); err != nil || !toolcall.Equal(back, []toolcall.Call{call}) {
		return call, fail(BadRow, field, "the call %s cannot be written as text and read back; "+
			"rename the tool or its parameters", shorten(printed, 80))
	}
	return call, nil
}
