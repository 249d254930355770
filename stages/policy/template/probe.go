package template

import (
	"encoding/json"
	"strings"
)

// Probe is what a chat template does with the parts of a conversation that tool use needs. A part is
// written, left out, or refused: then the template raises an error, which is kept.
type Probe struct {
	Tools   Support // names, descriptions and parameters of tools
	System  Support // a system message
	Call    Support // an earlier turn of the assistant whose content is a call
	Results Support // a message of role "tool"

	// CallText is what the template writes for structured calls (tool_calls) of an assistant's turn, without
	// what surrounds it: "" if it writes none. It shows the format in which the model was taught to call.
	CallText string
}

// Support says how a template treats a part.
type Support struct {
	Written bool
	Err     error // it raises; nil: it writes the part or leaves it out
}

// LeftOut tells whether a template drops the part in silence.
func (s Support) LeftOut() bool { return !s.Written && s.Err == nil }

// The call of the probe. Values are words that no template writes by itself.
const (
	probeTool   = "probe_weather_5f1c"
	probeParam  = "probe_city_7be2"
	probeValue  = "Probeville 91d0"
	probeSystem = "Probe system text 03aa."
	probeAsk    = "Probe question 4c7e?"
	probeResult = "probe result 66b1"
	probeAnswer = "Probe answer 8a2d."
)

var probeTools = json.RawMessage(`[{"type": "function", "function": {"name": "` + probeTool + `", "description": ` +
	`"Probe description.", "parameters": {"type": "object", "properties": {"` + probeParam + `": {"type": "string", ` +
	`"description": "A probe."}}, "required": ["` + probeParam + `"]}}}]`)

// ProbeCall is the call whose structured form gives CallText: tool(parameter = value).
func ProbeCall() (tool, parameter, value string) { return probeTool, probeParam, probeValue }

// Probe renders small conversations and looks at what comes out.
func (t *Template) Probe(date string) Probe {
	ask := Message{Role: "user", Content: probeAsk}
	answer := Message{Role: "assistant", Content: probeAnswer}
	support := func(in Input, words ...string) Support {
		in.Date = date
		text, err := t.Render(in)
		for _, w := range words {
			if !strings.Contains(text, w) {
				return Support{Err: err}
			}
		}
		return Support{Written: true}
	}
	return Probe{
		Tools: support(Input{Messages: []Message{ask}, Tools: probeTools, Prompt: true}, probeTool, probeParam),
		System: support(Input{
			Messages: []Message{{Role: "system", Content: probeSystem}, ask}, Tools: probeTools, Prompt: true,
		}, probeSystem),
		Call: support(Input{Messages: []Message{ask, answer, ask}, Tools: probeTools, Prompt: true}, probeAnswer),
		Results: support(Input{
			Messages: []Message{ask, answer, {Role: "tool", Content: probeResult}}, Tools: probeTools, Prompt: true,
		}, probeResult),
		CallText: t.callText(date),
	}
}

// callText renders a structured call, with arguments as an object and, for templates that want it so, as a
// JSON text.
func (t *Template) callText(date string) string {
	arguments := `{"` + probeParam + `": "` + probeValue + `"}`
	quoted, err := json.Marshal(arguments)
	if err != nil {
		return ""
	}
	for _, form := range []string{arguments, string(quoted)} {
		turns := `[{"role": "user", "content": "` + probeAsk + `"}, {"role": "assistant", "content": "", ` +
			`"tool_calls": [{"id": "probe1234", "type": "function", "function": ` +
			`{"name": "` + probeTool + `", "arguments": ` + form + `}}]}]`
		whole, err := t.renderTurns(turns, false, date)
		if err != nil {
			continue
		}
		prompt, err := t.renderTurns(`[{"role": "user", "content": "`+probeAsk+`"}]`, true, date)
		if err != nil {
			continue
		}
		call, ok := strings.CutPrefix(whole, prompt)
		if !ok { // the prompt's end opens something else, such as a thought
			_, call, ok = strings.Cut(whole, probeAsk)
		}
		if ok && strings.Contains(call, probeValue) { // the name may be missing: Kimi K2 writes the call's id instead
			return call
		}
	}
	return ""
}

func (t *Template) renderTurns(messages string, prompt bool, date string) (string, error) {
	return t.renderJSON(json.RawMessage(messages), probeTools, prompt, date)
}
