package split

import (
	"encoding/json"
	"fmt"

	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
	"itool/stages/split/format"
)

// onlyAsked makes the example of a benchmark's row that has no answer to learn: it is a test
// example, also where its file is said to be something else, and its reference is empty. Such
// rows are not compared with each other, because a benchmark counts each of them.
func (t *turns) onlyAsked(e schemas.Example, row format.Row) {
	tools, err := t.tools(&e, row.Tools)
	if err != nil {
		t.drop(e, row, BadTools, err)
		return
	}
	shown := t.shown(row.Messages)
	for i, s := range t.answers(row, tools) {
		if row.Messages[i].Role == "assistant" {
			shown[i].Content = s.text
		}
	}
	if reason, err := t.ask(&e, row, shown, tools); reason != "" {
		t.drop(e, row, reason, err)
		return
	}
	e.Part = schemas.PartTest
	t.append(e)
}

// ask fills in an example without a reference, or says why it is dropped.
func (t *turns) ask(e *schemas.Example, row format.Row, shown []message, tools []toolcall.Tool) (Reason, error) {
	if !asked(shown) {
		return EmptyPrompt, fmt.Errorf("no user turn with text")
	}
	if len(row.Acceptable) > 0 {
		want, err := bfcl.ParseExpected(row.Acceptable)
		if err != nil {
			return BadAnswer, err
		}
		if len(want) == 0 {
			return NoAnswer, fmt.Errorf("the possible answers have no call")
		}
		e.Acceptable, e.Calls = string(row.Acceptable), int32(len(want))
	}
	messages, err := json.Marshal(shown)
	if err != nil {
		return BadRow, err
	}
	e.Messages = string(messages)
	e.Difficulty = Grade(len(tools), int(e.ToolChars), int(e.Calls))
	reason, err := t.tokens(e, shown)
	e.AnswerIDs = nil // of the empty reference
	return reason, err
}
