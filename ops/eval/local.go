package eval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"itool/schemas/toolcall"
	"itool/stages/policy"
)

// Local answers with a policy in this process. Run its batcher in a goroutine.
type Local struct {
	p         *policy.Policy
	batcher   *policy.Batcher
	calls     toolcall.Format // that the chat template asks for
	maxTokens int
}

// AtOnce is the number of questions that Local answers in one batch.
const AtOnce = 32

// NewLocal answers greedily, with at most maxTokens tokens.
func NewLocal(p *policy.Policy, maxTokens int) *Local {
	return &Local{p, policy.NewBatcher(p, 2*AtOnce, 0), toolcall.FormatOfTemplate(p.Template()), maxTokens}
}

// Run computes until ctx ends.
func (l *Local) Run(ctx context.Context) { l.batcher.Run(ctx) }

// Answer implements Model. A prompt that leaves no room for an answer is an answer with an error.
func (l *Local) Answer(ctx context.Context, c *Case) (Answer, error) {
	var messages []policy.Message
	if err := json.Unmarshal([]byte(c.Example.Messages), &messages); err != nil {
		return Answer{}, fmt.Errorf("messages: %w", err)
	}
	prompt, err := l.p.Prompt(messages, json.RawMessage(c.Example.Tools))
	if err != nil {
		refused := Answer{Result: "", Error: "the chat template refuses it: " + err.Error()}
		return refused, nil //nolint:nilerr // the case's fault
	}
	a := Answer{Result: "", PromptTokens: len(prompt)}
	s, err := l.batcher.Start(ctx, prompt, policy.Request{MaxTokens: l.maxTokens}, 0)
	if errors.Is(err, policy.ErrTooLong) {
		a.Error = err.Error()
		return a, nil
	}
	if err != nil {
		return a, err
	}
	var ids []int32
	for {
		t, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return a, err
		}
		ids = append(ids, t.ID)
	}
	a.Result, a.Tokens, a.Cut = l.p.Text(ids), len(ids), s.Reason() == policy.ReasonLength
	if l.calls != toolcall.Pythonic {
		a.Result = pythonic(l.p.Text(ids), c.Example.Category)
	}
	return a, nil
}

var _ Model = (*Local)(nil)

// Digest stands for the weights and the chat template: with the same ones a question has the same answer.
func (l *Local) Digest() string { return l.p.TemplateHash()[:12] + l.p.Model().Fingerprint() }
