package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"itool/schemas/toolcall"
)

// toolCalls reads tool_calls, or the older function_call.
func (im *importer) toolCalls(f fields) (calls []toolcall.Call, ids []string, err error) {
	if f.has("function_call") {
		if f.has("tool_calls") {
			return nil, nil, fail(BadRow, f.at("function_call"), "the turn has tool_calls, too: which was called?")
		}
		calls, err := im.olderCall(f.at("function_call"), f.get("function_call"))
		return calls, nil, err
	}
	if !f.has("tool_calls") {
		return nil, nil, nil
	}
	all, err := list(f.at("tool_calls"), f.get("tool_calls"))
	if err != nil {
		return nil, nil, err
	}
	for i, raw := range all {
		c, err := im.fields("call", fmt.Sprintf("%s[%d]", f.at("tool_calls"), i), raw)
		if err != nil {
			return nil, nil, err
		}
		id, err := optional(c.at("id"), c.get("id"))
		if err != nil {
			return nil, nil, err
		}
		place, inner := c.at("function"), c.get("function")
		if len(inner) == 0 && len(c.get("name")) > 0 { // without the wrapper
			place, inner = c.place, raw
		} else if err := c.onlyWraps(inner); err != nil {
			return nil, nil, err
		}
		call, err := im.function(place, inner)
		if err != nil {
			return nil, nil, err
		}
		calls, ids = append(calls, call), append(ids, id)
	}
	return calls, ids, nil
}

// onlyWraps refuses what a call says beside its function, and not like it: it would be lost.
func (f fields) onlyWraps(function json.RawMessage) error {
	inner, err := object(f.at("function"), function)
	if err != nil {
		return err
	}
	for _, key := range []string{"name", "arguments", "parameters"} {
		if f.has(key) && !sameJSON(unpacked(f.get(key)), unpacked(inner.get(key))) {
			return fail(BadRow, f.at(key), "it stands beside function, which says something else: "+
				"write it into function")
		}
	}
	return nil
}

// unpacked is the JSON that a text holds; other values stay.
func unpacked(raw json.RawMessage) json.RawMessage {
	if s, err := text("", raw); err == nil && json.Valid([]byte(s)) {
		return json.RawMessage(s)
	}
	return raw
}

func sameJSON(a, b json.RawMessage) bool {
	x, errX := toolcall.FromJSON(a)
	y, errY := toolcall.FromJSON(b)
	return errX == nil && errY == nil && x.JSON() == y.JSON()
}

// olderCall reads a function_call, an object or a text that holds one.
func (im *importer) olderCall(field string, raw json.RawMessage) ([]toolcall.Call, error) {
	if kind(raw) == "a text" {
		s, err := text(field, raw)
		if err != nil {
			return nil, err
		}
		if kind(json.RawMessage(s)) != "an object" {
			return nil, fail(BadRow, field, "want an object with name and arguments, got %q", shorten(s, 40))
		}
		return im.callText(field, s)
	}
	call, err := im.function(field, raw)
	return []toolcall.Call{call}, err
}

// function reads {"name", "arguments"}; ToolRL and Llama say parameters.
func (im *importer) function(place string, raw json.RawMessage) (toolcall.Call, error) {
	f, err := im.fields("function", place, raw)
	if err != nil {
		return toolcall.Call{}, err
	}
	name, err := text(f.at("name"), f.get("name"))
	if err == nil && strings.TrimSpace(name) == "" {
		err = fail(BadRow, f.at("name"), "the call has no name")
	}
	if err != nil {
		return toolcall.Call{}, err
	}
	key := "arguments"
	if f.has("parameters") {
		if f.has(key) {
			return toolcall.Call{}, fail(BadRow, f.at("parameters"), "the call has arguments, too")
		}
		key = "parameters"
	}
	if len(f.get(key)) == 0 && len(f.unread) > 0 {
		return toolcall.Call{}, fail(BadRow, place, "the call has no arguments, but %s, which is not known",
			strings.Join(f.unread, ", "))
	}
	call := toolcall.Call{Name: name}
	call.Args, err = arguments(f.at(key), f.get(key))
	return call, err
}

// arguments reads an object, or a text that holds one. Null, "" and " " are no arguments.
func arguments(field string, raw json.RawMessage) ([]toolcall.Arg, error) {
	if kind(raw) == "a text" {
		s, err := text(field, raw)
		if err != nil {
			return nil, err
		}
		if err := embedded(field, s); err != nil && strings.TrimSpace(s) != "" {
			return nil, err
		}
		raw = json.RawMessage(s)
	}
	if kind(raw) == "nothing" {
		return nil, nil
	}
	if err := eachOnce(BadRow, field, raw); err != nil {
		return nil, err
	}
	v, err := toolcall.FromJSON(raw)
	if err != nil {
		return nil, fail(BadRow, field, "%v", err)
	}
	args, err := toolcall.ArgsOf(v)
	if err != nil {
		return nil, fail(BadRow, field, "%v", err)
	}
	return args, nil
}

// callText reads calls that stand in a text as JSON, one object or a list; or as Python's
// literal of the same; or as a format of calls.
func (im *importer) callText(field, s string) ([]toolcall.Call, error) {
	s = strings.TrimSpace(s)
	if k := kind(json.RawMessage(s)); k != "an object" && k != "a list" {
		turn, err := toolcall.ReadTurn(s)
		if err != nil || turn.Words != "" || turn.After != "" || turn.Thought != "" {
			return nil, fail(BadRow, field, "want calls as JSON: an object with name and arguments, or a list of them")
		}
		return turn.Calls, nil
	}
	raw := json.RawMessage(s)
	if err := embedded(field, s); err != nil {
		if turn, turnErr := toolcall.Pythonic.ReadTurn(s); turnErr == nil && turn.Words == "" && len(turn.Calls) > 0 {
			return turn.Calls, nil
		}
		v, literalErr := toolcall.Literal(s)
		if literalErr != nil {
			return nil, err
		}
		raw = json.RawMessage(v.JSON())
	}
	return im.functions(field, raw)
}

// functions reads one call or a list of them.
func (im *importer) functions(field string, raw json.RawMessage) ([]toolcall.Call, error) {
	all := []json.RawMessage{raw}
	if kind(raw) == "a list" {
		if err := json.Unmarshal(raw, &all); err != nil {
			return nil, fail(BadRow, field, "%v", err)
		}
	}
	var calls []toolcall.Call
	for i, raw := range all {
		place := field
		if len(all) > 1 {
			place = fmt.Sprintf("%s[%d]", field, i)
		}
		if f, err := object(place, raw); err == nil && f.has("function") { // OpenAI's wrapper
			if err := f.onlyWraps(f.get("function")); err != nil {
				return nil, err
			}
			place, raw = f.at("function"), f.get("function")
		}
		call, err := im.function(place, raw)
		if err != nil {
			return nil, err
		}
		calls = append(calls, call)
	}
	if len(calls) == 0 {
		return nil, fail(NoAnswer, field, "a list of no calls")
	}
	return calls, nil
}

// literals reads Python's literals of dicts, one a line; nil: some line is none.
func literals(s string) (all []json.RawMessage) {
	if inner := strings.TrimSpace(s[1:]); !strings.HasPrefix(inner, "'") {
		return nil // JSON
	}
	for line := range strings.Lines(s) {
		line = strings.TrimRight(strings.TrimSpace(line), ",")
		if line == "" {
			continue
		}
		v, err := toolcall.Literal(line)
		if err != nil {
			return nil
		}
		all = append(all, json.RawMessage(v.JSON()))
	}
	return all
}

// toolsText reads tools that stand in a text: a JSON list, JSON objects one behind the other,
// or Python's literal of a list.
func toolsText(field, s string) (json.RawMessage, error) {
	s = strings.TrimSpace(s)
	if kind(json.RawMessage(s)) == "an object" {
		if all := literals(s); all != nil {
			return json.Marshal(all)
		}
		var all []json.RawMessage
		for d := json.NewDecoder(strings.NewReader(s)); ; {
			var one json.RawMessage
			err := d.Decode(&one)
			if err != nil {
				if rest := s[min(int(d.InputOffset()), len(s)):]; len(all) > 0 && strings.Trim(rest, ", \t\r\n") == "" {
					break
				}
				return nil, fail(BadTools, field, "tool %d in the text: %v", len(all), err)
			}
			if all = append(all, one); strings.HasPrefix(strings.TrimSpace(s[d.InputOffset():]), ",") {
				s = strings.TrimLeft(strings.TrimSpace(s[d.InputOffset():]), ", \t\r\n")
				d = json.NewDecoder(strings.NewReader(s))
			}
		}
		raw, err := json.Marshal(all)
		if err != nil {
			return nil, fail(BadTools, field, "%v", err)
		}
		return raw, nil
	}
	if err := embedded(field, s); err != nil {
		v, literalErr := toolcall.Literal(s)
		if literalErr != nil {
			var row *RowError
			if errors.As(err, &row) {
				row.Problem = BadTools
			}
			return nil, err
		}
		return json.RawMessage(v.JSON()), nil
	}
	return json.RawMessage(s), nil
}
