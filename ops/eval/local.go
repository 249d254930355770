package eval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/stages/evaluate/converse"
	"itool/stages/policy"
)

// Local answers with a policy in this process. Run its batcher in a goroutine.
type Local struct {
	p         *policy.Policy
	batcher   *policy.Batcher
	calls     toolcall.Format // in which the model writes its calls
	maxTokens int
}

// LocalAtOnce is what Local answers in one batch. Conversations with the same tools share most of their prompts of
// thousands of tokens. More of them at once would push each other's turns out of the KV cache, and each step would
// compute them again.
var LocalAtOnce = AtOnce{Questions: 32, Conversations: 16}

// localCache is the size in bytes of Local's KV cache.
const localCache = 2 << 30

// NewLocal answers greedily, with at most maxTokens tokens. calls is the format in which p writes its calls.
func NewLocal(p *policy.Policy, calls toolcall.Format, maxTokens int) *Local {
	return &Local{p, policy.NewBatcher(p, 2*LocalAtOnce.Questions, p.TokensIn(localCache)), calls, maxTokens}
}

// WantTools tells whether a question of the files has tools.
func WantTools(files []File) bool {
	return slices.ContainsFunc(files, func(f File) bool {
		return slices.ContainsFunc(f.Cases, func(c Case) bool {
			return c.Entry != nil || !slices.Contains([]string{"", "[]"}, c.Example.Tools)
		})
	})
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
	drawn, err := l.draw(ctx, prompt)
	if errors.Is(err, policy.ErrTooLong) {
		a.Error = err.Error()
		return a, nil
	}
	a.Result, a.Tokens, a.Cut = l.inNotation(drawn.Text, c.Example.Category), drawn.Tokens, drawn.Cut
	return a, err
}

// draw answers a prompt.
func (l *Local) draw(ctx context.Context, prompt []int32) (converse.Answer, error) {
	s, err := l.batcher.Start(ctx, prompt, policy.Request{MaxTokens: l.maxTokens}, 0)
	if err != nil {
		return converse.Answer{}, err
	}
	var ids []int32
	for {
		t, err := s.Next()
		if errors.Is(err, io.EOF) {
			cut := s.Reason() == policy.ReasonLength
			return converse.Answer{Text: l.p.Text(ids), PromptTokens: len(prompt), Tokens: len(ids), Cut: cut}, nil
		}
		if err != nil {
			return converse.Answer{}, err
		}
		ids = append(ids, t.ID)
	}
}

// Step implements Model. What a conversation begins with is computed once: a step does not compute the steps
// before it again, as long as the cache has room for them.
func (l *Local) Step(ctx context.Context, r multiturn.Request) (converse.Answer, error) {
	messages := make([]policy.Message, len(r.Messages))
	for i, m := range r.Messages {
		messages[i] = policy.Message{Role: m.Role, Content: m.Content}
	}
	prompt, err := l.p.Prompt(messages, r.Tools)
	if err != nil {
		return converse.Answer{}, converse.Unanswerable("the chat template refuses it: " + err.Error())
	}
	a, err := l.draw(ctx, prompt)
	if errors.Is(err, policy.ErrTooLong) {
		err = converse.Unanswerable(err.Error())
	}
	return a, err
}

// Pythonic implements Model.
func (l *Local) Pythonic(text string) string { return l.inNotation(text, "") }

// inNotation writes an answer as the benchmark wants it. What a model that is told to answer so says otherwise
// stays.
func (l *Local) inNotation(text, category string) string {
	if l.calls == toolcall.Pythonic {
		return text
	}
	return pythonic(text, category)
}

var _ Model = (*Local)(nil)

// Digest stands for the weights, the chat template and, if the template asks for another one, the format of calls: with
// the same ones a question has the same answer.
func (l *Local) Digest() string {
	digest := l.p.TemplateHash()[:12] + l.p.Model().Fingerprint()
	if l.calls != toolcall.FormatOfTemplate(l.p.Template()) {
		digest += string(l.calls)
	}
	return digest
}
