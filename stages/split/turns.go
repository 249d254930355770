package split

import (
	"crypto/sha256"
	"encoding/json"
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
)

// maxTurns bounds the assistant turns of one conversation, because every example repeats
// the turns before it.
const maxTurns = 256

// turns collects the examples of a shard.
type turns struct {
	cfg    Config
	policy *policy.Policy
	calls  toolcall.Format
	limit  int // most tokens of prompt and answer
	shard  schemas.Shard
	seen   map[[sha256.Size]byte]bool
	out    []schemas.Example
}

// add appends a row's examples, at least one: a row without any is dropped as one.
func (t *turns) add(row format.Row) {
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
	t.rewrite(row.Messages)
	tooLong := false
	for n, i := range answers {
		e := e
		e.Turn = int32(n)
		if err != nil {
			t.drop(e, row, BadTools, err)
			continue
		}
		if i == len(row.Messages)-1 {
			e.Acceptable = string(row.Acceptable)
		}
		e.Reference = row.Messages[i].Content
		reason, why := t.turn(&e, row.Messages[:i], tools, tooLong)
		if tooLong = tooLong || reason == Overlong; reason != "" {
			t.drop(e, row, reason, why)
			continue
		}
		e.Part = string(t.cfg.part(t.shard.Name, group))
		identity := e.Messages + "\n" + e.Tools + "\n" + e.Reference
		if e.Part != schemas.PartTrain {
			t.append(e)
			continue
		}
		if err := t.train(e, identity); err != nil {
			t.drop(e, row, NotDrawn, err)
		}
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
	tools, err := toolcall.ParseTools(raw)
	if err != nil {
		return nil, err
	}
	text, characters, err := serialise(raw)
	e.Tools, e.Candidates, e.ToolChars = text, int32(len(tools)), int32(characters)
	return tools, err
}

// rewrite writes the calls of the assistant's turns in the model's format. A turn that does
// not parse, or that the format cannot express, stays as it is. If it is to be learned,
// turn says what is wrong with it.
func (t *turns) rewrite(messages []format.Message) {
	for i, m := range messages {
		if m.Role != "assistant" || toolcall.FormatOf(m.Content) == t.calls {
			continue
		}
		calls, err := readCalls(m.Content)
		if err != nil || len(calls) == 0 {
			continue
		}
		text := t.calls.Print(calls)
		if back, err := t.calls.Read(text); err == nil && t.calls.Print(back) == text {
			messages[i].Content = text
		}
	}
}

// readCalls reads calls in any of the formats.
func readCalls(text string) ([]toolcall.Call, error) {
	if f := toolcall.FormatOf(text); f != toolcall.Pythonic {
		return f.Read(text)
	}
	return toolcall.Parse(text)
}

// turn fills in one example, or says why it is dropped. Cheap checks come first.
func (t *turns) turn(e *schemas.Example, before []format.Message, tools []toolcall.Tool, tooLong bool) (Reason, error) {
	if strings.TrimSpace(e.Reference) == "" {
		return NoAnswer, fmt.Errorf("the answer is empty")
	}
	if !asked(before) {
		return EmptyPrompt, fmt.Errorf("no user turn with text stands before the answer")
	}
	calls, err := checkAnswer(e, tools)
	if err != nil {
		return BadAnswer, err
	}
	if f := toolcall.FormatOf(e.Reference); len(calls) > 0 && f != t.calls {
		return BadAnswer, fmt.Errorf("its calls cannot be written as %s: "+
			"an infinite number, or a key that is not a text", t.calls)
	}
	e.Calls = int32(len(calls))
	e.Difficulty = Grade(int(e.Candidates), int(e.ToolChars), int(e.Calls))
	if tooLong {
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

func (t *turns) tokens(e *schemas.Example, before []format.Message) (Reason, error) {
	prompt := make([]policy.Message, len(before))
	for i, m := range before {
		prompt[i] = policy.Message{Role: m.Role, Content: m.Content}
	}
	ids, err := t.policy.Prompt(prompt, json.RawMessage(e.Tools))
	if err != nil {
		return BadPrompt, err
	}
	e.PromptIDs, e.AnswerIDs = ids, t.policy.Answer(e.Reference)
	e.Template = t.policy.TemplateHash()
	if n := len(e.PromptIDs) + len(e.AnswerIDs); n > t.limit {
		return Overlong, fmt.Errorf("%d tokens of prompt and answer, %d are the most", n, t.limit)
	}
	return "", nil
}

func asked(before []format.Message) bool {
	for _, m := range before {
		if m.Role == "user" && strings.TrimSpace(m.Content) != "" {
			return true
		}
	}
	return false
}

// checkAnswer reads the reference: calls of the given tools, or prose without a call. No
// other answer could be judged right. A benchmark's reference must also pass the
// benchmark's own check. Arguments are not checked against the tool's schema, because
// some references, also of ToolACE, break it and are still what is wanted.
func checkAnswer(e *schemas.Example, tools []toolcall.Tool) ([]toolcall.Call, error) {
	calls, err := readCalls(e.Reference)
	if err != nil {
		if toolcall.IsProse(e.Reference) {
			return nil, nil
		}
		return nil, fmt.Errorf("neither calls nor prose without a call: %w", err)
	}
	if len(calls) == 0 {
		return nil, fmt.Errorf("a list of no calls: write prose where no call is wanted")
	}
	known := map[string]bool{}
	for _, tool := range tools {
		known[tool.Name] = true
	}
	if e.Acceptable == "" {
		for _, call := range calls {
			if !known[call.Name] {
				return nil, fmt.Errorf("it calls %q, which is none of the %d tools", call.Name, len(tools))
			}
		}
		return calls, nil
	}
	want, err := bfcl.ParseExpected(json.RawMessage(e.Acceptable))
	if err != nil {
		return nil, err
	}
	if m := bfcl.Check(calls, tools, want, bfcl.RuleOf(e.Category)); m != nil {
		return nil, fmt.Errorf("the benchmark's own answer fails its check: %s", m)
	}
	return calls, nil
}

// drop keeps the row with its reason, but without its long fields: a dropped row is for
// people, and they have the file.
func (t *turns) drop(e schemas.Example, row format.Row, reason Reason, why error) {
	e.Part, e.Reason = schemas.PartDropped, string(reason)
	detail := why.Error()
	if row.Err == nil {
		detail = fmt.Sprintf("row %d (line %d): turn %d: %s", row.Number, row.Line, e.Turn, detail)
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
