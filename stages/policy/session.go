package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"itool/stages/policy/sample"
)

// Rows that one pass through the layers takes when tokens are known beforehand.
const blockRows = 256

// Session decodes along one tree: the prompt is computed once, and so is every
// token of a branch, however many branches go on from it. It is not for
// concurrent use. Its cache grows with the tokens drawn and is never freed before the session.
//
// What a request draws has the same bits alone or among others: rows do not see
// one another, and each has its own random numbers.
type Session struct {
	p      *Policy
	f      *forward
	cache  kvCache
	root   Branch
	prompt []int32 // the prompt
	epoch  int     // how many prompts there have been

	rows        []row          // the requests of a Draw that still run
	paths       [][]int32      // of the rows of a pass
	sampler     sample.Sampler // for its buffers only
	scratchPath []int32        // a path that is being extended by known tokens
}

// Branch is a place in the tree: a value, valid as long as its session.
type Branch struct {
	of    *Session
	epoch int     // of the session
	path  []int32 // cache slots of the tokens so far; shared, so never written to
	last  int32   // the token after them, whose keys are not computed yet
}

var errForeign = errors.New("the branch is not of this session (start at Root)")

// Len is the number of tokens from the start of the prompt.
func (b Branch) Len() int { return len(b.path) + 1 }

// NewSession computes the prompt.
func (p *Policy) NewSession(prompt []int32) (*Session, error) {
	if err := p.checkSequence(Sequence{Prompt: prompt}); err != nil {
		return nil, fmt.Errorf("policy: session: %w", err)
	}
	s := newSession(p)
	root, err := s.prefill(prompt)
	if err != nil {
		return nil, fmt.Errorf("policy: session: %w", err)
	}
	s.root, s.prompt = root, slices.Clone(prompt)
	return s, nil
}

// Restart begins anew with another prompt, to the bits of a new session; what both
// begin with is not computed again. The branches of before are gone.
func (s *Session) Restart(prompt []int32) error {
	if err := s.p.checkSequence(Sequence{Prompt: prompt}); err != nil {
		return fmt.Errorf("policy: restart: %w", err)
	}
	n := len(prompt) - 1
	cached := commonPrefix(s.prompt[:len(s.root.path)], prompt[:n])
	used := s.cache.used
	s.cache.used = cached // a session's prompt has its first slots
	path, err := s.cache.slots(slices.Clone(s.root.path[:cached]), n-cached)
	if err != nil {
		s.cache.used = used
		return fmt.Errorf("policy: restart: %w", err)
	}
	s.prefillFrom(prompt[:n], path, cached)
	s.epoch++
	s.root, s.prompt = s.branch(path, prompt[n]), slices.Clone(prompt)
	return nil
}

// branch is the place behind the tokens of path, where last is the next token. Only here is a
// branch made, so that none lacks the session's epoch.
func (s *Session) branch(path []int32, last int32) Branch {
	return Branch{of: s, epoch: s.epoch, path: path, last: last}
}

// owns tells whether a branch is of the session's present prompt.
func (s *Session) owns(b Branch) bool { return b.of == s && b.epoch == s.epoch }

func newSession(p *Policy) *Session {
	return &Session{p: p, f: &forward{m: p.model, d: p.model.Device}, cache: newCache(p.model, p.options.SessionTokens)}
}

// prefill computes all but the last token.
func (s *Session) prefill(prompt []int32) (Branch, error) {
	n := len(prompt) - 1
	path, err := s.cache.slots(make([]int32, 0, n), n)
	if err != nil {
		return Branch{}, err
	}
	s.prefillFrom(prompt[:n], path, 0)
	return s.branch(path, prompt[n]), nil
}

// prefillFrom computes a causal segment from token cached on; those before it are in their
// slots already. The bits are the same however a segment is cut.
func (s *Session) prefillFrom(tokens, path []int32, cached int) {
	f, m, more := s.f, s.p.model, tokens[cached:]
	if len(more) == 0 {
		return
	}
	grow(&f.pos, len(more))
	for i := range more {
		f.pos[i] = int32(cached + i)
	}
	f.cu = append(f.cu[:0], 0, int32(len(tokens)))
	f.selecting, f.selected = true, f.selected[:0] // none: only keys and values count
	f.layers(more, f.pos, func(layer int) {
		s.cache.write(layer, path[cached:], f.k, f.v)
		switch {
		case f.selectsIn(layer):
		case cached == 0:
			f.attendPacked(layer)
		default:
			f.d.AttendSuffix(f.att, f.q, s.cache.k[layer], s.cache.v[layer], path, len(more), m.NumHeads, m.NumKVHeads, m.HeadDim)
		}
	})
}

// Root is the end of the prompt.
func (s *Session) Root() Branch { return s.root }

// Tokens is the number of tokens in the cache.
func (s *Session) Tokens() int { return s.cache.used }

// treeDecode computes rows of tokens, each seeing its own path, the last slot of which
// is its own.
func (s *Session) treeDecode(ids []int32, paths [][]int32) {
	s.f.treeDecode(ids, treeRows{&s.cache, paths})
}

// Append goes from a branch along given tokens and returns the log-probability of
// each.
func (s *Session) Append(ctx context.Context, from Branch, tokens []int32) (Branch, []float32, error) {
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
	read := append([]int32{from.last}, tokens[:len(tokens)-1]...) // each predicts the one after it
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
		logp, err := s.f.targetLogProbs(tokens[at : at+n])
		if err != nil {
			return Branch{}, nil, fmt.Errorf("policy: append: %w", err)
		}
		logps = append(logps, logp...)
	}
	return s.branch(path, tokens[len(tokens)-1]), logps, nil
}

// Next returns the log-probabilities of ids as the token after b. Nothing stays in
// the cache.
func (s *Session) Next(ctx context.Context, b Branch, ids []int32) ([]float32, error) {
	if !s.owns(b) {
		return nil, fmt.Errorf("policy: next: %w", errForeign)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.p.checkTokens(ids); err != nil {
		return nil, fmt.Errorf("policy: next: %w", err)
	}
	slot, err := s.cache.take(1)
	if err != nil {
		return nil, fmt.Errorf("policy: next: %w", err)
	}
	defer s.cache.dropLast(1)
	s.scratchPath = append(append(s.scratchPath[:0], b.path...), int32(slot))
	s.paths = append(s.paths[:0], s.scratchPath)
	s.treeDecode([]int32{b.last}, s.paths)
	var out []float32
	err = s.f.eachLogits(1, func(_ int, logits []float32) error {
		out, err = s.logProbsOf(logits, ids)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("policy: next: %w", err)
	}
	return out, nil
}

// Choose returns, for each continuation of b, none of them empty, the log-probabilities of ids as the
// token after it. All continuations are computed in one pass; nothing stays in the cache.
func (s *Session) Choose(ctx context.Context, b Branch, continuations [][]int32, ids []int32) ([][]float32, error) {
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
	first, err := s.cache.take(len(tokens))
	if err != nil {
		return nil, err
	}
	defer s.cache.dropLast(len(tokens))
	// Row 0 is the last token of b, which all continuations see; then one row per token.
	start := append(append([]int32(nil), b.path...), int32(first))
	paths, f := [][]int32{start}, s.f
	f.selecting, f.selected = true, f.selected[:0] // the last row of each
	for _, c := range continuations {
		path := append(make([]int32, 0, len(start)+len(c)), start...)
		for range c {
			path = append(path, int32(first+len(paths)))
			paths = append(paths, path)
		}
		f.selected = append(f.selected, int32(len(paths)-1))
	}
	s.treeDecode(tokens, paths)
	out := make([][]float32, len(continuations))
	err = f.eachLogits(len(out), func(row int, logits []float32) error {
		out[row], err = s.logProbsOf(logits, ids)
		return err
	})
	return out, err
}

// logProbsOf are the log-probabilities of ids.
func (s *Session) logProbsOf(logits []float32, ids []int32) ([]float32, error) {
	lse := s.sampler.LogSumExp(logits)
	if lse-lse != 0 {
		return nil, fmt.Errorf("logits sum to %v: the weights are broken, or overflow", lse)
	}
	out := make([]float32, len(ids))
	for i, id := range ids {
		out[i] = float32(float64(logits[id]) - lse)
	}
	return out, nil
}
