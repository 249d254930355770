package format

import (
	"encoding/json"
	"regexp"
	"strings"

	"itool/schemas/toolcall"
)

var (
	bankSpeaker = regexp.MustCompile(`(?m)^(User|AI|API-Request): ?`)
	bankAsks    = regexp.MustCompile(`\s*Generate (?:API Request|AI Response):\s*$`)
)

const bankTools = "API descriptions:"

// apiBank reads an instruction with descriptions of APIs, a dialogue, and what comes next: an
// API request or an answer in words.
func (im *importer) apiBank(in fields) (row Row, err error) {
	instruction, err := text("instruction", in.get("instruction"))
	if err != nil {
		return row, err
	}
	dialogue, err := text("input", in.get("input"))
	if err != nil {
		return row, err
	}
	key := "expected_output"
	if !in.has(key) && in.has("output") {
		key = "output"
	} else if in.has("output") && !sameJSON(in.get(key), in.get("output")) {
		return row, fail(BadRow, "output", "the row has expected_output, too, and they differ: which is to be learnt?")
	}
	answer, err := text(key, in.get(key))
	if err != nil {
		return row, err
	}
	system, described, found := strings.Cut(instruction, bankTools)
	if !found {
		return row, fail(BadTools, "instruction", "no %q in it", bankTools)
	}
	// The training rows have the descriptions before the dialogue.
	if at := bankSpeaker.FindStringIndex(dialogue); at != nil {
		described, dialogue = described+"\n"+dialogue[:at[0]], dialogue[at[0]:]
	}
	if row.Tools, err = bankList(described); err != nil {
		return row, err
	}
	if system = strings.TrimSpace(system); system != "" {
		row.Messages = append(row.Messages, Message{Role: "system", Content: system})
	}
	turns, err := bankTurns(bankAsks.ReplaceAllString(dialogue, ""))
	if err != nil {
		return row, err
	}
	row.Messages = append(row.Messages, turns...)
	request, called := strings.CutPrefix(strings.TrimSpace(answer), "API-Request:")
	if !called {
		said := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(answer), "AI:"))
		row.Messages = append(row.Messages, Message{Role: "assistant", Content: said})
		return row.onlyAnswer(), nil
	}
	calls, err := bankCalls(key, request)
	return row.answered(calls).onlyAnswer(), err
}

// bankCalls reads [ApiName(key='value')].
func bankCalls(field, s string) ([]toolcall.Call, error) {
	s = strings.TrimSpace(s)
	turn, err := toolcall.Pythonic.ReadTurn(s)
	if call, plain := bankPlain(s); err != nil && plain {
		return []toolcall.Call{call}, nil
	}
	if err != nil {
		return nil, fail(BadRow, field, "%v", err)
	}
	if turn.Words != "" {
		return nil, fail(BadRow, field, "%q stands before the call", shorten(turn.Words, 60))
	}
	return turn.Calls, nil
}

var (
	bankCall = regexp.MustCompile(`(?s)\A\[(\w+)\((\w+='.*')\)\]\z`)
	bankArg  = regexp.MustCompile(`(?:\A|', )(\w+)='`)
)

// bankPlain reads a call whose texts have quotes in them that are not escaped, as the makers
// wrote them: name='text', … with nothing done to the text.
func bankPlain(s string) (toolcall.Call, bool) {
	m := bankCall.FindStringSubmatch(s)
	if m == nil {
		return toolcall.Call{}, false
	}
	call, args := toolcall.Call{Name: m[1]}, strings.TrimSuffix(m[2], "'")
	starts := bankArg.FindAllStringSubmatchIndex(args, -1)
	for i, at := range starts {
		end := len(args)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		name := args[at[2]:at[3]]
		if _, twice := call.Arg(name); twice {
			return toolcall.Call{}, false
		}
		call.Args = append(call.Args, toolcall.Arg{Name: name, Value: toolcall.Text(args[at[1]:end])})
	}
	return call, true
}

// bankList reads one description a line and gives the fields the names that tools have elsewhere.
func bankList(described string) (json.RawMessage, error) {
	raw, err := toolsText("instruction", described)
	if err != nil || strings.TrimSpace(described) == "" {
		return nil, err
	}
	var all []json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fail(BadTools, "instruction", "%v", err)
	}
	names := map[string]string{"apiCode": "name", "input_parameters": "parameters", "response": "output_parameters"}
	for i, tool := range all {
		f, err := object("instruction", tool)
		if err != nil {
			return nil, err
		}
		for j, key := range f.keys {
			if other := names[key]; other != "" && len(f.get(other)) == 0 {
				f.keys[j], f.values[other] = other, f.get(key)
			}
		}
		all[i] = f.text()
	}
	return json.Marshal(all)
}

// bankTurns cuts the dialogue at its speakers. API-Request: [call]->result is a call and what
// it gave.
func bankTurns(dialogue string) (out []Message, err error) {
	cuts := bankSpeaker.FindAllStringSubmatchIndex(dialogue, -1)
	if len(cuts) == 0 || strings.TrimSpace(dialogue[:cuts[0][0]]) != "" {
		return nil, fail(BadRow, "input", "it begins with %q: want User:", shorten(dialogue, 40))
	}
	for i, c := range cuts {
		end := len(dialogue)
		if i+1 < len(cuts) {
			end = cuts[i+1][0]
		}
		said := strings.TrimSpace(dialogue[c[1]:end])
		switch dialogue[c[2]:c[3]] {
		case "User":
			out = append(out, Message{Role: "user", Content: said})
		case "AI":
			out = append(out, Message{Role: "assistant", Content: said})
		default:
			request, result, found := strings.Cut(said, "]->")
			if found {
				request += "]"
			}
			calls, err := bankCalls("input", request)
			if err != nil {
				return nil, err
			}
			out = Row{Messages: out}.answered(calls).Messages
			out = append(out, Message{Role: "tool", Content: strings.TrimSpace(result)})
		}
	}
	return out, nil
}
