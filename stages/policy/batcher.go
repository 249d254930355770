package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"itool/stages/policy/sample"
)

// Batcher answers requests that come at any time: those that run draw their next
// tokens together, a new one joins as soon as its tokens have room, and what one gets
// has the same bits whoever runs beside it. Run must run; Start may be called by many
// goroutines at once.
type Batcher struct {
	p       *Policy
	session *Session
	arrive  chan *Stream
	places  chan struct{} // one for every request that waits or runs
	stopped chan struct{} // closed when Run returns
}

// ErrBusy: as many requests wait as may.
var ErrBusy = errors.New("too many requests are waiting")

// ErrStopped: the batcher has stopped.
var ErrStopped = errors.New("the engine has stopped")

// NewBatcher bounds what waits and runs together: requests, and the tokens of those
// that run (0: what 1 GiB holds, one context at least).
func NewBatcher(p *Policy, requests, tokens int) *Batcher {
	b := &Batcher{p: p, session: newSession(p), arrive: make(chan *Stream), places: make(chan struct{}, requests), stopped: make(chan struct{})}
	b.session.cache.limit = tokens
	if tokens <= 0 {
		b.session.cache.limit = p.tokensIn(waveBytes, waveRows*p.ContextLength())
	}
	return b
}

// Token is one token of a stream.
type Token struct {
	ID      int32
	LogProb float64 // nats, raw: temperature 1, nothing cut
	Top     []Alternative
}

// Alternative is a likely token in a token's place.
type Alternative struct {
	ID      int32
	LogProb float64
}

// Stream is a request that waits or runs.
type Stream struct {
	ctx    context.Context
	prompt []int32
	req    Request
	top    int
	most   int // tokens that it may need, prompt included

	// Of Run alone.
	row    row
	broken error

	mu     sync.Mutex
	tokens []Token
	reason Reason
	err    error         // why it ended early; io.EOF: it did not
	change chan struct{} // something above is new
	read   int
}

// Start hands in a request; req.From is not used. top asks for the likeliest tokens in
// each place. What is wrong with the request is an error here, ErrBusy too. When ctx
// ends, so does the stream.
func (b *Batcher) Start(ctx context.Context, prompt []int32, req Request, top int) (*Stream, error) {
	if err := b.p.checkSequence(Sequence{Prompt: prompt}); err != nil {
		return nil, fmt.Errorf("policy: start: %w", err)
	}
	if err := req.settings().Validate(); err != nil {
		return nil, fmt.Errorf("policy: start: %w", err)
	}
	limit := b.p.ContextLength() - len(prompt)
	if req.MaxTokens > 0 {
		limit = min(limit, req.MaxTokens)
	}
	s := &Stream{ctx: ctx, prompt: prompt, req: req, top: min(top, b.p.VocabSize()), most: len(prompt) + limit, change: make(chan struct{}, 1)}
	switch {
	case limit <= 0:
		return nil, fmt.Errorf("policy: start: %d tokens: %w of %d: nothing is left for an answer", len(prompt), ErrTooLong, b.p.ContextLength())
	case s.most > b.session.cache.limit:
		return nil, fmt.Errorf("policy: start: %d tokens of prompt and answer are more than the %d that the engine holds: ask for a shorter answer", s.most, b.session.cache.limit)
	}
	s.row = row{limit: limit, sampler: sample.New(req.Seed)}
	select {
	case b.places <- struct{}{}:
	default:
		return nil, fmt.Errorf("policy: start: %w: %d", ErrBusy, cap(b.places))
	}
	select {
	case b.arrive <- s:
		return s, nil
	case <-b.stopped:
		<-b.places
		return nil, fmt.Errorf("policy: start: %w", ErrStopped)
	case <-ctx.Done():
		<-b.places
		return nil, ctx.Err()
	}
}

// Next waits for the next token; after the last one it returns io.EOF.
func (s *Stream) Next() (Token, error) {
	for {
		s.mu.Lock()
		if s.read < len(s.tokens) {
			s.read++
			t := s.tokens[s.read-1]
			s.mu.Unlock()
			return t, nil
		}
		err := s.err
		s.mu.Unlock()
		if err != nil {
			return Token{}, err
		}
		<-s.change
	}
}

// Reason says why the stream ended, once Next has returned io.EOF.
func (s *Stream) Reason() Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// tell adds what is new and wakes Next.
func (s *Stream) tell(change func()) {
	s.mu.Lock()
	change()
	s.mu.Unlock()
	select {
	case s.change <- struct{}{}:
	default:
	}
}

// Run draws until ctx ends; what still waits or runs then ends with an error.
func (b *Batcher) Run(ctx context.Context) {
	var waiting, running []*Stream
	end := func(s *Stream, err error) {
		b.session.cache.free(s.row.path)
		s.row.path = nil
		s.tell(func() { s.err, s.reason = err, s.row.end })
		<-b.places
	}
	cancelled := func(s *Stream) bool {
		err := s.ctx.Err()
		if err != nil {
			end(s, err)
		}
		return err != nil
	}
	defer func() {
		close(b.stopped)
		for _, s := range append(running, waiting...) {
			end(s, ErrStopped)
		}
	}()
	for {
		var idle <-chan struct{}
		if len(waiting)+len(running) > 0 {
			idle = closed
		}
		select {
		case <-ctx.Done():
			return
		case s := <-b.arrive:
			waiting = append(waiting, s)
			continue
		case <-idle:
		}
		running, waiting = slices.DeleteFunc(running, cancelled), slices.DeleteFunc(waiting, cancelled)
		for len(waiting) > 0 && b.fits(running, waiting[0]) {
			s := waiting[0]
			waiting = waiting[1:]
			if err := b.admit(s); err != nil {
				end(s, err)
				continue
			}
			running = append(running, s)
		}
		b.step(running)
		running = slices.DeleteFunc(running, func(s *Stream) bool {
			switch {
			case s.broken != nil:
				end(s, s.broken)
			case s.row.end != "":
				end(s, io.EOF)
			default:
				return false
			}
			return true
		})
	}
}

// closed is always ready.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// fits says whether what s may need has room beside what the others may need.
func (b *Batcher) fits(running []*Stream, s *Stream) bool {
	need := s.most
	for _, r := range running {
		need += r.most
	}
	return len(running) < waveRows && need <= b.session.cache.limit
}

// admit computes a prompt.
func (b *Batcher) admit(s *Stream) error {
	branch, err := b.session.prefill(s.prompt)
	if err != nil {
		return err
	}
	s.row.path, s.row.last = branch.path, branch.last
	return nil
}

// step draws one token for every stream. An error, of broken weights, ends the stream
// that met it.
func (b *Batcher) step(running []*Stream) {
	if len(running) == 0 {
		return
	}
	f, session := b.session.f, b.session
	f.ids, session.paths = f.ids[:0], session.paths[:0]
	for _, s := range running {
		var err error
		if s.row.path, err = session.cache.slots(s.row.path, 1); err != nil {
			panic("policy: " + err.Error()) // fits has counted
		}
		f.ids = append(f.ids, s.row.last)
		session.paths = append(session.paths, s.row.path)
	}
	session.pass(f.ids, session.paths)
	_ = f.eachLogits(len(running), func(i int, logits []float32) error {
		s := running[i]
		r := &s.row
		id, logp := r.sampler.Pick(logits, s.req.settings())
		if logp-logp != 0 {
			s.broken = fmt.Errorf("policy: log-probability %v: the weights are broken, or overflow", logp)
			return nil
		}
		t := Token{ID: id, LogProb: logp, Top: alternatives(logits, s.top, float64(logits[id])-logp)}
		t.same()
		r.last = id
		r.limit--
		switch {
		case b.p.IsEnd(id):
			r.end = ReasonEndOfTurn
		case s.req.Stop != nil && s.req.Stop(id):
			r.end = ReasonStop
		case r.limit == 0:
			r.end = ReasonLength
		}
		s.tell(func() { s.tokens = append(s.tokens, t) })
		return nil
	})
}

// same gives a token among its own alternatives the very same log-probability.
func (t *Token) same() {
	for i := range t.Top {
		if t.Top[i].ID == t.ID {
			t.Top[i].LogProb = t.LogProb
		}
	}
}

// alternatives are the n likeliest tokens, likeliest first; lse is log Σ exp of the
// logits.
func alternatives(logits []float32, n int, lse float64) []Alternative {
	if n == 0 {
		return nil
	}
	var best []Alternative
	for id, l := range logits {
		if len(best) == n && float64(l)-lse <= best[n-1].LogProb {
			continue
		}
		a := Alternative{int32(id), float64(l) - lse}
		at, _ := slices.BinarySearchFunc(best, a, func(x, y Alternative) int {
			return cmp.Or(cmp.Compare(y.LogProb, x.LogProb), cmp.Compare(x.ID, y.ID))
		})
		best = slices.Insert(best, at, a)[:min(n, len(best)+1)]
	}
	return best
}
