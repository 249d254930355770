package serve

import (
	"encoding/json"
	"strings"

	"itool/schemas/toolcall"
)

// callJSON is a call as the API writes it: the arguments are JSON in a string.
type callJSON struct {
	Index    *int   `json:"index,omitempty"` // in streams
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// turn reads the words and the calls of a message of the assistant. Blank arguments, which
// many programs send for a call without parameters, are none.
func (m *message) turn(number int) (toolcall.Turn, error) {
	turn := toolcall.Turn{Words: string(m.Content)}
	for _, c := range m.Calls {
		text := c.Function.Arguments
		if strings.TrimSpace(text) == "" {
			text = "null"
		}
		args, err := toolcall.FromJSON([]byte(text))
		call := toolcall.Call{Name: c.Function.Name}
		if err == nil {
			call.Args, err = toolcall.ArgsOf(args)
		}
		if err != nil {
			return turn, bad("messages", "message %d: the arguments of %q are not a JSON object in a string",
				number, c.Function.Name)
		}
		turn.Calls = append(turn.Calls, call)
	}
	return turn, nil
}

// read splits an answer into words and calls, as training reads its data. Text that only looks
// like calls stays text. So do calls of an answer that was cut off, because one may be missing.
func (a *chatAnswer) read(d drawn) (words string, calls []callJSON) {
	if !a.in.mayCall() || d.finish == finishLength {
		return d.text, nil
	}
	turn, err := a.s.Calls.ReadTurn(d.text)
	if err != nil || len(turn.Calls) == 0 {
		return d.text, nil
	}
	list, _, err := toolcall.Bind(turn.Calls, nil)
	if err != nil { // some argument has no name: the tools say which it is
		list, err = a.bind(turn.Calls)
	}
	if err != nil {
		return d.text, nil
	}
	if !or(a.in.Parallel, true) {
		list = list[:1]
	}
	for _, c := range list {
		out := callJSON{ID: a.s.random.name("call_"), Type: "function"}
		out.Function.Name, out.Function.Arguments = c.Name, c.JSON()
		calls = append(calls, out)
	}
	turn.Calls = nil
	return a.s.Calls.PrintTurn(turn), calls
}

// bind names arguments that were given by position.
func (a *chatAnswer) bind(calls []toolcall.Call) ([]toolcall.Call, error) {
	raw, err := json.Marshal(a.in.Tools)
	if err != nil {
		return nil, err
	}
	tools, err := toolcall.ParseTools(raw)
	if err != nil {
		return nil, err
	}
	calls, _, err = toolcall.Bind(calls, tools)
	return calls, err
}

// callsAt is where calls begin in an answer, or may begin when more of it is known; −1: it
// has no calls so far. What stands in a thought is no call.
func (a *chatAnswer) callsAt(answer string) int {
	if !a.in.mayCall() {
		return -1
	}
	thought, rest := toolcall.CutThought(answer)
	before := len(answer) - len(rest)
	trimmed := strings.TrimLeft(rest, " \t\r\n") // blanks before calls are no words
	if thought == "" && strings.HasPrefix(trimmed, "<think>") {
		return -1 // the thought goes on
	}
	first := -1
	for _, mark := range a.s.Calls.Marks() {
		if strings.HasPrefix(trimmed, mark) || strings.HasPrefix(mark, trimmed) {
			return before
		}
		if at := a.s.markAt(rest, mark); at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	if first < 0 {
		return -1
	}
	return before + first
}

// markAt is where a mark of calls stands behind words, or may stand when more is known; −1: nowhere.
func (s *Server) markAt(rest, mark string) int {
	if s.Calls != toolcall.Hermes {
		mark = "\n" + mark // behind words only at the beginning of a line
	}
	if at := strings.Index(rest, mark); at >= 0 {
		return at
	}
	if n := overlap(rest, mark); n > 0 {
		return len(rest) - n
	}
	return -1
}
