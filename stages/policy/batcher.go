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
// goroutines at once. A long prompt is computed a part at a time, between the tokens of
// the others.
//
// What prompts begin with is computed once, as long as the cache has room for it: the
// instructions and tools of many conversations, the turns so far of one.
type Batcher struct {
	p       *Policy
	session *Session
	arrive  chan *Stream
	places  chan struct{} // one for every request that waits or runs
	stopped chan struct{} // closed when Run returns

	// Of Run alone.
	known []prefix  // the one used last stands last
	ready []*Stream // those that a step draws for
	picks func(i int, logits []float32)
}

// prefix is the beginning of prompts, in the cache.
type prefix struct {
	tokens []int32
	path   []int32
}

const mostKnown = 256

// ErrBusy: as many requests wait as may.
var ErrBusy = errors.New("too many requests are waiting")

// ErrStopped: the batcher has stopped.
var ErrStopped = errors.New("the engine has stopped")

// NewBatcher bounds what waits and runs together: requests, and the tokens of those
// that run (0: what 1 GiB holds, one context at least).
func NewBatcher(p *Policy, requests, tokens int) *Batcher {
	b := &Batcher{p: p, session: newSession(p), arrive: make(chan *Stream), places: make(chan struct{}, requests), stopped: make(chan struct{})}
	b.session.cache.limit = tokens
	b.picks = b.pick // once: a method value allocates
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
	row      row
	computed int  // tokens of the prompt
	ready    bool // all but the last are
	next     Token
	broken   error

	mu     sync.Mutex
	tokens []Token
	cached int
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

// Cached is how many of the prompt's tokens were known from other prompts, once Next
// has returned.
func (s *Stream) Cached() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cached
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
			running, waiting = append(running, waiting[0]), waiting[1:]
		}
		most := b.p.ContextLength()
		if slices.ContainsFunc(running, func(s *Stream) bool { return s.ready }) {
			most = blockRows
		}
		b.prompt(running, most)
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

// begin takes the slots of a prompt, with the keys of what is known of it.
func (b *Batcher) begin(s *Stream) {
	c, n := &b.session.cache, len(s.prompt)-1
	best, shared := -1, 0
	for i, k := range b.known {
		if same := common(k.tokens, s.prompt[:n]); same > shared {
			best, shared = i, same
		}
	}
	path := make([]int32, 0, n)
	if best >= 0 {
		path = append(path, b.known[best].path[:shared]...)
		c.share(path)
		if len(b.known[best].tokens) == shared { // this one will say it all
			b.forget(best)
		}
	}
	b.clear(n - shared)
	var err error
	if s.row.path, err = c.slots(path, n-shared); err != nil {
		panic("policy: " + err.Error()) // fits has counted
	}
	s.computed = shared
	s.mu.Lock()
	s.cached = shared
	s.mu.Unlock()
}

// prompt computes most tokens of the first prompt that is not whole yet.
func (b *Batcher) prompt(running []*Stream, most int) {
	for _, s := range running {
		n := len(s.prompt) - 1
		if s.ready {
			continue
		}
		if s.row.path == nil { // not before its turn: more is known by then
			b.begin(s)
		}
		to := min(n, s.computed+most)
		b.session.compute(s.prompt[:to], s.row.path[:to], s.computed)
		if s.computed = to; to == n {
			s.ready, s.row.last = true, s.prompt[n]
			b.know(s)
		}
		return
	}
}

// know keeps a prompt for those that begin like it.
func (b *Batcher) know(s *Stream) {
	if len(b.known) == mostKnown {
		b.forget(0)
	}
	n := len(s.row.path)
	b.session.cache.share(s.row.path)
	b.known = append(b.known, prefix{s.prompt[:n], s.row.path[:n:n]})
}

// clear makes room for n slots: fits has seen to it that there is some without what is
// only known.
func (b *Batcher) clear(n int) {
	for len(b.known) > 0 && b.session.cache.room() < n {
		b.forget(0)
	}
}

func (b *Batcher) forget(i int) {
	b.session.cache.free(b.known[i].path)
	b.known = slices.Delete(b.known, i, i+1)
}

// common is the number of tokens that a and b begin with.
func common(a, b []int32) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// step draws one token for every stream whose prompt is computed. An error, of broken
// weights, ends the stream that met it.
func (b *Batcher) step(running []*Stream) {
	b.ready = b.ready[:0]
	for _, s := range running {
		if s.ready {
			b.ready = append(b.ready, s)
		}
	}
	if len(b.ready) == 0 {
		return
	}
	f, session := b.session.f, b.session
	f.ids, session.paths = f.ids[:0], session.paths[:0]
	b.clear(len(b.ready))
	for _, s := range b.ready {
		var err error
		if s.row.path, err = session.cache.slots(s.row.path, 1); err != nil {
			panic("policy: " + err.Error()) // fits has counted
		}
		f.ids = append(f.ids, s.row.last)
		session.paths = append(session.paths, s.row.path)
	}
	session.pass(f.ids, session.paths)
	f.eachRow(len(b.ready), b.picks)
	for _, s := range b.ready {
		b.take(s)
	}
}

// pick draws the next token of stream i, for take. It may run for several streams at once.
func (b *Batcher) pick(i int, logits []float32) {
	s := b.ready[i]
	id, logp := s.row.sampler.Pick(logits, s.req.settings())
	s.next = Token{ID: id, LogProb: logp, Top: alternatives(logits, s.top, float64(logits[id])-logp)}
	s.next.same()
}

// take tells a stream the token that it has picked.
func (b *Batcher) take(s *Stream) {
	r, t := &s.row, s.next
	if t.LogProb-t.LogProb != 0 {
		s.broken = fmt.Errorf("policy: log-probability %v: the weights are broken, or overflow", t.LogProb)
		return
	}
	r.last = t.ID
	r.limit--
	switch {
	case b.p.IsEnd(t.ID):
		r.end = ReasonEndOfTurn
	case s.req.Stop != nil && s.req.Stop(t.ID):
		r.end = ReasonStop
	case r.limit == 0:
		r.end = ReasonLength
	}
	s.tell(func() { s.tokens = append(s.tokens, t) })
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
