package format

import (
	"encoding/json"
	"regexp"
	"strings"

	"itool/schemas/toolcall"
)

var (
	// The sentence that announces the tools of glaive, and what they stand behind.
	glaiveTools = regexp.MustCompile(`(?s)^(.*?)(?:with access to the following functions\. ` +
		`Use them if required) -\s*(\{.*)$`)
	glaiveSpeaker = regexp.MustCompile(`(?:\A|\n\s*\n)\s*(USER|ASSISTANT|FUNCTION RESPONSE|SYSTEM):`)
	glaiveCall    = regexp.MustCompile(`(?s)` +
		`^\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*'(.*)'\s*\}$`)
)

const (
	glaiveEnd  = "<|endoftext|>"
	glaiveMark = "<functioncall>"
)

// glaive reads the two texts of glaive v2.
func (im *importer) glaive(in fields) (row Row, err error) {
	system, err := optional("system", in.get("system"))
	if err != nil {
		return row, err
	}
	chat, err := text("chat", in.get("chat"))
	if err != nil {
		return row, err
	}
	system = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(system), "SYSTEM:"))
	if m := glaiveTools.FindStringSubmatch(system); m != nil {
		if row.Tools, err = toolsText("system", m[2]); err != nil {
			return row, err
		}
		if row.Tools, err = unpackTools("system", row.Tools); err != nil {
			return row, err
		}
		system = strings.TrimSuffix(strings.TrimSpace(m[1]), ",")
		if strings.HasSuffix(system, "assistant") {
			system += "."
		}
	} else if strings.Contains(system, "following functions") {
		return row, fail(BadTools, "system", "it announces functions, but none stand behind the announcement")
	}
	if system != "" {
		row.Messages = append(row.Messages, Message{Role: "system", Content: system})
	}
	turns, err := im.glaiveTurns(chat)
	row.Messages = append(row.Messages, turns...)
	return row, err
}

// glaiveTurns cuts the text at its speakers.
func (im *importer) glaiveTurns(chat string) (out []Message, err error) {
	cuts := glaiveSpeaker.FindAllStringSubmatchIndex(chat, -1)
	if len(cuts) == 0 || strings.TrimSpace(chat[:cuts[0][0]]) != "" {
		return nil, fail(BadRow, "chat", "it begins with %q: want USER: or ASSISTANT:", shorten(chat, 40))
	}
	for i, c := range cuts {
		end := len(chat)
		if i+1 < len(cuts) {
			end = cuts[i+1][0]
		}
		said := strings.TrimSpace(chat[c[1]:end])
		said = strings.TrimSpace(strings.TrimSuffix(said, glaiveEnd))
		if strings.Contains(said, glaiveEnd) {
			return nil, fail(BadRow, "chat", "turn %d: text behind %s", i, glaiveEnd)
		}
		m := Message{Content: said}
		switch chat[c[2]:c[3]] {
		case "USER":
			m.Role = "user"
		case "SYSTEM":
			m.Role = "system"
		case "FUNCTION RESPONSE":
			m.Role = "tool"
		default:
			m.Role = "assistant"
			words, call, called := strings.Cut(said, glaiveMark)
			if called {
				m.Content = strings.TrimSpace(words)
				if m.Calls, err = im.glaiveCalls(strings.TrimSpace(call)); err != nil {
					return nil, err
				}
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// glaiveCalls reads {"name": "f", "arguments": '{"a": 1}'}: the arguments are JSON in single
// quotes, with apostrophes in it escaped. Plain JSON is read, too.
func (im *importer) glaiveCalls(s string) ([]toolcall.Call, error) {
	var calls []toolcall.Call
	for part := range strings.SplitSeq(s, glaiveMark) {
		part = strings.TrimSpace(part)
		m := glaiveCall.FindStringSubmatch(part)
		if m == nil {
			more, err := im.callText("chat", part)
			if err != nil {
				return nil, err
			}
			calls = append(calls, more...)
			continue
		}
		var name string
		if err := json.Unmarshal([]byte(m[1]), &name); err != nil || name == "" {
			return nil, fail(BadRow, "chat", "a call without a name")
		}
		args, err := arguments("chat", asText(m[2]))
		if err != nil {
			if args, err = arguments("chat", asText(strings.ReplaceAll(m[2], `\'`, `'`))); err != nil {
				return nil, err
			}
		}
		calls = append(calls, toolcall.Call{Name: name, Args: args})
	}
	return calls, nil
}

// asText writes a text as JSON.
func asText(s string) json.RawMessage {
	raw, _ := json.Marshal(s) // a string cannot fail
	return raw
}
