package toolcall

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Turn is an assistant's turn taken apart. One rule reads it from an answer and writes it,
// for training, judging and serving alike: the thought, the words, then the calls.
type Turn struct {
	Thought string // what stands in <think>…</think> at the beginning, without outer blanks
	Words   string // the text before the calls; the whole answer if it has none
	Calls   []Call // an argument that was given by position has the name "", see Bind
	// After is text behind the calls or between them, which only Hermes allows. The programs
	// that serve such models ignore it, and Print does not write it.
	After string
	// Lost names what calls say and Calls do not hold: an argument or a key that stands there twice,
	// or, in JSON, a field beside name and arguments. "": nothing.
	Lost string
	// Literal: a call is written as Python's literal instead of JSON, which few programs read.
	Literal bool
}

const (
	openThought  = "<think>"
	closeThought = "</think>"
)

// CutThought cuts a <think> block from the beginning of an answer. Without one, rest is the
// answer. A block that does not end is no thought.
func CutThought(answer string) (thought, rest string) {
	text := strings.TrimLeft(answer, " \t\r\n")
	if !strings.HasPrefix(text, openThought) {
		return "", answer
	}
	thought, rest, closed := strings.Cut(text[len(openThought):], closeThought)
	if !closed {
		return "", answer
	}
	return strings.TrimSpace(thought), strings.TrimLeft(rest, " \t\r\n")
}

// PrintTurn writes a turn as the model would. Words and calls are on lines of their own.
func (f Format) PrintTurn(t Turn) string {
	var b strings.Builder
	if t.Thought != "" {
		b.WriteString(openThought + "\n" + t.Thought + "\n" + closeThought + "\n\n")
	}
	b.WriteString(t.Words)
	if len(t.Calls) > 0 {
		if t.Words != "" {
			b.WriteByte('\n')
		}
		b.WriteString(f.Print(t.Calls))
	}
	return b.String()
}

// ReadTurn reads an answer that ends with calls in the format; words can stand before them,
// on lines of their own. The error is a *SyntaxError: the answer has no calls, or broken
// ones. IsProse then says whether it is prose.
func (f Format) ReadTurn(answer string) (Turn, error) {
	thought, rest := CutThought(answer)
	if strings.HasPrefix(strings.TrimLeft(rest, " \t\r\n"), openThought) {
		return Turn{}, &SyntaxError{Offset: len(answer), Want: closeThought, Got: "the end"}
	}
	var t Turn
	var err error
	switch at := f.callsAt(rest); f {
	case Hermes:
		t, err = readHermes(rest)
		t.Words = rest[:max(at, 0)]
	case LlamaJSON:
		t, err = readLlama(rest[max(at, 0):])
		t.Words = rest[:max(at, 0)]
	default:
		if t, err = readPythonic(rest); err != nil && at > 0 {
			t.Words = rest[:at]
			t.Calls, err = Parse(rest[at:])
		}
	}
	if err != nil {
		return Turn{}, err
	}
	t.Thought, t.Words = thought, strings.TrimSpace(t.Words)
	return t, nil
}

var llamaLine = regexp.MustCompile(`(?m)^[ \t]*(?:\{\s*"(?:name|type|parameters|arguments)"\s*:|<\|python_tag\|>)`)

// callsAt is where calls seem to begin in an answer without a thought; −1: nowhere. At a
// place within the answer only the beginning of a line counts, but for Hermes.
func (f Format) callsAt(rest string) int {
	switch f {
	case Hermes:
		return strings.Index(rest, openCall)
	case LlamaJSON:
		trimmed := strings.TrimLeft(rest, " \t\r\n")
		if strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, pythonTag) {
			return 0
		}
		if at := llamaLine.FindStringIndex(rest); at != nil {
			return at[0]
		}
		return -1
	}
	if strings.HasPrefix(strings.TrimLeft(rest, " \t\r\n"), "[") {
		return 0
	}
	return bracketLine(rest)
}

// bracketLine finds the first line that begins with "[" and a call's name. Reading a name is
// bounded, so the work is linear.
func bracketLine(text string) int {
	c, err := newCursor(text)
	if err != nil {
		return -1
	}
	for {
		next := strings.Index(text[c.pos:], "\n[")
		if next < 0 {
			return -1
		}
		c.pos += next + 2
		at := c.pos - 1
		if c.blanks(); c.callName() != "" {
			return at
		}
		c.pos = at + 1
	}
}

// readPythonic is Read, but it keeps positional arguments, with the name "".
func readPythonic(answer string) (t Turn, err error) {
	if t.Calls, err = Parse(answer); err == nil {
		return t, nil
	}
	calls, lost, lenientErr := decode(answer, true)
	if lenientErr == nil {
		return Turn{Calls: calls, Lost: lost}, nil
	}
	if offsetOf(lenientErr) > offsetOf(err) {
		return Turn{}, lenientErr
	}
	return Turn{}, err
}

// ReadTurn reads an answer in the format that FormatOf finds.
func ReadTurn(answer string) (Turn, error) { return FormatOf(answer).ReadTurn(answer) }

// Bind gives the arguments that have no name those of the tool's parameters, in the schema's
// order, and returns how many they were. Calls that need no change are returned as they are.
// The error names the call: its tool is unknown, or it has no parameter left.
func Bind(calls []Call, tools []Tool) ([]Call, int, error) {
	bound := 0
	for i, call := range calls {
		if !slices.ContainsFunc(call.Args, func(a Arg) bool { return a.Name == "" }) {
			continue
		}
		at := slices.IndexFunc(tools, func(t Tool) bool { return t.Name == call.Name })
		if at < 0 {
			return nil, 0, fmt.Errorf("toolcall: %s has an argument without a name, and no tool says whose it is",
				call.Name)
		}
		args, err := bindArgs(call, tools[at])
		if err != nil {
			return nil, 0, err
		}
		for _, a := range call.Args {
			if a.Name == "" {
				bound++
			}
		}
		calls = slices.Clone(calls) // the caller's stay
		calls[i].Args = args
	}
	return calls, bound, nil
}

func bindArgs(call Call, tool Tool) ([]Arg, error) {
	args, place := slices.Clone(call.Args), 0
	for i, a := range args {
		if a.Name != "" {
			continue
		}
		if place >= len(tool.Params) {
			return nil, fmt.Errorf("toolcall: %s has more arguments than its tool has parameters (%d)",
				call.Name, len(tool.Params))
		}
		args[i].Name = tool.Params[place].Name
		if _, given := call.Arg(args[i].Name); given || args[i].Name == "" {
			return nil, fmt.Errorf("toolcall: %s gives %q by position and by name", call.Name, args[i].Name)
		}
		place++
	}
	return args, nil
}
