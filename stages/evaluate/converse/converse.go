// Package converse leads a model through a multi-turn entry of BFCL.
//
// An entry and a Model go in, what the model said comes out. The conversation is BFCL's: see
// multiturn.Session for turns, steps, their limit and the functions that are added. Protocol says what
// differs from BFCL's own prompts.
//
// The package reads no files and judges nothing: see multiturn.Check.
//
//	result, err := converse.Lead(ctx, model, entry, multiturn.SessionOptions{Docs: docs})
package converse

import (
	"context"
	"errors"

	"itool/schemas/toolcall/bfcl/multiturn"
)

// Protocol is for people who read the scores beside others.
const Protocol = "multi-turn: tools, calls and results stand where the model's chat template or endpoint puts " +
	"them, not in BFCL's own prompt; added functions join the tools, with BFCL's sentence; each result is a " +
	"message of the tool; answers are greedy; at most 20 steps of calls a turn; an entry that outgrows the " +
	"context is wrong"

// Model continues conversations.
type Model interface {
	// Step returns one answer. An error that is Unanswerable is one of this conversation.
	Step(ctx context.Context, r multiturn.Request) (Answer, error)
}

// Answer is one step of a conversation.
type Answer struct {
	Text         string
	PromptTokens int
	Tokens       int
	Cut          bool // it reached the length limit
}

// Unanswerable says why a model cannot answer a conversation: it is too long, or the chat template
// refuses it. BFCL counts its entry as wrong.
type Unanswerable string

func (u Unanswerable) Error() string { return string(u) }

// Result is one conversation.
type Result struct {
	Turns        [][]string // the model's raw texts by turn and step, as in BFCL's result files
	PromptTokens int        // of all steps
	Tokens       int        // of all answers
	Cut          bool       // an answer reached the length limit
	Forced       bool       // a turn had too many steps
	Stopped      string     // why the model did not answer to the end; "" if it did
}

// Lead leads one conversation to its end. An error is that of the entry, of its descriptions, or of
// the model.
func Lead(ctx context.Context, m Model, e *multiturn.Entry, o multiturn.SessionOptions) (Result, error) {
	var result Result
	s, err := multiturn.NewSession(e, o)
	if err != nil {
		return result, err
	}
	for request, more := s.Next(); more; request, more = s.Next() {
		a, err := m.Step(ctx, request)
		var u Unanswerable
		if errors.As(err, &u) {
			result.Stopped = string(u)
			break
		}
		if err != nil {
			return result, err
		}
		result.PromptTokens += a.PromptTokens
		result.Tokens += a.Tokens
		result.Cut = result.Cut || a.Cut
		if err := s.Answer(a.Text); err != nil {
			return result, err
		}
	}
	result.Turns, result.Forced = s.Turns(), s.Forced()
	return result, nil
}
