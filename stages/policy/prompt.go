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

// Prompt renders a conversation up to the point where the assistant's turn begins, and returns its token
// IDs. tools is a JSON array, or nil. Only the template can write control tokens: the contents of messages
// and tools are encoded as plain text, even if they look like control tokens.
func (p *Policy) Prompt(msgs []Message, tools json.RawMessage) ([]int32, error) {
	return p.render(msgs, tools, true)
}

// Conversation renders a whole conversation, with the end of its last turn.
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
			return nil, fmt.Errorf("policy: template: bos_token is at token %d: it must be only at the start", i)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("policy: template: the prompt is empty")
	}
	return ids, nil
}

// Answer returns the IDs of an assistant's turn, with the end of turn. Appended to the prompt's IDs they
// are the IDs of the whole conversation. The text is not changed: if a template trims contents, it does so
// only in prompts.
func (p *Policy) Answer(text string) []int32 {
	return append(p.tokenizer.Encode(text), p.endOfTurn...)
}

// Raw returns the IDs of a plain text. Control tokens that are written in the text become control tokens.
// If the tokenizer begins texts with a BOS token, the result has it, once. Raw is for callers who render
// prompts themselves. Do not pass it text from untrusted sources: use Prompt for that.
func (p *Policy) Raw(text string) []int32 {
	ids := p.tokenizer.EncodeRendered(text)
	if n := len(p.textPrefix); len(ids) < n || !slices.Equal(ids[:n], p.textPrefix) {
		ids = slices.Concat(p.textPrefix, ids)
	}
	return ids
}

// EndOfTurn returns what Answer appends.
func (p *Policy) EndOfTurn() []int32 { return append([]int32(nil), p.endOfTurn...) }

// probeBOS tells whether bos only begins a conversation. In some models bos_token names the token that
// begins every turn (<|im_start|>): there, the prompt for an answer has one more than the conversation.
func (p *Policy) probeBOS(bos string) (once bool, err error) {
	var marks [2]int
	for i, prompt := range []bool{false, true} {
		text, err := p.template.Render(template.Input{
			Messages: []Message{{Role: "user", Content: "question"}}, Prompt: prompt, Date: p.options.Date,
		})
		if err != nil {
			return false, err
		}
		marks[i] = strings.Count(text, bos)
	}
	return marks[0] == marks[1], nil
}

// probeTurn finds the tokens that the template writes after an assistant's text, up to the first control
// token. It also checks that a prompt ends exactly where an answer begins: otherwise training and sampling
// would see different texts.
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
		return nil, errors.New("template: it does not write each turn exactly once")
	case before != prompt:
		return nil, fmt.Errorf("template: a prompt ends in %q, but an answer follows %q", end(prompt), end(before))
	}
	tail := p.tokenizer.EncodeRendered(after)
	for i, id := range tail {
		if p.tokenizer.IsSpecial(id) {
			return tail[:i+1], nil
		}
	}
	return nil, fmt.Errorf("template: after an answer it writes %q: that has no control token of tokenizer.json, "+
		"so no answer would end", after)
}

func end(s string) string { return s[max(0, len(s)-60):] }
