package split

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
	"itool/stages/policy"
	"itool/stages/split/format"
)

// Reason says why an assistant turn, or a row that cannot be read, was dropped.
type Reason string

const (
	BadRow      = Reason(format.BadRow)   // not the JSON that the format asks for
	BadTools    = Reason(format.BadTools) // the tools are no list of tool schemas
	NoAnswer    = Reason(format.NoAnswer) // nothing to learn
	EmptyPrompt = Reason("empty_prompt")  // no user turn with text stands before the answer
	BadAnswer   = Reason("bad_answer")    // neither calls of the tools nor prose, or it fails its benchmark's check
	BadPrompt   = Reason("bad_prompt")    // the chat template refuses the conversation
	Overlong    = Reason("overlong")      // prompt and answer exceed max_tokens or the context
	Repeated    = Reason("duplicate")     // the same prompt and answer stood in this shard before
	NotDrawn    = Reason("not_drawn")     // data_share or weights leave it out; nothing is wrong with it
	NotLearnt   = Reason("not_learnt")    // it is marked so, or split.turns leaves it out; nothing is wrong with it
)

// maxTurns bounds the assistant turns of one conversation, because every example repeats
// the turns before it.
const maxTurns = 256

// turns collects the examples of a shard.
type turns struct {
	cfg    Config
	policy *policy.Policy // nil: no tokens are made
	calls  toolcall.Format
	limit  int // most tokens of prompt and answer
	shard  schemas.Shard
	seen   map[[sha256.Size]byte]bool
	out    []schemas.Example
	long   bool  // an earlier turn of the row was too long
	noted  noted // of the row that is read

	excluded map[int][]*Exclusion // by row; nil: not looked up yet
	notes    Notes
}

// add appends a row's examples, at least one: a row without any is dropped as one.
func (t *turns) add(row format.Row) {
	t.noted = noted{unknown: row.Unknown}
	defer func() { t.notes.add(t.noted) }()
	e := schemas.Example{Source: t.shard.Name, Row: int32(row.Number), Category: row.Category}
	if row.Err != nil {
		t.drop(e, row, Reason(row.Err.Problem), row.Err)
		return
	}
	var answers []int
	for i, m := range row.Messages {
		if m.Role == "assistant" {
			answers = append(answers, i)
		}
	}
	if row.OnlyAsked {
		t.onlyAsked(e, row)
		return
	}
	if len(answers) == 0 {
		t.drop(e, row, NoAnswer, fmt.Errorf("no assistant turn"))
		return
	}
	if len(answers) > maxTurns {
		t.drop(e, row, BadRow, fmt.Errorf("%d assistant turns, at most %d can be read: cut the conversation",
			len(answers), maxTurns))
		return
	}
	tools, err := t.tools(&e, row.Tools)
	group := groupOf(row.Tools, row.Messages) // as the data has it: no format moves a row to another part
	if err != nil {
		for n := range answers {
			e.Turn = int32(n)
			t.drop(e, row, BadTools, err)
		}
		return
	}
	t.rest(e, row, answers, tools, group)
}

// rest makes the examples of a row whose tools are known.
func (t *turns) rest(e schemas.Example, row format.Row, answers []int, tools []toolcall.Tool, group string) {
	written, shown := t.answers(row, tools), t.shown(row.Messages)
	var broken error // what is wrong with the turns so far
	for n, i := range answers {
		e, m, s := e, row.Messages[i], written[i]
		e.Turn, e.Reference = int32(n), s.text
		shown[i].Content = s.text
		if i == len(row.Messages)-1 {
			e.Acceptable = string(row.Acceptable)
		}
		var reason Reason
		var why error
		excluded := t.exclusion(row.Number, n, row.Messages[:i])
		switch {
		case excluded != nil:
			reason, why = Excluded, excluded.why()
		case m.Context:
			reason, why = NotLearnt,
				errors.New("it is marked not to be learnt, or stands before the one answer that is asked for")
		case t.cfg.Turns == LastTurn && n < len(answers)-1:
			reason, why = NotLearnt, errors.New("split.turns is last")
		case broken != nil && s.reason == "":
			reason, why = BadPrompt, broken
		default:
			reason, why = t.turn(&e, s, shown[:i], tools)
		}
		if s.lost && broken == nil {
			broken = fmt.Errorf("an earlier turn, %d, cannot be shown: %w", n, s.err)
		} else if reason == Overlong && broken == nil {
			t.long = true
		}
		if reason != "" {
			t.drop(e, row, reason, why)
			continue
		}
		t.place(e, row, group)
	}
	t.long = false
}

// place puts an example into its part.
func (t *turns) place(e schemas.Example, row format.Row, group string) {
	e.Part = t.cfg.part(t.shard.Name, group)
	identity := e.Messages + "\n" + e.Tools + "\n" + e.Reference
	if e.Part != schemas.PartTrain {
		t.append(e)
		return
	}
	if err := t.train(e, identity); err != nil {
		t.drop(e, row, NotDrawn, err)
	}
}

// train appends a training example as often as it is drawn, each copy with a draw of its own
// for the replay buffer. An error says which setting leaves it out.
func (t *turns) train(e schemas.Example, identity string) error {
	if !t.cfg.drawn(identity) {
		return fmt.Errorf("split.data_share %g leaves it out", t.cfg.DataShare)
	}
	copies := t.cfg.copies(t.shard.Name, identity)
	if copies == 0 {
		return fmt.Errorf("split.weights %g leaves it out", t.cfg.Weights[t.shard.Name])
	}
	for n := range copies {
		if n > 0 {
			identity += "\x00again"
		}
		e.Replay = t.cfg.replay(identity)
		t.append(e)
	}
	return nil
}

func (t *turns) tools(e *schemas.Example, raw json.RawMessage) ([]toolcall.Tool, error) {
	if len(raw) == 0 {
		raw = json.RawMessage("[]")
	}
	raw, padding := withoutPadding(raw)
	t.noted.properties = padding
	tools, err := toolcall.ParseTools(raw)
	if err != nil {
		return nil, err
	}
	for _, tool := range tools {
		t.noted.unchecked = append(t.noted.unchecked, tool.Unchecked...)
	}
	text, characters, err := serialise(raw)
	e.Tools, e.Candidates, e.ToolChars = text, int32(len(tools)), int32(characters)
	return tools, err
}

// message is a turn as a prompt shows it, and as Example.Messages holds it.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// shown returns the turns for prompts; those of the assistant are filled in later.
func (t *turns) shown(messages []format.Message) []message {
	out := make([]message, len(messages))
	for i, m := range messages {
		out[i] = message{m.Role, m.Content}
		if m.Role != "system" {
			continue
		}
		text, replaced := t.dictated(m.Content)
		out[i].Content = text
		t.noted.passage = t.noted.passage || replaced
	}
	return out
}

// turn fills in one example, or says why it is dropped. Cheap checks come first.
func (t *turns) turn(e *schemas.Example, s said, before []message, tools []toolcall.Tool) (Reason, error) {
	if s.reason == NoAnswer {
		return s.reason, s.err
	}
	if !asked(before) {
		return EmptyPrompt, fmt.Errorf("no user turn with text stands before the answer")
	}
	if s.reason != "" {
		return s.reason, s.err
	}
	calls := s.calls
	if err := checkCalls(e, calls, tools); err != nil {
		return BadAnswer, err
	}
	e.Calls = int32(len(calls))
	e.Difficulty = Grade(int(e.Candidates), int(e.ToolChars), int(e.Calls))
	if t.long {
		return Overlong, fmt.Errorf("an earlier turn of the conversation is too long already")
	}
	messages, err := json.Marshal(before)
	if err != nil {
		return BadRow, err
	}
	e.Messages = string(messages)
	key := sha256.Sum256([]byte(e.Messages + "\n" + e.Tools + "\n" + e.Reference))
	if t.seen[key] {
		return Repeated, fmt.Errorf("the same prompt and answer stood in this shard before")
	}
	t.seen[key] = true
	return t.tokens(e, before)
}

func (t *turns) tokens(e *schemas.Example, before []message) (Reason, error) {
	if t.policy == nil {
		return "", nil
	}
	prompt := make([]policy.Message, len(before))
	for i, m := range before {
		prompt[i] = policy.Message{Role: m.Role, Content: m.Content}
	}
	ids, err := t.policy.Prompt(prompt, json.RawMessage(e.Tools))
	if err != nil {
		return BadPrompt, err
	}
	if begun := t.policy.Text(ids[max(0, len(ids)-8):]); strings.HasPrefix(e.Reference, "<think>") &&
		strings.HasSuffix(strings.TrimSpace(begun), "</think>") {
		return BadPrompt, fmt.Errorf("the chat template begins answers behind a thought of its own, and this answer " +
			"has one: set split.reasoning to drop")
	}
	e.PromptIDs, e.AnswerIDs = ids, t.policy.Answer(e.Reference)
	e.Template = t.policy.TemplateHash()
	if n := len(e.PromptIDs) + len(e.AnswerIDs); n > t.limit {
		return Overlong, fmt.Errorf("%d tokens of prompt and answer, %d are the most", n, t.limit)
	}
	return "", nil
}

func asked(before []message) bool {
	for _, m := range before {
		if m.Role == "user" && strings.TrimSpace(m.Content) != "" {
			return true
		}
	}
	return false
}

// checkCalls wants calls of the given tools. No other answer could be judged right. A
// benchmark's reference must also pass the benchmark's own check. Arguments are not checked
// against the tool's schema, because some references, also of ToolACE, break it and are still
// what is wanted.
func checkCalls(e *schemas.Example, calls []toolcall.Call, tools []toolcall.Tool) error {
	if len(calls) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, tool := range tools {
		known[tool.Name] = true
	}
	if e.Acceptable == "" {
		for _, call := range calls {
			if !known[call.Name] {
				return fmt.Errorf("it calls %q, which is none of the %d tools", call.Name, len(tools))
			}
		}
		return nil
	}
	want, err := bfcl.ParseExpected(json.RawMessage(e.Acceptable))
	if err != nil {
		return err
	}
	if m := bfcl.Check(calls, tools, want, bfcl.RuleOf(e.Category)); m != nil {
		return fmt.Errorf("the benchmark's own answer fails its check: %s", m)
	}
	return nil
}

// drop keeps the row with its reason, but without its long fields: a dropped row is for
// people, and they have the file.
func (t *turns) drop(e schemas.Example, row format.Row, reason Reason, why error) {
	e.Part, e.Reason = schemas.PartDropped, string(reason)
	detail := why.Error()
	if row.Err == nil {
		detail = fmt.Sprintf("%s: turn %d: %s", format.Place(row.Number, row.Line), e.Turn, detail)
	}
	e.Detail = cut(t.shard.Name+": "+detail, 500)
	e.Reference = cut(e.Reference, 500)
	e.Messages, e.Tools, e.Acceptable, e.PromptIDs, e.AnswerIDs, e.Template = "", "", "", nil, nil, ""
	t.append(e)
}

func (t *turns) append(e schemas.Example) {
	e.ID = fmt.Sprintf("%s-%05d", t.shard.Key, len(t.out))
	t.out = append(t.out, e)
}

func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "…"
	}
	return strings.ToValidUTF8(s, "")
}
