package format

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// toolsMarker announces the list of tools within ToolACE's system text.
const toolsMarker = "Here is a list of functions in JSON format that you can invoke:"

// announced is the sentence before the tools of Hermes.
var announced = regexp.MustCompile(`(?i)[ \t]*Here are the available tools:[ \t\r\n]*$`)

// declared are tools as the chat template of Kimi writes them, and as Toucan's system texts have them.
var declared = regexp.MustCompile(`(?s)<\|im_system\|>\s*tool_declare\s*<\|im_middle\|>(.*?)<\|im_end\|>`)

// cutTools takes the list of tools out of a system text. The sentence that announces it goes
// too: the chat template writes the tools in its own way, and a sentence that points at
// nothing would stay in every prompt.
func cutTools(system string) (rest string, tools json.RawMessage, err error) {
	if m := declared.FindStringSubmatchIndex(system); m != nil {
		if tools, err = toolsText("system", system[m[2]:m[3]]); err == nil {
			tools, err = unpackTools("system", tools)
		}
		return strings.TrimSpace(system[:m[0]] + system[m[1]:]), tools, err
	}
	before, after, found := strings.Cut(system, toolsMarker)
	if !found {
		return cutTagged(system)
	}
	d := json.NewDecoder(strings.NewReader(after))
	var list json.RawMessage
	if err := d.Decode(&list); err != nil {
		return "", nil, fail(BadTools, "system", "behind %q: %v", toolsMarker, err)
	}
	if err := embedded("system", string(list)); err != nil {
		return "", nil, err
	}
	if err := checkTools("system", list); err != nil {
		return "", nil, err
	}
	after = strings.TrimLeft(after[d.InputOffset():], ". \n")
	return strings.TrimSpace(strings.TrimRight(before, " \n") + "\n" + after), list, nil
}

// cutTagged does the same for <tools>…</tools>. Tags around nothing are only talked about.
func cutTagged(system string) (rest string, tools json.RawMessage, err error) {
	const opened, closed = "<tools>", "</tools>"
	for from := 0; ; {
		at := strings.Index(system[from:], opened)
		if at < 0 {
			return system, nil, nil
		}
		at += from
		from = at + len(opened)
		inner, after, found := strings.Cut(system[from:], closed)
		inner = strings.TrimSpace(inner)
		if !found || !strings.HasPrefix(inner, "[") && !strings.HasPrefix(inner, "{") {
			continue
		}
		if tools, err = toolsText("system", inner); err != nil {
			return "", nil, err
		}
		if tools, err = unpackTools("system", tools); err != nil {
			return "", nil, err
		}
		before := announced.ReplaceAllString(system[:at], "")
		rest = strings.TrimRight(before, " \t\r\n") + "\n" + strings.TrimLeft(after, ". \t\r\n")
		return strings.TrimSpace(rest), tools, nil
	}
}

// sameTools compares two lists of tools without regard to layout, wrappers and order.
func sameTools(a, b json.RawMessage) bool {
	x, okX := toolNames(a)
	y, okY := toolNames(b)
	return okX && okY && slices.Equal(x, y)
}

// toolNames returns each tool as JSON with sorted keys, sorted.
func toolNames(raw json.RawMessage) ([]string, bool) {
	var all []any
	if json.Unmarshal(raw, &all) != nil {
		return nil, false
	}
	var names []string
	for _, tool := range all {
		if wrapper, ok := tool.(map[string]any); ok && wrapper["function"] != nil {
			tool = wrapper["function"]
		}
		text, err := json.Marshal(tool)
		if err != nil {
			return nil, false
		}
		names = append(names, string(text))
	}
	slices.Sort(names)
	return names, true
}
