// Package policy is the inference engine: a language model that renders conversations, draws answers and
// scores them. It works on token IDs; text is for people.
//
// It knows no broker, no storage and no record. A policy is a folder in Hugging Face format (fs.FS), with
// or without a PEFT adapter. Training is in policy/train.
//
//	p, err := policy.Open(os.DirFS(dir), policy.Options{})
//	prompt, err := p.Prompt(messages, tools)
//	logps, err := p.LogProbs(ctx, []policy.Sequence{{Prompt: prompt, Answer: p.Answer("Oslo")}})
//
// The way of a text, and the standard technique of each file:
//
//	prompt.go       text → token IDs, by the model's chat template
//	forward.go      token IDs → layers, over packed sequences or along the paths of a tree
//	logprobs.go     → log-probabilities of given answers; sequence packing
//	session.go      → a tree of continuations; tree attention over one KV cache (kvcache.go)
//	continuous.go   sessions that decode at the same time share a batch; continuous batching
//	generate.go     → one answer to each of many prompts; static batching
//	batcher.go      → answers to requests that arrive at any time, for a server; continuous batching,
//	                chunked prefill and a prefix cache (prefixcache.go)
//	engine.go       the policies of the last rounds, kept open
//	served.go       policies that another process computes for; package remote asks it
package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"sync"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/model"
	"itool/stages/policy/template"
	"itool/stages/policy/tokenizer"
)

// ErrTooLong says that a prompt, or a prompt with its answer, does not fit into the context.
var ErrTooLong = errors.New("longer than the model's context")

// ErrFull says that a session's cache has no room for another token (Options.SessionTokens).
var ErrFull = errors.New("session is full")

// Options choose where and how a policy runs.
type Options struct {
	Device kernel.Device // nil: this machine's CPU, at its best kernel level
	Date   string        // for chat templates that print one; empty: 26 Jul 2024
	// SessionTokens bounds the KV cache of a session, all branches together. 0: 16 contexts, or as many
	// tokens as 4 GiB hold if that is less, but at least one context.
	SessionTokens int
	Form          model.Form // how weights are kept in memory; empty: chosen by their size
	// CacheTokens is for a device with memory of its own: Open refuses a policy if the keys and values of so many
	// tokens do not fit beside the weights. 0: 4,096, or a context if that is less.
	CacheTokens int
	// Servers are other processes that can compute for policies (Engine.Ask); nil: there are none.
	Servers Servers
}

// Policy is an open model with its tokenizer and chat template. It is read-only; many goroutines may use
// one at the same time.
type Policy struct {
	config     model.Config
	model      *model.Model            // nil: server computes
	server     Server                  // nil: this process computes
	own        func() (*Policy, error) // what server computes for, in this process; only beside server
	tokenizer  *tokenizer.Tokenizer
	template   *template.Template
	options    Options
	bos        int32          // -1: the template names none
	bosOnce    bool           // bos begins a conversation; false: it may begin every turn
	textPrefix []int32        // what the tokenizer puts before a text that is not a conversation
	endOfTurn  []int32        // what ends an assistant's turn; its last token is a control token
	ends       map[int32]bool // each of them ends an answer

	generation Generation

	forwards sync.Pool       // *forward: reused buffers
	batch    continuousBatch // of the sessions that draw at the same time
}

// Open reads config.json, the weights, the adapter if the folder has one, tokenizer.json and the chat
// template, and checks that they belong together. Errors name the file and the field.
func Open(fsys fs.FS, opt Options) (_ *Policy, err error) {
	defer kernel.Catch(&err)
	p := &Policy{options: opt}
	if err := p.open(fsys, p.readWeights); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return p, nil
}

// readWeights opens the model on the device.
func (p *Policy) readWeights(fsys fs.FS) (err error) {
	if p.options.Device == nil {
		if p.options.Device, err = cpu.New(cpu.Options{}); err != nil {
			return err
		}
	}
	p.model, err = model.OpenBeside(fsys, p.options.Device, p.options.Form, p.options.beside)
	if err != nil {
		return err
	}
	p.config = p.model.Config
	return nil
}

func (p *Policy) open(fsys fs.FS, readModel func(fs.FS) error) (err error) {
	// The small files first: their errors should not come after gigabytes of weights.
	if p.tokenizer, err = tokenizer.Open(fsys); err != nil {
		return err
	}
	if p.template, err = template.Open(fsys); err != nil {
		return err
	}
	if err = readModel(fsys); err != nil {
		return err
	}
	// Embeddings are padded by a few rows, not to twice the tokenizer's size.
	if n := p.tokenizer.Size(); n > p.config.VocabSize || 2*n < p.config.VocabSize {
		return fmt.Errorf("%s: ids up to %d, but the embedding has %d rows (vocab_size in config.json): "+
			"it is the tokenizer of another model", tokenizer.File, n-1, p.config.VocabSize)
	}
	p.batch.separate = 4*int64(p.config.Parameters()) < processorCacheBytes
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

// findBOS finds the template's bos_token and the tokens before plain texts. A model with a BOS token whose
// template does not get its name is refused: it would silently run without the token.
func (p *Policy) findBOS(fsys fs.FS) error {
	p.bos = -1
	before, named := p.tokenizer.PrefixTokens()
	p.textPrefix = before
	text := p.template.BOS()
	if text == "" {
		if _, err := fs.Stat(fsys, template.ConfigFile); errors.Is(err, fs.ErrNotExist) && len(p.config.BOS) > 0 {
			return fmt.Errorf("%s is missing: config.json has a bos_token_id, and the chat template needs its text, "+
				"bos_token", template.ConfigFile)
		}
		return nil
	}
	id, ok := p.tokenizer.ID(text)
	if !ok {
		return fmt.Errorf("%s: bos_token %q is not in %s", template.ConfigFile, text, tokenizer.File)
	}
	p.bos = id
	if !named && p.template.AddBOS() {
		p.textPrefix = []int32{id}
	}
	var err error
	p.bosOnce, err = p.probeBOS(text)
	return err
}

// findEnds collects the tokens that end an answer: the one that the template writes after it, and the EOS
// tokens that three files can name.
func (p *Policy) findEnds(fsys fs.FS) error {
	var err error
	if p.endOfTurn, err = p.probeTurn(); err != nil {
		return err
	}
	p.ends = map[int32]bool{p.endOfTurn[len(p.endOfTurn)-1]: true}
	for _, id := range p.config.EOS {
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
		if id < 0 || int(id) >= p.config.VocabSize {
			return fmt.Errorf("%s: eos_token_id: %d is not in the vocabulary of %d",
				generationFile, id, p.config.VocabSize)
		}
		p.ends[id] = true
	}
	return nil
}

// With returns this policy with other weights of the same shape, such as those of a trainer. Tokenizer
// and template are shared.
func (p *Policy) With(m *model.Model) *Policy {
	return &Policy{
		batch:  continuousBatch{separate: p.batch.separate},
		config: m.Config, model: m, tokenizer: p.tokenizer, template: p.template, options: p.options,
		bos: p.bos, bosOnce: p.bosOnce, textPrefix: p.textPrefix,
		endOfTurn: p.endOfTurn, ends: p.ends, generation: p.generation,
	}
}

// WithAdapter returns this policy with the PEFT adapter of a folder, instead of its own if it has one. The base
// weights are shared. Errors name the file.
func (p *Policy) WithAdapter(fsys fs.FS) (_ *Policy, err error) {
	defer kernel.Catch(&err)
	m, err := p.model.WithAdapterOf(fsys)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return p.With(m), nil
}

// Model returns the weights, for training and export. They are shared, not copied. It is nil for a policy of
// Engine.Ask that a server computes for.
func (p *Policy) Model() *model.Model { return p.model }

// ContextLength is the largest number of tokens of a prompt and its answer together.
func (p *Policy) ContextLength() int { return p.config.MaxPositions }

// TokensIn is the number of tokens whose keys and values fit into size bytes, and at least one context.
func (p *Policy) TokensIn(size int) int { return p.tokensIn(size, math.MaxInt) }

// tokensIn is the number of tokens whose keys and values fit into size bytes, but no more than most, and
// at least one context.
func (p *Policy) tokensIn(size, most int) int {
	return max(min(size/int(cacheBytes(p.config)), most), p.ContextLength())
}

// VocabSize is the number of logits of a position.
func (p *Policy) VocabSize() int { return p.config.VocabSize }

// TemplateHash is the SHA-256 of the chat template, in hexadecimal.
func (p *Policy) TemplateHash() string { return p.template.Hash() }

// Template is the text of the chat template.
func (p *Policy) Template() string { return p.template.Source() }

// Tokenizer returns the parts of the tokenizer, for export to other programs.
func (p *Policy) Tokenizer() tokenizer.Parts { return p.tokenizer.Parts() }

// BOS is the template's bos_token, or −1 if it has none. The template decides where it stands in a
// conversation; the tokenizer decides it for a plain text (see Raw).
func (p *Policy) BOS() int32 { return p.bos }

// IsEnd tells whether id ends an answer: an end of turn, of text or of message.
func (p *Policy) IsEnd(id int32) bool { return p.ends[id] }

// TokenBytes returns the bytes of one token, which may be a part of a character. The caller must not change
// them.
func (p *Policy) TokenBytes(id int32) []byte { return p.tokenizer.Bytes(id) }

// Text returns the text of an answer, for people and parsers. The tokens that end it are left out; other
// control tokens are written as text.
func (p *Policy) Text(ids []int32) string {
	for len(ids) > 0 && p.IsEnd(ids[len(ids)-1]) {
		ids = ids[:len(ids)-1]
	}
	return p.tokenizer.Decode(ids)
}

// checkTokens refuses IDs that are not in the vocabulary. The IDs of a call can come from another process.
func (p *Policy) checkTokens(ids []int32) error {
	if i := slices.IndexFunc(ids, func(id int32) bool { return id < 0 || int(id) >= p.config.VocabSize }); i >= 0 {
		return fmt.Errorf("token %d: id %d is not in the vocabulary of %d", i, ids[i], p.config.VocabSize)
	}
	return nil
}
