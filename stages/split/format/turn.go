package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"itool/schemas/toolcall"
)

// roleCall is a turn that holds only calls of the assistant.
const roleCall = "call"

// roles maps the names of speakers.
var roles = map[string]string{
	"system": "system", "developer": "system",
	"user": "user", "human": "user",
	"assistant": "assistant", "gpt": "assistant",
	"function_call": roleCall, "tool_call": roleCall,
	"tool": "tool", "observation": "tool", "function": "tool", "tool_response": "tool", "function_response": "tool",
	"ipython": "tool",
}

// turns reads the turns of a conversation. Turns that hold only calls become part of the
// assistant's turn before them, if one stands there: a model writes both at once.
func (im *importer) turns(all []turnAt) ([]Message, error) {
	var out []Message
	var waiting waiting
	for _, t := range all {
		f, err := im.fields("turn", t.place, t.raw)
		if err != nil {
			return nil, err
		}
		role, at, err := im.speaker(f)
		if err != nil {
			return nil, err
		}
		if role == "tool" && !slices.Contains(im.Ignore, "tool_call_id") {
			if err := waiting.result(f); err != nil {
				return nil, err
			}
		}
		m, ids, err := im.turn(f, role, at)
		if err != nil {
			return nil, err
		}
		last := len(out) - 1
		follows := last >= 0 && out[last].Role == "assistant"
		if err := waiting.called(f.place, m.Calls, ids, follows); err != nil {
			return nil, err
		}
		if role == roleCall && follows && out[last].Context == m.Context && m.Thought == "" {
			out[last].Calls = append(out[last].Calls, m.Calls...)
			continue
		}
		if role == "tool" {
			out = append(out, toolResults(m)...)
			continue
		}
		out = append(out, m)
	}
	return out, nil
}

// speaker reads who speaks; at is the key of the text.
func (im *importer) speaker(f fields) (role, at string, err error) {
	key, at := "role", "content"
	if f.has("from") || len(f.get("role")) == 0 && len(f.get("from")) > 0 {
		if f.has("role") {
			return "", "", fail(BadRow, f.at("role"), "the turn has from, too: who speaks?")
		}
		key = "from"
	}
	if f.has("value") || len(f.get("content")) == 0 && len(f.get("value")) > 0 || key == "from" && !f.has("content") {
		if f.has("content") {
			return "", "", fail(BadRow, f.at("content"), "the turn has value, too: which of them was said?")
		}
		at = "value"
	}
	name, err := text(f.at(key), f.get(key))
	if err != nil {
		return "", "", err
	}
	role, known := roles[im.ours("speaker", name)]
	if !known && im.layout.Format == XLAM && name == "agent" {
		role, known = "assistant", true // Hammer's word
	}
	if !known {
		return "", "", fail(BadRow, f.at(key), "%q is none of system, user, assistant, function_call, tool and their "+
			"other names; split.columns can name the speakers", name)
	}
	return role, at, nil
}

// turn reads what was said. ids are those of its calls.
func (im *importer) turn(f fields, role, at string) (m Message, ids []string, err error) {
	m.Role = role
	if kind(f.get(at)) == "an object" && role != "tool" && role != roleCall {
		return m, nil, fail(BadRow, f.at(at), "want a text or a list of text parts, got an object")
	}
	if m.Content, m.Thought, m.Calls, err = im.content(f.at(at), f.get(at)); err != nil {
		return m, nil, err
	}
	if m.Context, err = marked(f, role); err != nil {
		return m, nil, err
	}
	if role == roleCall {
		m.Role = "assistant"
		if len(m.Calls) == 0 {
			thought, calls := toolcall.CutThought(m.Content) // as LLaMA-Factory writes it
			if m.Calls, err = im.callText(f.at(at), calls); err != nil {
				return m, nil, err
			}
			m.Content, m.Thought = "", thought
		}
	}
	calls, ids, err := im.toolCalls(f)
	if err != nil {
		return m, nil, err
	}
	m.Calls = append(m.Calls, calls...)
	thought, err := thoughtOf(f)
	if err != nil {
		return m, nil, err
	}
	if thought != "" && m.Thought != "" && thought != m.Thought {
		return m, nil, fail(BadRow, f.place, "its reasoning stands there twice, and differs")
	}
	if m.Thought == "" {
		m.Thought = thought
	}
	if m.Role != "assistant" && (len(m.Calls) > 0 || m.Thought != "") {
		return m, nil, fail(BadRow, f.place, "only the assistant calls tools and reasons, not %s", role)
	}
	lists, err := im.listsTools(f, role)
	if err == nil && m.Thought == "" && len(m.Calls) == 0 && !lists {
		err = f.saysNothing(m, at)
	}
	return m, ids, err
}

// listsTools reads the tools that a system turn lists beside its text.
func (im *importer) listsTools(f fields, role string) (bool, error) {
	tools, err := im.tools(f, "tools", "functions")
	if err != nil || tools == nil {
		return false, err
	}
	place := f.at("tools")
	if !f.has("tools") {
		place = f.at("functions")
	}
	switch {
	case role != "system":
		return false, fail(BadRow, place, "only the row and its system turn list tools, not a turn of %s", role)
	case im.turnTools != nil && !sameTools(im.turnTools, tools):
		return false, fail(BadTools, place, "another turn lists other tools: which of them may be called?")
	}
	im.turnTools, im.toolsAt = tools, place
	return true, nil
}

// saysNothing refuses a turn without calls whose text is not under its key: prompts would show an
// empty turn. A tool can answer with an empty text.
func (f fields) saysNothing(m Message, at string) error {
	missing := len(f.get(at)) == 0
	switch {
	case strings.TrimSpace(m.Content) != "" || m.Role == "tool" && !missing:
		return nil
	case len(f.unread) > 0:
		return fail(BadRow, f.place, "it says nothing but %s, which is not known", strings.Join(f.unread, ", "))
	case missing:
		return fail(BadRow, f.at(at), "missing")
	}
	return nil
}

// thoughtOf reads the reasoning beside an answer.
func thoughtOf(f fields) (string, error) {
	found := ""
	for _, key := range []string{"reasoning_content", "reasoning", "thinking"} {
		s, err := optional(f.at(key), f.get(key))
		if err != nil {
			return "", err
		}
		if s = strings.TrimSpace(s); s != "" && found != "" && s != found {
			return "", fail(BadRow, f.at(key), "the turn has other reasoning, too: which of them is to be learnt?")
		} else if s != "" {
			found = s
		}
	}
	return found, nil
}

// marked reads weight, train and loss: context is true for a turn of the assistant that is not
// to be learnt. A turn of someone else cannot be learnt, also if the mark asks for it.
func marked(f fields, role string) (context bool, err error) {
	learnt := map[bool]string{}
	for _, key := range []string{"weight", "train", "loss"} {
		switch raw := string(f.get(key)); raw {
		case "", "null":
		case "0", "0.0", "false":
			learnt[false] = key
		case "1", "1.0", "true":
			if key != "weight" && role != "assistant" && role != roleCall {
				return false, fail(BadRow, f.at(key), "a turn of %s cannot be learnt", role)
			}
			learnt[true] = key
		default:
			return false, fail(BadRow, f.at(key), "%s: a turn is learnt (1) or not (0), nothing between",
				shorten(raw, 40))
		}
	}
	if len(learnt) == 2 {
		return false, fail(BadRow, f.place, "%s says that it is learnt, %s that it is not", learnt[true], learnt[false])
	}
	return learnt[false] != "", nil
}

// toolResults takes results out of the tags of Hermes, which the chat template writes itself.
func toolResults(m Message) []Message {
	const opened, closed = "<tool_response>", "</tool_response>"
	var out []Message
	for rest := strings.TrimSpace(m.Content); rest != ""; rest = strings.TrimSpace(rest) {
		inner, found := strings.CutPrefix(rest, opened)
		if !found {
			return []Message{m}
		}
		if inner, rest, found = strings.Cut(inner, closed); !found {
			return []Message{m}
		}
		out = append(out, Message{Role: m.Role, Content: strings.TrimSpace(inner)})
	}
	if len(out) == 0 {
		return []Message{m}
	}
	return out
}

// content reads a text, null, an object, or a list of parts.
func (im *importer) content(
	field string, raw json.RawMessage,
) (said, thought string, calls []toolcall.Call, err error) {
	switch kind(raw) {
	case "nothing", "null":
		return "", "", nil, nil
	case "a text":
		said, err = text(field, raw)
		return said, "", nil, err
	case "an object": // some exporters leave a tool's answer as it was
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil {
			return "", "", nil, fail(BadRow, field, "%v", err)
		}
		return b.String(), "", nil, nil
	case "a list":
		return im.parts(field, raw)
	}
	return "", "", nil, fail(BadRow, field, "want a text or a list of text parts, got %s", kind(raw))
}

// parts reads [{"type": "text", "text": …}], and LLaMA-Factory's parts of reasoning and calls.
func (im *importer) parts(
	field string, raw json.RawMessage,
) (said, thought string, calls []toolcall.Call, err error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", "", nil, fail(BadRow, field, "%v", err)
	}
	for i, part := range parts {
		p, err := im.fields("part", fmt.Sprintf("%s[%d]", field, i), part)
		if err != nil {
			return "", "", nil, err
		}
		typ, err := text(p.at("type"), p.get("type"))
		if err != nil {
			return "", "", nil, err
		}
		key := "text"
		if len(p.get(key)) == 0 && len(p.get("value")) > 0 {
			key = "value"
		}
		if typ != "text" && typ != "reasoning" && typ != "tool_call" {
			return "", "", nil, fail(BadRow, p.at("type"), "%q: only text parts can be read", typ)
		}
		s, err := text(p.at(key), p.get(key))
		if err != nil {
			return "", "", nil, err
		}
		switch typ {
		case "reasoning":
			if said != "" || calls != nil || thought != "" {
				return "", "", nil, fail(BadRow, p.place, "reasoning behind the answer cannot be written there")
			}
			thought = strings.TrimSpace(s)
		case "tool_call":
			more, err := im.callText(p.at(key), s)
			if err != nil {
				return "", "", nil, err
			}
			calls = append(calls, more...)
		default:
			if calls != nil && strings.TrimSpace(s) != "" {
				return "", "", nil, fail(BadRow, p.place, "text behind the calls cannot be written there")
			}
			said += s
		}
	}
	return said, thought, calls, nil
}
