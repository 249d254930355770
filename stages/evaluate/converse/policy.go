package converse

import (
	"context"
	"errors"
	"fmt"
	"io"

	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/stages/policy"
)

// Policy is a Model that runs in this process. Conversations decode in one batch, and what they
// begin with is computed once: a step does not compute the steps before it again.
type Policy struct {
	policy    *policy.Policy
	batcher   *policy.Batcher
	maxTokens int
	cancel    func()
	ended     chan struct{}
}

// NewPolicy starts a policy that answers greedily with at most maxTokens tokens. requests is how
// many conversations it leads at once. The caller must Close it.
func NewPolicy(p *policy.Policy, maxTokens, requests int) *Policy {
	ctx, cancel := context.WithCancel(context.Background())
	m := &Policy{
		policy: p, batcher: policy.NewBatcher(p, max(1, requests), 0), maxTokens: maxTokens,
		cancel: cancel, ended: make(chan struct{}),
	}
	go func() {
		defer close(m.ended)
		m.batcher.Run(ctx)
	}()
	return m
}

// Close stops the policy. Answers that are not complete end with an error.
func (m *Policy) Close() {
	m.cancel()
	<-m.ended
}

// Answer implements Model. A chat template that refuses the conversation is an error.
func (m *Policy) Answer(ctx context.Context, r multiturn.Request) (string, int, error) {
	messages := make([]policy.Message, len(r.Messages))
	for i, msg := range r.Messages {
		messages[i] = policy.Message{Role: msg.Role, Content: msg.Content}
	}
	prompt, err := m.policy.Prompt(messages, r.Tools)
	if err != nil {
		return "", 0, fmt.Errorf("the chat template refuses the conversation: %w", err)
	}
	if len(prompt) >= m.policy.ContextLength() {
		return "", 0, ErrContext
	}
	stream, err := m.batcher.Start(ctx, prompt, policy.Request{MaxTokens: m.maxTokens}, 0)
	if errors.Is(err, policy.ErrTooLong) {
		return "", 0, ErrContext
	}
	if err != nil {
		return "", 0, err
	}
	var ids []int32
	for {
		token, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return m.policy.Text(ids), len(ids), nil
		}
		if err != nil {
			return "", 0, err
		}
		ids = append(ids, token.ID)
	}
}

var _ Model = (*Policy)(nil)
