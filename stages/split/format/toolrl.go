package format

import (
	"encoding/json"
	"regexp"
	"strings"

	"itool/schemas/toolcall"
)

var (
	rlTool = regexp.MustCompile(`(?ms)^\d+\.[ \t]*Name:[ \t]*(.*?)\nDescription:[ \t]*(.*?)\nParameters:[ \t]*(\{.*?)` +
		`(?:\n(?:\d+\.[ \t]*Name:)|\n\s*\n|\z)`)
	rlTag = regexp.MustCompile(`(?s)\A\s*` +
		`<(user|think|tool_call|response|obs)>(.*?)</(user|think|tool_call|response|obs)>`)
)

const (
	rlTools   = "**Available Tools**"
	rlHistory = "**Dialogue Records History**"
)

// toolRL reads an instruction that lists tools, a dialogue with tags, and the answer. Rows for
// reinforcement have the first two in prompt and the answer in reward_model.
func (im *importer) toolRL(in fields) (row Row, err error) {
	instruction, dialogue, answer, err := rlTexts(in)
	if err != nil {
		return row, err
	}
	system, tools, err := rlSystem(instruction)
	if err != nil {
		return row, err
	}
	row.Tools = tools
	if system != "" {
		row.Messages = append(row.Messages, Message{Role: "system", Content: system})
	}
	dialogue = strings.TrimSpace(dialogue)
	history, marked := strings.CutPrefix(dialogue, rlHistory)
	if !marked && !strings.HasPrefix(dialogue, "<user>") {
		return row, fail(BadRow, "input", "it begins with %q: want %s", shorten(dialogue, 40), rlHistory)
	}
	for i, part := range []struct{ field, text string }{{"input", history}, {"output", answer}} {
		turns, err := im.rlTurns(part.field, part.text)
		if err != nil {
			return row, err
		}
		if i == 1 && (len(turns) != 1 || turns[0].Role != "assistant") {
			return row, fail(NoAnswer, part.field, "want one answer: <think>, then <tool_call> or <response>")
		}
		row.Messages = append(row.Messages, turns...)
	}
	return row.onlyAnswer(), nil
}

// rlTexts finds the three texts in either of the layouts.
func rlTexts(in fields) (instruction, dialogue, answer string, err error) {
	if !in.has("prompt") {
		for _, t := range []struct {
			key string
			to  *string
		}{{"instruction", &instruction}, {"input", &dialogue}, {"output", &answer}} {
			if *t.to, err = text(t.key, in.get(t.key)); err != nil {
				return "", "", "", err
			}
		}
		return instruction, dialogue, answer, nil
	}
	for _, key := range []string{"instruction", "input", "output"} {
		if in.has(key) {
			return "", "", "", fail(BadRow, key, "the row has prompt, too: which of them is to be learnt?")
		}
	}
	turns, err := list("prompt", in.get("prompt"))
	if err != nil {
		return "", "", "", err
	}
	for _, t := range placed("prompt", turns) {
		f, err := object(t.place, t.raw)
		if err != nil {
			return "", "", "", err
		}
		role, err := text(f.at("role"), f.get("role"))
		if err != nil {
			return "", "", "", err
		}
		said, err := text(f.at("content"), f.get("content"))
		if err != nil {
			return "", "", "", err
		}
		switch {
		case role == "system" && instruction == "":
			instruction = said
		case role == "user" && dialogue == "":
			dialogue = said
		default:
			return "", "", "", fail(BadRow, f.at("role"), "%q: want one system text and one of the user", role)
		}
	}
	reward, err := object("reward_model", in.get("reward_model"))
	if err != nil {
		return "", "", "", err
	}
	answer, err = text(reward.at("ground_truth"), reward.get("ground_truth"))
	return instruction, dialogue, answer, err
}

// rlSystem takes the tools out of the instruction, with the lines that announce them.
func rlSystem(instruction string) (system string, tools json.RawMessage, err error) {
	before, after, found := strings.Cut(instruction, rlTools)
	if !found {
		return strings.TrimSpace(instruction), nil, nil
	}
	type tool struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
	}
	var all []tool
	end := 0
	for {
		m := rlTool.FindStringSubmatchIndex(after[end:])
		if m == nil {
			break
		}
		d := json.NewDecoder(strings.NewReader(after[end+m[6]:]))
		t := tool{Name: after[end+m[2] : end+m[3]], Description: after[end+m[4] : end+m[5]]}
		if err := d.Decode(&t.Parameters); err != nil {
			return "", nil, fail(BadTools, "instruction", "tool %d: %v", len(all), err)
		}
		all = append(all, t)
		end += m[6] + int(d.InputOffset())
	}
	if announced := strings.Count(after, "\nParameters:"); announced != len(all) {
		return "", nil, fail(BadTools, "instruction", "%d of %d tools could be read", len(all), announced)
	}
	if len(all) > 0 {
		if tools, err = json.Marshal(all); err != nil {
			return "", nil, fail(BadTools, "instruction", "%v", err)
		}
	}
	if len(all) == 0 {
		return strings.TrimSpace(instruction), nil, nil
	}
	return strings.TrimSpace(before) + "\n\n" + strings.TrimSpace(after[end:]), tools, nil
}

// rlTurns reads a dialogue: <user>, then <think>, <tool_call> and <response> of one answer,
// then <obs>, the result of the calls.
func (im *importer) rlTurns(field, s string) (out []Message, err error) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		m := rlTag.FindStringSubmatch(s)
		if m == nil || m[1] != m[3] {
			return nil, fail(BadRow, field, "turn %d: %q: want one of the tags user, think, tool_call, response, obs",
				len(out), shorten(s, 40))
		}
		said := strings.TrimSpace(m[2])
		s = s[len(m[0]):]
		switch m[1] {
		case "user":
			out = append(out, Message{Role: "user", Content: said})
			continue
		case "obs":
			out = append(out, Message{Role: "tool", Content: said})
			continue
		case "think":
			out = append(out, Message{Role: "assistant", Thought: said})
			continue
		}
		last := len(out) - 1
		if last < 0 || out[last].Role != "assistant" || out[last].Content != "" || m[1] == "tool_call" &&
			len(out[last].Calls) > 0 {
			out = append(out, Message{Role: "assistant"})
			last++
		}
		if m[1] == "response" {
			out[last].Content = said
		} else if out[last].Calls, err = im.rlCalls(field, said); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// rlCalls reads one call a line.
func (im *importer) rlCalls(field, s string) ([]toolcall.Call, error) {
	var calls []toolcall.Call
	d := json.NewDecoder(strings.NewReader(s))
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, fail(BadRow, field, "a call in tool_call: %v", err)
		}
		more, err := im.functions(field, raw)
		if err != nil {
			return nil, err
		}
		calls = append(calls, more...)
	}
	if len(calls) == 0 {
		return nil, fail(BadRow, field, "tool_call holds no call")
	}
	return calls, nil
}
