package policy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"itool/stages/policy/kernel"
	"itool/stages/policy/sample"
)

// blockRows is the largest number of rows of a pass through the layers whose tokens are given: a part of
// an appended text, or a chunk of a prompt while others draw.
const blockRows = 256

// Session decodes along one tree with tree attention: the prompt and the tokens of every branch are
// computed once, however many branches continue them. The branches share one KV cache, which grows with
// the tokens drawn and is freed with the session. Only one goroutine may use a session at a time.
//
// What a request draws has the same bits alone or together with others: rows do not see one another, and
// each has its own random numbers.
type Session struct {
	p      *Policy
	f      *forward
	cache  kvCache
	root   Branch
	prompt []int32
	epoch  int // number of restarts; branches of an earlier epoch are refused
	drawn  tokenTree

	// Buffers, reused.
	rows        []row             // the requests of a Draw that still run
	paths       [][]int32         // of the rows of a pass
	samplers    []*sample.Sampler // of rows that have ended
	scratchPath []int32           // of Next
}

// Branch is a place in a session's tree: a sequence of tokens from the start of the prompt. It is a value,
// and valid until the session restarts.
type Branch struct {
	of    *Session
	epoch int // of the session
	// Cache slots of the tokens so far, or the tokens themselves where a server computes. Branches share its
	// memory, so it is never written to.
	path []int32
	last int32 // the token after them, whose keys are not computed yet
}

var errForeign = errors.New("the branch is not of this session's present prompt (start at Root)")

// Len is the number of tokens from the start of the prompt.
func (b Branch) Len() int { return len(b.path) + 1 }

// NewSession computes a prompt and returns a session whose root is its end.
func (p *Policy) NewSession(prompt []int32) (_ *Session, err error) {
	defer kernel.Catch(&err)
	if err := p.checkSequence(Sequence{Prompt: prompt}); err != nil {
		return nil, fmt.Errorf("policy: session: %w", err)
	}
	if p.server != nil {
		return p.servedSession(prompt), nil
	}
	s := newSession(p)
	root, err := s.prefill(prompt)
	if err != nil {
		return nil, fmt.Errorf("policy: session: %w", err)
	}
	s.root, s.prompt = root, slices.Clone(prompt)
	return s, nil
}

// Restart replaces the prompt. The session then draws the same bits as a new one. Tokens that both
// prompts begin with are not computed again. Branches from before are no longer valid. After an error the
// session is unchanged.
func (s *Session) Restart(prompt []int32) (err error) {
	defer kernel.Catch(&err)
	if err := s.p.checkSequence(Sequence{Prompt: prompt}); err != nil {
		return fmt.Errorf("policy: restart: %w", err)
	}
	if s.p.server != nil {
		s.epoch++
		s.begin(prompt)
		return nil
	}
	n := len(prompt) - 1
	cached := commonPrefix(s.prompt[:len(s.root.path)], prompt[:n])
	used := s.cache.used
	s.cache.used = cached // the prompt has the first slots of the cache
	path, err := s.cache.slots(slices.Clone(s.root.path[:cached]), n-cached)
	if err != nil {
		s.cache.used = used
		return fmt.Errorf("policy: restart: %w", err)
	}
	s.drawn.truncate(0) // every drawn token came behind the prompt's last
	s.prefillFrom(prompt[:n], path, cached)
	s.epoch++
	s.root, s.prompt = s.branch(path, prompt[n]), slices.Clone(prompt)
	return nil
}

// branch is the place behind the tokens of path and the token last. All branches are made here, so that
// each has the session's epoch.
func (s *Session) branch(path []int32, last int32) Branch {
	return Branch{of: s, epoch: s.epoch, path: path, last: last}
}

// owns tells whether a branch belongs to this session and its present prompt.
func (s *Session) owns(b Branch) bool { return b.of == s && b.epoch == s.epoch }

func newSession(p *Policy) *Session {
	return &Session{
		p: p, f: newForward(p.model), cache: newCache(p.model, p.options.SessionTokens),
		drawn: tokenTree{d: p.model.Device, width: p.model.HiddenSize},
	}
}

// rewind takes back all cache slots from used on.
func (s *Session) rewind(used int) {
	s.cache.used = used
	s.drawn.truncate(used)
}

// prefill computes all tokens of a prompt but the last, which the first pass of a Draw computes.
func (s *Session) prefill(prompt []int32) (Branch, error) {
	n := len(prompt) - 1
	path, err := s.cache.slots(make([]int32, 0, n), n)
	if err != nil {
		return Branch{}, err
	}
	s.prefillFrom(prompt[:n], path, 0)
	return s.branch(path, prompt[n]), nil
}

// prefillFrom computes the keys and values of tokens[cached:]. Those of tokens[:cached] are in the cache,
// in the first slots of path. The bits do not depend on the chunks in which a prompt is computed.
func (s *Session) prefillFrom(tokens, path []int32, cached int) {
	f, more := s.f, tokens[cached:]
	if len(more) == 0 {
		return
	}
	f.ids.Host, f.pos.Host = append(f.ids.Host[:0], more...), f.pos.Host[:0]
	for i := range more {
		f.pos.Host = append(f.pos.Host, int32(cached+i))
	}
	f.pack(0, int32(len(tokens)))
	f.set(&f.slots, path[cached:])
	f.set(&f.path, path)
	f.selecting, f.selected.Rows.Host = true, f.selected.Rows.Host[:0] // none: only keys and values are needed
	f.layers(func(layer int) {
		s.cache.write(layer, f.slots, f.act.K, f.act.V)
		switch {
		case f.selectsIn(layer):
		case cached == 0:
			f.attendPacked(layer)
		default:
			f.d.AttendSuffix(f.act.Out, f.act.Q, s.cache.layer(layer), f.path, len(more), f.pass.Heads)
		}
	})
}

// Root is the end of the prompt.
func (s *Session) Root() Branch { return s.root }

// Tokens is the number of tokens in the cache.
func (s *Session) Tokens() int { return s.cache.used }

// Others is the number of the policy's sessions that draw at the moment in the batch that a Draw of this
// one would join.
func (s *Session) Others() int { return int(s.p.batch.drawing.Load()) }

// Room is the number of tokens that the cache can still take. A server's cache is not counted.
func (s *Session) Room() int {
	if s.p.server != nil {
		return math.MaxInt32
	}
	return s.cache.room()
}

// treeDecode computes rows of tokens. Each row attends to its own path, whose last slot is the row's own.
func (s *Session) treeDecode(ids []int32, paths [][]int32) {
	s.f.ids.Host = append(s.f.ids.Host[:0], ids...)
	s.f.treeDecode(treeRows{&s.cache, paths})
}

// Append continues a branch with given tokens. It returns the branch after them, and the log-probability
// of each token in nats. An error is ErrTooLong or ErrFull, the context's, or about wrong arguments.
func (s *Session) Append(ctx context.Context, from Branch, tokens []int32) (_ Branch, _ []float32, err error) {
	defer kernel.Catch(&err)
	if !s.owns(from) {
		return Branch{}, nil, fmt.Errorf("policy: append: %w", errForeign)
	}
	if err := s.p.checkTokens(tokens); err != nil {
		return Branch{}, nil, fmt.Errorf("policy: append: %w", err)
	}
	if n := from.Len() + len(tokens); n > s.p.ContextLength() {
		return Branch{}, nil, fmt.Errorf("policy: append: %d tokens: %w of %d", n, ErrTooLong, s.p.ContextLength())
	}
	if len(tokens) == 0 {
		return from, nil, nil
	}
	if s.p.server != nil {
		return s.appendServed(ctx, from, tokens)
	}
	first, err := s.cache.take(len(tokens))
	if err != nil {
		return Branch{}, nil, fmt.Errorf("policy: append: %w", err)
	}
	path := make([]int32, len(from.path), len(from.path)+len(tokens))
	copy(path, from.path)
	for i := range tokens {
		path = append(path, int32(first+i))
	}
	logps := make([]float32, 0, len(tokens))
	read := append([]int32{from.last}, tokens[:len(tokens)-1]...) // each predicts the next one
	for at := 0; at < len(read); at += blockRows {
		if err := ctx.Err(); err != nil {
			return Branch{}, nil, err
		}
		n := min(blockRows, len(read)-at)
		s.paths = s.paths[:0]
		for i := range n {
			s.paths = append(s.paths, path[:len(from.path)+at+i+1])
		}
		s.treeDecode(read[at:at+n], s.paths)
		s.f.target.Host = append(s.f.target.Host[:0], tokens[at:at+n]...)
		logp, err := s.f.targetLogProbs()
		if err != nil {
			return Branch{}, nil, fmt.Errorf("policy: append: %w", err)
		}
		logps = append(logps, logp...)
	}
	return s.branch(path, tokens[len(tokens)-1]), logps, nil
}

// Next returns the log-probability in nats of each of ids as the token after b. The cache is afterwards
// as it was before.
func (s *Session) Next(ctx context.Context, b Branch, ids []int32) (_ []float32, err error) {
	defer kernel.Catch(&err)
	if !s.owns(b) {
		return nil, fmt.Errorf("policy: next: %w", errForeign)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.p.checkTokens(ids); err != nil {
		return nil, fmt.Errorf("policy: next: %w", err)
	}
	if s.p.server != nil {
		out, err := s.chooseServed(ctx, b, [][]int32{nil}, ids)
		if err != nil {
			return nil, fmt.Errorf("policy: next: %w", err)
		}
		return out[0], nil
	}
	slot, err := s.cache.take(1)
	if err != nil {
		return nil, fmt.Errorf("policy: next: %w", err)
	}
	defer s.cache.dropLast(1)
	s.scratchPath = append(append(s.scratchPath[:0], b.path...), int32(slot))
	s.paths = append(s.paths[:0], s.scratchPath)
	s.treeDecode([]int32{b.last}, s.paths)
	out, err := s.f.logProbsOf(1, ids)
	if err != nil {
		return nil, fmt.Errorf("policy: next: %w", err)
	}
	return out[0], nil
}

// Choose returns, for each continuation of b, the log-probability in nats of each of ids as the token
// after it. No continuation may be empty. All are computed in one pass. The cache is afterwards as it was
// before.
func (s *Session) Choose(ctx context.Context, b Branch, continuations [][]int32, ids []int32,
) (_ [][]float32, err error) {
	defer kernel.Catch(&err)
	out, err := s.choose(ctx, b, continuations, ids)
	if err != nil {
		return nil, fmt.Errorf("policy: choose: %w", err)
	}
	return out, nil
}

func (s *Session) choose(ctx context.Context, b Branch, continuations [][]int32, ids []int32) ([][]float32, error) {
	if !s.owns(b) {
		return nil, errForeign
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tokens := []int32{b.last}
	for i, c := range continuations {
		if len(c) == 0 {
			return nil, fmt.Errorf("continuation %d is empty", i)
		}
		if err := s.p.checkTokens(c); err != nil {
			return nil, fmt.Errorf("continuation %d: %w", i, err)
		}
		if n := b.Len() + len(c); n > s.p.ContextLength() {
			return nil, fmt.Errorf("continuation %d: %d tokens: %w of %d", i, n, ErrTooLong, s.p.ContextLength())
		}
		tokens = append(tokens, c...)
	}
	if err := s.p.checkTokens(ids); err != nil {
		return nil, err
	}
	if s.p.server != nil {
		return s.chooseServed(ctx, b, continuations, ids)
	}
	first, err := s.cache.take(len(tokens))
	if err != nil {
		return nil, err
	}
	defer s.cache.dropLast(len(tokens))
	// Row 0 is the last token of b, which all continuations see. Then there is one row for each token.
	start := append(append([]int32(nil), b.path...), int32(first))
	paths, f := [][]int32{start}, s.f
	f.selecting, f.selected.Rows.Host = true, f.selected.Rows.Host[:0] // the last row of each
	for _, c := range continuations {
		path := append(make([]int32, 0, len(start)+len(c)), start...)
		for range c {
			path = append(path, int32(first+len(paths)))
			paths = append(paths, path)
		}
		f.selected.Rows.Host = append(f.selected.Rows.Host, int32(len(paths)-1))
	}
	s.treeDecode(tokens, paths)
	return f.logProbsOf(len(continuations), ids)
}

// logProbsOf returns, after layers, the log-probability of each of ids after each of n rows.
func (f *forward) logProbsOf(n int, ids []int32) ([][]float32, error) {
	if n == 0 {
		return [][]float32{}, nil
	}
	f.picks = f.picks[:0]
	for row := range n {
		f.picks = append(f.picks, kernel.Pick{Row: row, Of: ids, LogProbs: make([]float64, len(ids))})
	}
	f.answer()
	out := make([][]float32, n)
	for row, p := range f.picks {
		if p.LogProb-p.LogProb != 0 {
			return nil, errLogits(p.LogProb)
		}
		for _, l := range p.LogProbs {
			out[row] = append(out[row], float32(l))
		}
	}
	return out, nil
}
