// Package policy is the engine: a language model that renders conversations, draws
// answers and scores them. It works on token IDs; text is for people.
//
// It knows no broker, no storage and no record: a policy is a folder in Hugging
// Face format (fs.FS), with a PEFT adapter in it or not. Training is in policy/train.
//
//	p, err := policy.Open(os.DirFS(dir), policy.Options{})
//	prompt, err := p.Prompt(messages, tools)
//	logps, err := p.LogProbs(ctx, []policy.Sequence{{prompt, p.Answer("Oslo")}})
//
// text → tokens (prompt.go) → model on a device (forward.go) → log-probabilities
// (logprobs.go), or → one tree of continuations (session.go), or → many answers
// (generate.go).
package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/model"
	"itool/stages/policy/template"
	"itool/stages/policy/tokenizer"
)

// ErrTooLong: a prompt, or a prompt with its answer, does not fit into the context.
var ErrTooLong = errors.New("longer than the model's context")

// ErrFull: a session has no room for another token.
var ErrFull = errors.New("session is full")

// Options choose where and how a policy runs.
type Options struct {
	Device kernel.Device // nil: the best of this machine's CPU
	Date   string        // for chat templates that print one; empty: the template's own default
	// SessionTokens bounds a session's cache, all branches together; 0: 16 contexts,
	// or what 4 GiB hold, but one context at least.
	SessionTokens int
	Form          model.Form // how weights are kept; empty: as their size asks for
}

// Policy is read-only; many goroutines may use one.
type Policy struct {
	model      *model.Model
	tokenizer  *tokenizer.Tokenizer
	template   *template.Template
	options    Options
	bos        int32          // -1: the template names none
	bosOnce    bool           // bos begins a conversation; else it may open every turn
	textPrefix []int32        // what the tokenizer puts before a text that is no conversation
	endOfTurn  []int32        // what closes an assistant's turn, control token last
	ends       map[int32]bool // any of them ends an answer

	generation Generation

	forwards sync.Pool       // *forward: the buffers of calls gone by
	batch    continuousBatch // of the sessions that draw
}

// Open reads config.json, the weights, the adapter if there is one, tokenizer.json
// and the chat template, and checks that they belong together. Errors name file
// and field.
func Open(fsys fs.FS, opt Options) (*Policy, error) {
	p := &Policy{options: opt}
	if err := p.open(fsys); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return p, nil
}

func (p *Policy) open(fsys fs.FS) (err error) {
	if p.options.Device == nil {
		if p.options.Device, err = cpu.New(cpu.Options{}); err != nil {
			return err
		}
	}
	// The small files first: their errors should not wait for gigabytes.
	if p.tokenizer, err = tokenizer.Open(fsys); err != nil {
		return err
	}
	if p.template, err = template.Open(fsys); err != nil {
		return err
	}
	if p.model, err = model.OpenAs(fsys, p.options.Device, p.options.Form); err != nil {
		return err
	}
	if n := p.tokenizer.Size(); n > p.model.VocabSize {
		return fmt.Errorf("%s: ids up to %d, but the embedding has %d rows (vocab_size in config.json): it is the tokenizer of another model", tokenizer.File, n-1, p.model.VocabSize)
	}
	p.batch.separate = 4*int64(p.model.Parameters()) < processorCacheBytes
	if p.options.SessionTokens <= 0 {
		p.options.SessionTokens = p.tokensIn(4<<30, 16*p.ContextLength())
	}
	if err := p.findBOS(fsys); err != nil {
		return err
	}
	if err := p.findEnds(fsys); err != nil {
		return err
	}
	return nil
}

// findBOS: the template writes its bos_token; without a name for it a model that
// was trained with one would silently go without.
func (p *Policy) findBOS(fsys fs.FS) error {
	p.bos = -1
	before, said := p.tokenizer.PrefixTokens()
	p.textPrefix = before
	text := p.template.BOS()
	if text == "" {
		if _, err := fs.Stat(fsys, template.ConfigFile); errors.Is(err, fs.ErrNotExist) && len(p.model.BOS) > 0 {
			return fmt.Errorf("%s is missing: config.json has a bos_token_id, and its bos_token is what the chat template writes", template.ConfigFile)
		}
		return nil
	}
	id, ok := p.tokenizer.ID(text)
	if !ok {
		return fmt.Errorf("%s: bos_token %q is not in %s", template.ConfigFile, text, tokenizer.File)
	}
	p.bos = id
	if !said && p.template.AddBOS() {
		p.textPrefix = []int32{id}
	}
	var err error
	p.bosOnce, err = p.probeBOS(text)
	return err
}

// findEnds collects all that ends an answer: what the template writes after one,
// and the eos tokens of the three files that name some.
func (p *Policy) findEnds(fsys fs.FS) error {
	var err error
	if p.endOfTurn, err = p.probeTurn(); err != nil {
		return err
	}
	p.ends = map[int32]bool{p.endOfTurn[len(p.endOfTurn)-1]: true}
	for _, id := range p.model.EOS {
		p.ends[id] = true
	}
	if text := p.template.EOS(); text != "" {
		id, ok := p.tokenizer.ID(text)
		if !ok {
			return fmt.Errorf("%s: eos_token %q is not in %s", template.ConfigFile, text, tokenizer.File)
		}
		p.ends[id] = true
	}
	if p.generation, err = readGeneration(fsys); err != nil {
		return err
	}
	for _, id := range p.generation.eos {
		if id < 0 || int(id) >= p.model.VocabSize {
			return fmt.Errorf("%s: eos_token_id: %d is not in the vocabulary of %d", generationFile, id, p.model.VocabSize)
		}
		p.ends[id] = true
	}
	return nil
}

// With is this policy with other weights of the same shape, such as those that a
// trainer holds. Tokenizer and template are shared.
func (p *Policy) With(m *model.Model) *Policy {
	return &Policy{
		batch: continuousBatch{separate: p.batch.separate},
		model: m, tokenizer: p.tokenizer, template: p.template, options: p.options,
		bos: p.bos, bosOnce: p.bosOnce, textPrefix: p.textPrefix, endOfTurn: p.endOfTurn, ends: p.ends, generation: p.generation,
	}
}

// Model returns the weights, for training and export. They are shared.
func (p *Policy) Model() *model.Model { return p.model }

// ContextLength is the most tokens of prompt and answer together.
func (p *Policy) ContextLength() int { return p.model.MaxPositions }

// tokensIn is how many tokens' keys and values fit into size bytes: most at most,
// one context at least.
func (p *Policy) tokensIn(size, most int) int {
	token := 2 * 4 * p.model.NumLayers * p.model.NumKVHeads * p.model.HeadDim // bytes
	return max(min(size/token, most), p.ContextLength())
}

// VocabSize is the number of logits of a position.
func (p *Policy) VocabSize() int { return p.model.VocabSize }

// TemplateHash is the SHA-256 of the chat template, in hexadecimal.
func (p *Policy) TemplateHash() string { return p.template.Hash() }

// Template is the text of the chat template.
func (p *Policy) Template() string { return p.template.Source() }

// Tokenizer takes the tokenizer apart, for another program to use.
func (p *Policy) Tokenizer() tokenizer.Parts { return p.tokenizer.Parts() }

// BOS is the template's bos_token, or −1. Where it stands is the template's business
// in a conversation, and the tokenizer's in a text (Raw).
func (p *Policy) BOS() int32 { return p.bos }

// IsEnd tells whether id ends an answer: end of turn, of text, or of message.
func (p *Policy) IsEnd(id int32) bool { return p.ends[id] }

// TokenBytes returns the bytes of one token, maybe part of a character. Read only.
func (p *Policy) TokenBytes(id int32) []byte { return p.tokenizer.Bytes(id) }

// Text is an answer's text for people and parsers: what ends it is left out,
// any other control token is written.
func (p *Policy) Text(ids []int32) string {
	for len(ids) > 0 && p.IsEnd(ids[len(ids)-1]) {
		ids = ids[:len(ids)-1]
	}
	return p.tokenizer.Decode(ids)
}

// checkTokens refuses IDs that are not the model's: they come from messages.
func (p *Policy) checkTokens(ids []int32) error {
	if i := slices.IndexFunc(ids, func(id int32) bool { return id < 0 || int(id) >= p.model.VocabSize }); i >= 0 {
		return fmt.Errorf("token %d: id %d is not in the vocabulary of %d", i, ids[i], p.model.VocabSize)
	}
	return nil
}
