package policy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"itool/stages/policy/kernel"
	"itool/stages/policy/sample"
)

// Batcher answers requests that arrive at any time, as a server needs it. It implements continuous
// batching: running requests draw their next tokens in one batch, and a new request joins between two
// tokens, as soon as the KV cache has room for it. A request draws the same bits, no matter what else runs.
//
// Prompts are computed with chunked prefill: while others draw, a long prompt is computed in parts
// between their tokens. Tokens that prompts begin with are computed once, as long as the cache has
// room for them: see prefixCache.
//
// Run must run in a goroutine; many goroutines may call Start at once.
type Batcher struct {
	p        *Policy
	session  *Session // for its cache and its buffers
	arrivals chan *Stream
	inFlight chan struct{} // one for every request that waits or runs
	stopped  chan struct{} // closed when Run returns

	// Used by Run only.
	prefixes prefixCache
	drawing  []*Stream // those that the current step draws for
}

// ErrBusy says that the limit of requests that wait or run is reached.
var ErrBusy = errors.New("too many requests are waiting")

// ErrStopped says that Run has returned.
var ErrStopped = errors.New("the engine has stopped")

// NewBatcher limits the number of requests that wait or run together, and the tokens that the running
// ones may hold, shared ones counted once (0: as many as fit into 1 GiB, but at least one context).
func NewBatcher(p *Policy, requests, tokens int) *Batcher {
	b := &Batcher{
		p: p, session: newSession(p), arrivals: make(chan *Stream), inFlight: make(chan struct{}, requests),
		stopped: make(chan struct{}),
	}
	b.session.cache.limit = tokens
	if tokens <= 0 {
		b.session.cache.limit = p.tokensIn(maxBatchBytes, maxBatchRows*p.ContextLength())
	}
	b.prefixes.cache = &b.session.cache
	return b
}

// Start hands in a request; req.From is not used. top is the number of likeliest tokens to return with
// each token. A wrong request is an error here, and so are ErrBusy and ErrStopped. The stream ends when
// ctx ends.
func (b *Batcher) Start(ctx context.Context, prompt []int32, req Request, top int) (*Stream, error) {
	if err := b.p.checkSequence(Sequence{Prompt: prompt}); err != nil {
		return nil, fmt.Errorf("policy: start: %w", err)
	}
	if err := req.settings().Validate(); err != nil {
		return nil, fmt.Errorf("policy: start: %w", err)
	}
	if err := b.p.checkTokens(req.Of); err != nil {
		return nil, fmt.Errorf("policy: start: log-probabilities of: %w", err)
	}
	limit := b.p.ContextLength() - len(prompt)
	if req.MaxTokens > 0 {
		limit = min(limit, req.MaxTokens)
	}
	s := &Stream{
		ctx: ctx, prompt: prompt, req: req, top: min(top, b.p.VocabSize()),
		maxTokens: len(prompt) + limit, change: make(chan struct{}, 1),
	}
	switch {
	case limit <= 0:
		return nil, fmt.Errorf("policy: start: %d tokens: %w of %d: nothing is left for an answer",
			len(prompt), ErrTooLong, b.p.ContextLength())
	case s.maxTokens > b.session.cache.limit:
		return nil, fmt.Errorf("policy: start: %d tokens of prompt and answer are more than the %d that the engine "+
			"holds: ask for a shorter answer", s.maxTokens, b.session.cache.limit)
	}
	s.row = row{req: &s.req, limit: limit, sampler: sample.New(req.Seed)}
	select {
	case b.inFlight <- struct{}{}:
	default:
		return nil, fmt.Errorf("policy: start: %w: %d", ErrBusy, cap(b.inFlight))
	}
	select {
	case b.arrivals <- s:
		return s, nil
	case <-b.stopped:
		<-b.inFlight
		return nil, fmt.Errorf("policy: start: %w", ErrStopped)
	case <-ctx.Done():
		<-b.inFlight
		return nil, ctx.Err()
	}
}

// Run draws until ctx ends. Requests that still wait or run then end with ErrStopped.
func (b *Batcher) Run(ctx context.Context) {
	var waiting, running []*Stream
	cancelled := func(s *Stream) bool {
		err := s.ctx.Err()
		if err != nil {
			b.end(s, err)
		}
		return err != nil
	}
	defer func() {
		close(b.stopped)
		for _, s := range append(running, waiting...) {
			b.end(s, ErrStopped)
		}
	}()
	for {
		var idle <-chan struct{} // with nothing to do, wait for an arrival
		if len(waiting)+len(running) > 0 {
			idle = closed
		}
		select {
		case <-ctx.Done():
			return
		case s := <-b.arrivals:
			waiting = append(waiting, s)
			continue
		case <-idle:
		}
		running, waiting = slices.DeleteFunc(running, cancelled), slices.DeleteFunc(waiting, cancelled)
		// One prompt after the other, so that each finds those before it in the prefix cache.
		if len(waiting) > 0 && !slices.ContainsFunc(running, prefilling) {
			if s := waiting[0]; b.fits(running, s) {
				s.failed = b.takeSlots(s)
				running, waiting = append(running, s), waiting[1:]
			}
		}
		chunk := b.p.ContextLength()
		if slices.ContainsFunc(running, drawing) {
			chunk = blockRows // others wait for their next token
		}
		if err := b.compute(running, chunk); err != nil {
			for _, s := range running {
				s.failed = err
			}
		}
		running = slices.DeleteFunc(running, b.ended)
	}
}

// compute continues a prompt and draws a token for each stream. The error is of the device.
func (b *Batcher) compute(running []*Stream, chunk int) (err error) {
	defer kernel.Catch(&err)
	b.prefill(running, chunk)
	b.step(running)
	return nil
}

// ended ends a stream whose last step was its last, and tells whether it was.
func (b *Batcher) ended(s *Stream) bool {
	switch {
	case s.failed != nil:
		b.end(s, s.failed)
	case s.row.end != "":
		b.end(s, io.EOF)
	default:
		return false
	}
	return true
}

// end returns a stream's slots and tells its reader.
func (b *Batcher) end(s *Stream, err error) {
	b.session.cache.release(s.row.path)
	s.row.path = nil
	s.publish(func() { s.err, s.reason = err, s.row.end })
	<-b.inFlight
}

// closed is always ready to receive from.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func drawing(s *Stream) bool    { return s.prefilled && s.failed == nil }
func prefilling(s *Stream) bool { return !s.prefilled && s.failed == nil }

// fits says whether the tokens that s may need have room next to those that the running ones may still need. What
// s shares with the prefix cache has its slots already; other entries give way.
func (b *Batcher) fits(running []*Stream, s *Stream) bool {
	cache := &b.session.cache
	room := cache.room() + cache.idle
	for _, r := range running {
		room -= r.maxTokens - len(r.row.path)
	}
	n := len(s.prompt) - 1
	if len(running) == maxBatchRows || s.maxTokens-n > room {
		return false
	}
	_, shared := b.prefixes.closest(s.prompt[:n])
	return s.maxTokens-len(shared) <= room-cache.idleOf(shared)
}

// takeSlots gives a stream that fits the slots of its prompt: those that the prefix cache has, and new ones. The error
// is of the device, whose memory the cache may grow in.
func (b *Batcher) takeSlots(s *Stream) (err error) {
	defer kernel.Catch(&err)
	n := len(s.prompt) - 1
	s.row.path = b.prefixes.share(make([]int32, 0, n), s.prompt[:n])
	shared := len(s.row.path)
	b.prefixes.makeRoom(n - shared)
	path, err := b.session.cache.slots(s.row.path, n-shared)
	if err != nil {
		panic("policy: " + err.Error()) // fits has counted
	}
	s.row.path, s.computed = path, shared
	s.mu.Lock()
	s.cached = shared
	s.mu.Unlock()
	return nil
}

// prefill computes up to chunk tokens of the prompt that is not computed yet, if there is one.
func (b *Batcher) prefill(running []*Stream, chunk int) {
	i := slices.IndexFunc(running, prefilling)
	if i < 0 {
		return
	}
	s := running[i]
	n := len(s.prompt) - 1
	to := min(n, s.computed+chunk)
	b.session.prefillFrom(s.prompt[:to], s.row.path[:to], s.computed)
	if s.computed = to; to == n {
		s.prefilled, s.row.last = true, s.prompt[n]
		b.prefixes.add(s.prompt[:n], s.row.path[:n:n])
	}
}

// step draws one token for every stream whose prompt is computed. An error, of broken
// weights, ends the stream that it happened to.
func (b *Batcher) step(running []*Stream) {
	b.drawing = b.drawing[:0]
	for _, s := range running {
		if drawing(s) {
			b.drawing = append(b.drawing, s)
		}
	}
	if len(b.drawing) == 0 {
		return
	}
	f, session := b.session.f, b.session
	f.ids.Host, f.picks, session.paths = f.ids.Host[:0], f.picks[:0], session.paths[:0]
	b.prefixes.makeRoom(len(b.drawing))
	b.constrain()
	for i, s := range b.drawing {
		var err error
		if s.row.path, err = session.cache.slots(s.row.path, 1); err != nil {
			panic("policy: " + err.Error()) // fits has counted
		}
		f.ids.Host = append(f.ids.Host, s.row.last)
		session.paths = append(session.paths, s.row.path)
		f.picks = s.row.ask(f.picks, i, s.top, s.allowed)
	}
	f.treeDecode(treeRows{&session.cache, session.paths})
	f.answer()
	for _, s := range b.drawing {
		s.take(b.p, &f.picks[s.row.pick])
	}
}

// constrain asks the constraints what may be drawn, several at once: their work grows with the vocabulary.
func (b *Batcher) constrain() {
	if !slices.ContainsFunc(b.drawing, func(s *Stream) bool { return s.req.Constraint != nil }) {
		return
	}
	kernel.Spread(len(b.drawing), func(first, last int) {
		for _, s := range b.drawing[first:last] {
			if s.req.Constraint != nil {
				s.allowed, s.failed = s.req.Constraint.Allowed()
			}
		}
	})
}

// take publishes the token that a stream has drawn.
func (s *Stream) take(p *Policy, pick *kernel.Pick) {
	switch {
	case s.failed != nil:
		return
	case pick.ID < 0:
		s.failed = errors.New("policy: the constraint allows no token")
		return
	}
	if err := s.row.take(p, pick); err != nil {
		s.failed = fmt.Errorf("policy: %w", err)
		return
	}
	t := Token{ID: pick.ID, LogProb: pick.LogProb, Top: pick.Likeliest, Of: pick.LogProbs}
	t.alignTop()
	s.publish(func() { s.tokens = append(s.tokens, t) })
}
