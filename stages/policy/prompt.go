package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"itool/stages/policy/template"
)

// Message is one turn: Role (system, user, assistant, tool) and Content.
type Message = template.Message

// Prompt renders a conversation up to where the assistant's turn begins. tools is
// a JSON array, or nil. Control tokens come from the template alone: what messages
// and tools hold is text, whatever it looks like.
func (p *Policy) Prompt(msgs []Message, tools json.RawMessage) ([]int32, error) {
	return p.render(msgs, tools, true)
}

// Conversation renders a conversation as a whole, the last turn closed.
func (p *Policy) Conversation(msgs []Message, tools json.RawMessage) ([]int32, error) {
	return p.render(msgs, tools, false)
}

func (p *Policy) render(msgs []Message, tools json.RawMessage, prompt bool) ([]int32, error) {
	text, err := p.template.Render(template.Input{
		Messages: msgs, Tools: tools, Prompt: prompt, Date: p.options.Date, Content: p.tokenizer.Shield,
	})
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	ids := p.tokenizer.EncodeShielded(text)
	for i, id := range ids {
		if p.bosOnce && id == p.bos && i > 0 {
			return nil, fmt.Errorf("policy: template: bos_token stands at token %d: it belongs at the start, and once", i)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("policy: template: the prompt is empty")
	}
	return ids, nil
}

// Answer returns the IDs of an assistant's turn, end of turn included: after the
// prompt's IDs they are what the template makes of the whole conversation. The
// text is taken as it is; a template that trims does so to prompts.
func (p *Policy) Answer(text string) []int32 {
	return append(p.tokenizer.Encode(text), p.endOfTurn...)
}

// Raw returns the IDs of a text that is no conversation: control tokens that are
// written in it count, and where the tokenizer puts a BOS token before texts, it
// stands there, once. It is for those who render by themselves; what strangers wrote
// belongs into Prompt.
func (p *Policy) Raw(text string) []int32 {
	ids := p.tokenizer.EncodeRendered(text)
	if n := len(p.textPrefix); len(ids) < n || !slices.Equal(ids[:n], p.textPrefix) {
		ids = slices.Concat(p.textPrefix, ids)
	}
	return ids
}

// EndOfTurn returns what Answer appends.
func (p *Policy) EndOfTurn() []int32 { return append([]int32(nil), p.endOfTurn...) }

// probeBOS tells whether bos begins a conversation. Where it opens the turn of an answer
// as well, it is a mark of turns (<|im_start|>) that bos_token names besides.
func (p *Policy) probeBOS(bos string) (once bool, err error) {
	var marks [2]int
	for i, prompt := range []bool{false, true} {
		text, err := p.template.Render(template.Input{Messages: []Message{{Role: "user", Content: "question"}}, Prompt: prompt, Date: p.options.Date})
		if err != nil {
			return false, err
		}
		marks[i] = strings.Count(text, bos)
	}
	return marks[0] == marks[1], nil
}

// probeTurn finds out what the template writes after an assistant's words, up to
// the first control token, and checks that prompts end exactly where answers
// begin: else training and sampling would see different texts.
func (p *Policy) probeTurn() ([]int32, error) {
	const question, answer = "question 5f1c", "answer 7be2"
	msgs := []Message{{Role: "user", Content: question}, {Role: "assistant", Content: answer}}
	whole, err := p.template.Render(template.Input{Messages: msgs, Date: p.options.Date})
	if err != nil {
		return nil, err
	}
	prompt, err := p.template.Render(template.Input{Messages: msgs[:1], Prompt: true, Date: p.options.Date})
	if err != nil {
		return nil, err
	}
	before, after, found := strings.Cut(whole, answer)
	switch {
	case !found || strings.Contains(after, answer) || !strings.Contains(before, question):
		return nil, errors.New("template: it does not write each turn once")
	case before != prompt:
		return nil, fmt.Errorf("template: a prompt ends in %q, but an answer stands behind %q", end(prompt), end(before))
	}
	tail := p.tokenizer.EncodeRendered(after)
	for i, id := range tail {
		if p.tokenizer.IsSpecial(id) {
			return tail[:i+1], nil
		}
	}
	return nil, fmt.Errorf("template: behind an answer stands %q: no control token of tokenizer.json, so no answer would end", after)
}

func end(s string) string { return s[max(0, len(s)-60):] }
