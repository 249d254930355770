package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// toolsMarker announces the list of tools within ToolACE's system text.
const toolsMarker = "Here is a list of functions in JSON format that you can invoke:"

// toolaceRoles maps the speakers onto roles.
var toolaceRoles = map[string]string{
	"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant",
	"tool": "tool", "observation": "tool", "function_response": "tool",
}

func readToolACE(raw []byte) (Row, error) {
	var in struct {
		System        json.RawMessage   `json:"system"`
		Conversations []json.RawMessage `json:"conversations"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return Row{}, typeError(err)
	}
	system, err := text("system", in.System)
	if err != nil {
		return Row{}, err
	}
	var row Row
	system, row.Tools, err = cutTools(system)
	if err != nil {
		return Row{}, err
	}
	if system != "" {
		row.Messages = append(row.Messages, Message{"system", system})
	}
	if len(in.Conversations) == 0 {
		return Row{}, fail(BadRow, "conversations", "no turn: want a list of {from, value}")
	}
	for i, turn := range in.Conversations {
		field := fmt.Sprintf("conversations[%d]", i)
		var t struct{ From, Value json.RawMessage }
		if err := object(field, turn, &t); err != nil {
			return Row{}, err
		}
		from, err := text(field+".from", t.From)
		if err != nil {
			return Row{}, err
		}
		role, known := toolaceRoles[from]
		if !known {
			return Row{}, fail(BadRow, field+".from", "%q is none of system, user, assistant, tool", from)
		}
		value, err := text(field+".value", t.Value)
		if err != nil {
			return Row{}, err
		}
		row.Messages = append(row.Messages, Message{role, value})
	}
	return row, nil
}

// cutTools takes the list of tools out of a system text. The sentence that
// announces it goes too: the chat template writes the tools in its own way, and a
// sentence that points at nothing would stay in every prompt.
func cutTools(system string) (rest string, tools json.RawMessage, err error) {
	before, after, found := strings.Cut(system, toolsMarker)
	if !found {
		return strings.TrimSpace(system), nil, nil
	}
	d := json.NewDecoder(strings.NewReader(after))
	var list json.RawMessage
	if err := d.Decode(&list); err != nil {
		return "", nil, fail(BadTools, "system", "behind %q: %v", toolsMarker, err)
	}
	if err := checkTools("system", list); err != nil {
		return "", nil, err
	}
	after = strings.TrimLeft(after[d.InputOffset():], ". \n")
	return strings.TrimSpace(strings.TrimRight(before, " \n") + "\n" + after), list, nil
}

// checkTools wants a list of objects; what is in them is toolcall's business.
func checkTools(field string, raw json.RawMessage) error {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return fail(BadTools, field, "want a JSON array of tools, got %s", kind(raw))
	}
	for i, tool := range list {
		if kind(tool) != "an object" {
			return fail(BadTools, fmt.Sprintf("%s[%d]", field, i), "a tool must be an object, got %s", kind(tool))
		}
	}
	return nil
}

// text reads a JSON string that must be there.
func text(field string, raw json.RawMessage) (string, error) {
	var s *string
	if len(raw) == 0 {
		return "", fail(BadRow, field, "missing")
	}
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		return "", fail(BadRow, field, "want a text, got %s", kind(raw))
	}
	return *s, nil
}

// object reads a JSON object into a struct.
func object(field string, raw json.RawMessage, into any) error {
	if kind(raw) != "an object" {
		return fail(BadRow, field, "want an object, got %s", kind(raw))
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fail(BadRow, field, "%v", err)
	}
	return nil
}

// kind names a JSON value for an error.
func kind(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a text"
	case 't', 'f':
		return "a bool"
	case 'n':
		return "null"
	}
	return "a number"
}

// typeError names the field of a row whose JSON has another type than the format's.
func typeError(err error) error {
	var t *json.UnmarshalTypeError
	if errors.As(err, &t) {
		return fail(BadRow, t.Field, "want a list, got %s", t.Value)
	}
	return fail(BadRow, "", "%v", err)
}
