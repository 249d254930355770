package format

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// conversation reads rows of turns: OpenAI's messages, ShareGPT's conversations, and what
// others make of them.
func (im *importer) conversation(in fields) (Row, error) {
	var row Row
	turns, err := im.turnList(in)
	if err != nil {
		return row, err
	}
	if row.Category, err = optional("category", in.get("category")); err != nil {
		return row, err
	}
	parallel, ignored := in.get("parallel_tool_calls"), slices.Contains(im.Ignore, "parallel_tool_calls")
	if len(parallel) > 0 && string(parallel) != "null" && string(parallel) != "true" && !ignored {
		return row, fail(BadRow, "parallel_tool_calls", "%s asks for one call at a time, which cannot be "+
			"taught; if it does not matter in this file, name it in split.ignore_keys", shorten(string(parallel), 20))
	}
	if row.Tools, err = im.tools(in, "tools", "functions", "available_tools"); err != nil {
		return row, err
	}
	if row.Messages, err = im.turns(turns); err != nil {
		return row, err
	}
	system, err := optional("system", in.get("system"))
	if err != nil {
		return row, err
	}
	return row, row.addSystem(system)
}

// turnList finds the turns of a row.
func (im *importer) turnList(in fields) ([]turnAt, error) {
	field := "messages"
	if !in.has(field) && len(in.get("conversations")) > 0 {
		field = "conversations"
	} else if in.has("conversations") {
		return nil, fail(BadRow, "conversations", "the row has messages, too: which of them is to be learnt?")
	}
	raw := in.get(field)
	if len(raw) == 0 {
		return nil, fail(BadRow, "messages", "no turn: want a list of {role, content} or {from, value}")
	}
	all, err := list(field, raw)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fail(BadRow, field, "no turn: want a list of {role, content} or {from, value}")
	}
	return placed(field, all), nil
}

// turnAt is the bytes of a turn and its place.
type turnAt struct {
	place string
	raw   json.RawMessage
}

func placed(field string, all []json.RawMessage) []turnAt {
	turns := make([]turnAt, len(all))
	for i, raw := range all {
		turns[i] = turnAt{fmt.Sprintf("%s[%d]", field, i), raw}
	}
	return turns
}

// tools reads the row's tools under the one of the keys that it has: a list, a text that
// holds one, or a list of texts that hold one tool each.
func (im *importer) tools(in fields, keys ...string) (json.RawMessage, error) {
	var found json.RawMessage
	for _, key := range keys {
		if !in.has(key) {
			continue
		}
		raw := in.get(key)
		if kind(raw) == "a text" {
			s, err := text(in.at(key), raw)
			if err != nil {
				return nil, err
			}
			if strings.TrimSpace(s) == "" {
				continue
			}
			if raw, err = toolsText(in.at(key), s); err != nil {
				return nil, err
			}
		}
		tools, err := unpackTools(in.at(key), raw)
		if err != nil {
			return nil, err
		}
		if found != nil && !sameTools(found, tools) {
			return nil, fail(BadTools, in.at(key), "the row has other tools, too: which of them may be called?")
		}
		found = tools
	}
	return found, nil
}

// unpackTools takes the tools, and their parameters, out of texts. Tools without any keep their bytes.
func unpackTools(field string, raw json.RawMessage) (json.RawMessage, error) {
	var all []json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return raw, checkTools(field, raw)
	}
	texts := false
	for i, tool := range all {
		place := fmt.Sprintf("%s[%d]", field, i)
		if kind(tool) == "a text" {
			s, err := text(place, tool)
			if err != nil {
				return nil, err
			}
			if kind(json.RawMessage(s)) != "an object" {
				break // a list of names: checkTools says what is wrong
			}
			if err := embedded(place, s); err != nil {
				return nil, err
			}
			all[i], texts = json.RawMessage(s), true
		}
		unpacked, err := unpackParameters(place, all[i])
		if err != nil {
			return nil, err
		}
		if unpacked != nil {
			all[i], texts = unpacked, true
		}
	}
	if texts {
		var err error
		if raw, err = json.Marshal(all); err != nil {
			return nil, fail(BadTools, field, "%v", err)
		}
	}
	return raw, checkTools(field, raw)
}

// unpackParameters takes the parameters of a tool out of a text, as Axolotl allows them. nil: they
// stand in none.
func unpackParameters(place string, tool json.RawMessage) (json.RawMessage, error) {
	if kind(tool) != "an object" {
		return nil, nil
	}
	f, err := object(place, tool)
	if err != nil {
		return nil, err
	}
	if inner := f.get("function"); kind(inner) == "an object" {
		unpacked, err := unpackParameters(f.at("function"), inner)
		if err != nil || unpacked == nil {
			return nil, err
		}
		f.values["function"] = unpacked
		return f.text(), nil
	}
	if kind(f.get("parameters")) != "a text" {
		return nil, nil
	}
	s, err := text(f.at("parameters"), f.get("parameters"))
	if err != nil || kind(json.RawMessage(s)) != "an object" {
		return nil, err
	}
	if err := embedded(f.at("parameters"), s); err != nil {
		return nil, err
	}
	f.values["parameters"] = json.RawMessage(s)
	return f.text(), nil
}

// addSystem puts the row's system text before the turns and takes out of it, or of the first
// turn, the tools that stand in it.
func (row *Row) addSystem(system string) error {
	first := len(row.Messages) > 0 && row.Messages[0].Role == "system"
	switch {
	case strings.TrimSpace(system) == "":
	case first && strings.TrimSpace(row.Messages[0].Content) == strings.TrimSpace(system):
	case first && strings.TrimSpace(row.Messages[0].Content) != "":
		return fail(BadRow, "system", "the first turn is another system text: which of them holds?")
	case first:
		row.Messages[0].Content = system
	default:
		row.Messages = append([]Message{{Role: "system", Content: system}}, row.Messages...)
		first = true
	}
	if !first {
		return nil
	}
	rest, tools, err := cutTools(row.Messages[0].Content)
	if err != nil || tools == nil {
		return err
	}
	if row.Tools != nil && !sameTools(row.Tools, tools) {
		return fail(BadTools, "system", "its text lists other tools than the row's own: which of them may be called?")
	}
	if row.Tools == nil {
		row.Tools = tools
	}
	if row.Messages[0].Content = rest; rest == "" {
		row.Messages = row.Messages[1:]
	}
	return nil
}
