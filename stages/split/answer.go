package split

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"itool/schemas/toolcall"
	"itool/stages/split/format"
)

// Values of Config.Reasoning.
const (
	KeepReasoning   = "keep"
	DropReasoning   = "drop"
	RefuseReasoning = "refuse"
)

// said is a turn of the assistant as it is learnt, and as later prompts show it.
type said struct {
	text   string
	calls  []toolcall.Call
	reason Reason // why it cannot be learnt; "" for none
	err    error
	// lost: text is not all that was said, so that no later turn can be learnt either.
	lost bool
}

// answers writes the assistant's turns as the model would.
func (t *turns) answers(row format.Row, tools []toolcall.Tool) []said {
	out := make([]said, len(row.Messages))
	for i, m := range row.Messages {
		if m.Role == "assistant" {
			out[i] = t.answer(m, tools, len(row.Acceptable) > 0 && i == len(row.Messages)-1)
		}
	}
	return out
}

// answer writes one turn. What needs no change keeps its bytes. A benchmark's own reference
// keeps its arguments.
func (t *turns) answer(m format.Message, tools []toolcall.Tool, benchmark bool) said {
	turn, unread, err := apart(m)
	keeps := !thinks(turn) || t.cfg.Reasoning == KeepReasoning
	exact := len(m.Calls) == 0 && m.Thought == "" && keeps && !turn.Literal &&
		(unread != nil || toolcall.FormatOf(m.Content) == t.calls)
	if err == nil {
		err = t.reasoning(&turn)
	}
	if err == nil && len(turn.Calls) == 0 {
		if turn.Thought != "" && strings.TrimSpace(turn.Words) == "" {
			return said{text: m.Content, reason: NoAnswer, err: errors.New("nothing stands behind its reasoning")}
		}
		s := said{text: m.Content}
		if !exact {
			s.text = t.calls.PrintTurn(turn)
		}
		return s.prose(unread, tools)
	}
	changed := false
	if err == nil {
		turn.Calls, changed, err = t.arguments(turn.Calls, tools, benchmark)
	}
	if err == nil && exact && !changed {
		return said{text: m.Content, calls: turn.Calls}
	}
	if err == nil && turn.Lost != "" {
		err = fmt.Errorf("a call says something that a call cannot hold: %.60q", turn.Lost)
	}
	if err == nil && turn.After != "" {
		err = fmt.Errorf("text stands behind its calls, where none can be written: %.60q", turn.After)
	}
	if err == nil {
		var text string
		if text, err = t.written(turn); err == nil {
			return said{text: text, calls: turn.Calls}
		}
	}
	lost := len(m.Calls) > 0 || turn.Thought != "" || unread == nil && !exact
	return said{text: m.Content, reason: BadAnswer, err: err, lost: lost}
}

// apart takes a turn apart. unread is why its text holds no calls, if it has none as data.
func apart(m format.Message) (turn toolcall.Turn, unread, err error) {
	if len(m.Calls) > 0 {
		turn.Thought, turn.Words = toolcall.CutThought(m.Content)
		turn.Calls = m.Calls
	} else if turn, unread = toolcall.ReadTurn(m.Content); unread != nil {
		turn.Thought, turn.Words = toolcall.CutThought(m.Content)
	}
	switch {
	case m.Thought == "":
	case turn.Thought == "":
		turn.Thought = m.Thought
	case turn.Thought != m.Thought:
		err = errors.New("its reasoning stands there twice, and differs")
	}
	return turn, unread, err
}

// prose checks an answer without calls. unread is why it holds none.
func (s said) prose(unread error, tools []toolcall.Tool) said {
	switch {
	case strings.TrimSpace(s.text) == "":
		s.reason, s.err = NoAnswer, errors.New("the answer is empty")
	case unread == nil:
		s.reason, s.err = BadAnswer, errors.New("a list of no calls: write prose where no call is wanted")
	case !toolcall.IsProse(s.text):
		s.reason, s.err = BadAnswer, fmt.Errorf("neither calls nor prose (calls are tool_calls, or in the text "+
			"[f(a=1)], <tool_call>{…}</tool_call> or {\"name\": …, \"parameters\": …}): %w", unread)
	case fenced(s.text, tools):
		s.reason, s.err = BadAnswer, errors.New("it is a block of code that calls a tool: write the call as tool_calls")
	}
	return s
}

var fence = regexp.MustCompile("(?s)\\A\\s*```\\w*\\n(.*)```\\s*\\z")

// fenced reports whether the whole answer is a block of code, as Gemma writes calls: ```tool_code ⏎ f(a=1) ⏎ ```.
func fenced(text string, tools []toolcall.Tool) bool {
	m := fence.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	calls, err := toolcall.Read(strings.TrimSpace(m[1]))
	return err == nil && len(calls) > 0 && slices.ContainsFunc(tools, func(tool toolcall.Tool) bool {
		return tool.Name == calls[0].Name
	})
}

// written prints a turn, if it reads back as the same.
func (t *turns) written(turn toolcall.Turn) (string, error) {
	text := t.calls.PrintTurn(turn)
	back, err := t.calls.ReadTurn(text)
	if err == nil && back.Words == strings.TrimSpace(turn.Words) && back.Thought == turn.Thought &&
		t.calls.Print(back.Calls) == t.calls.Print(turn.Calls) {
		return text, nil
	}
	return "", fmt.Errorf("its calls cannot be written as %s and read back: an infinite number, a key that is not a "+
		"text, or a name or words that look like something else", t.calls)
}

// endThought ends a thought that the prompt began, as templates of DeepSeek R1 do: such rows have
// no <think>.
const endThought = "</think>"

// withoutThoughts takes the thoughts out of words, and the end of one that the prompt began.
func withoutThoughts(words string) string {
	for {
		before, rest, opened := strings.Cut(words, "<think>")
		_, after, closed := strings.Cut(rest, endThought)
		if !opened || !closed {
			break
		}
		words = before + strings.TrimLeft(after, " \t\r\n")
	}
	if _, after, found := strings.Cut(words, endThought); found {
		words = after
	}
	return strings.TrimSpace(words)
}

func thinks(turn toolcall.Turn) bool {
	return turn.Thought != "" || strings.Contains(turn.Words, endThought)
}

// reasoning does what the setting says, and counts.
func (t *turns) reasoning(turn *toolcall.Turn) error {
	if !thinks(*turn) {
		return nil
	}
	t.noted.reasoning = true
	switch t.cfg.Reasoning {
	case DropReasoning:
		turn.Thought, turn.Words = "", withoutThoughts(turn.Words)
	case RefuseReasoning:
		return errors.New("it has reasoning, and split.reasoning is refuse")
	}
	return nil
}

// arguments names those that were given by position and drops those that only pad a merged
// table. changed: some were.
func (t *turns) arguments(calls []toolcall.Call, tools []toolcall.Tool, benchmark bool) ([]toolcall.Call, bool, error) {
	calls, bound, err := toolcall.Bind(calls, tools)
	if err != nil || benchmark {
		return calls, bound > 0, err
	}
	t.noted.positional += bound
	padding := 0
	for i, call := range calls {
		at := slices.IndexFunc(tools, func(tool toolcall.Tool) bool { return tool.Name == call.Name })
		if at < 0 {
			continue // check says so
		}
		trimmed, n := tools[at].WithoutPadding(call)
		if n > 0 {
			calls = slices.Clone(calls)
			calls[i] = trimmed
			padding += n
		}
	}
	t.noted.padding += padding
	return calls, bound+padding > 0, nil
}
