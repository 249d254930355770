package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"itool/stages/policy/kernel"
	"itool/stages/policy/sample"
)

// This file is decoding along one tree: Session.Draw continues many branches together, one token for
// each in every step. continuous.go joins the steps of several sessions.

// decoder is one call of Draw while it runs. Its rows are those of the session.
type decoder struct {
	*Session
	ctx     context.Context
	reqs    []Request
	draws   []Draw
	err     error       // why it ended before its rows did
	fresh   []int32     // nodes that the current step computes; their paths are in Session.paths
	heads   kernel.Ints // nodes that the current step draws after
	signals chan signal // wakes its goroutine while another one leads; buffered: at most one is pending
}

// Draw draws a continuation for every request. All of them decode in one batch, together with those of
// the policy's other sessions that draw at the same time. The draws are in the order of the requests.
// After an error the session's cache is as it was before the call.
//
// A token is computed once in a session, however many requests draw it after the same tokens, in this call
// or in later ones.
//
// Stop and Done functions are called one at a time, possibly by a goroutine that decodes for this one. They
// must not draw themselves, and a slow one delays all sessions that draw at the same time.
func (s *Session) Draw(ctx context.Context, reqs []Request) ([]Draw, error) {
	if s.p.server != nil {
		return s.drawServed(ctx, reqs)
	}
	used := s.cache.used
	d := &decoder{
		Session: s, ctx: ctx, reqs: reqs, draws: make([]Draw, len(reqs)), signals: make(chan signal, 1),
	}
	s.rows = s.rows[:0]
	for i := range reqs {
		if err := d.add(i); err != nil {
			return nil, fmt.Errorf("policy: draw: request %d: %w", i, err)
		}
	}
	if len(s.rows) == 0 {
		return d.draws, nil
	}
	s.p.batch.decode(d)
	switch {
	case d.err == nil:
		return d.draws, nil
	case ctx.Err() != nil:
		s.rewind(used)
		return nil, ctx.Err()
	default:
		s.rewind(used)
		return nil, fmt.Errorf("policy: draw: %w", d.err)
	}
}

// add checks a request and makes its row. A request that may draw nothing gets an empty draw and no row.
func (d *decoder) add(request int) error {
	r := &d.reqs[request]
	limit, err := d.limit(r)
	if err != nil {
		return err
	}
	draw := &d.draws[request]
	*draw = Draw{End: r.From, Reason: ReasonLength}
	if limit == 0 {
		return nil
	}
	// Allocate for a short answer; append grows the slices of longer ones.
	room := min(limit, 64)
	draw.Tokens, draw.LogProbs = make([]int32, 0, room), make([]float32, 0, room)
	path := append(make([]int32, 0, len(r.From.path)+room), r.From.path...)
	d.rows = append(d.rows, row{
		req: r, request: request, path: path, last: r.From.last, limit: limit, sampler: d.newSampler(r.Seed),
	})
	return nil
}

// limit checks a request, and returns the most tokens that it may draw.
func (s *Session) limit(r *Request) (int, error) {
	if err := r.settings().Validate(); err != nil {
		return 0, err
	}
	if !s.owns(r.From) {
		return 0, errForeign
	}
	if r.MaxTokens < 0 {
		return 0, fmt.Errorf("max_tokens: %d: negative", r.MaxTokens)
	}
	if r.Constraint != nil {
		return 0, errors.New("a constraint needs a Batcher")
	}
	limit := s.p.ContextLength() - r.From.Len()
	if r.MaxTokens > 0 {
		limit = min(limit, r.MaxTokens)
	}
	return limit, nil
}

// newSampler reuses a sampler of a row that has ended.
func (s *Session) newSampler(seed uint64) *sample.Sampler {
	n := len(s.samplers)
	if n == 0 {
		return sample.New(seed)
	}
	sampler := s.samplers[n-1]
	s.samplers = s.samplers[:n-1]
	sampler.Reset(seed)
	return sampler
}

// extend moves every row's last token into its path, and lists what a step has to compute: fresh, the
// tokens that were not computed before, and heads, the places whose next token is drawn.
func (d *decoder) extend() error {
	if err := d.ctx.Err(); err != nil {
		return err
	}
	d.paths, d.fresh, d.heads.Host = d.paths[:0], d.fresh[:0], d.heads.Host[:0]
	for i := range d.rows {
		r, after := &d.rows[i], int32(-1)
		if n := len(r.path); n > 0 {
			after = r.path[n-1]
		}
		r.node = d.drawn.find(after, r.last)
		if r.node < 0 {
			slot, err := d.cache.take(1)
			if err != nil {
				return err
			}
			r.node = d.drawn.add(after, r.last, int32(slot))
			r.path = append(r.path, int32(slot))
			d.paths, d.fresh = append(d.paths, r.path), append(d.fresh, r.node)
		} else {
			r.path = append(r.path, d.drawn.nodes[r.node].slot)
		}
		if n := &d.drawn.nodes[r.node]; n.head < 0 {
			n.head = int32(len(d.heads.Host))
			d.heads.Host = append(d.heads.Host, r.node)
		}
	}
	for _, n := range d.heads.Host {
		d.drawn.nodes[n].head = -1
	}
	return nil
}

// ask adds what follows the nodes of the step, which are the rows from on of the head.
func (d *decoder) ask(picks []kernel.Pick, from int) []kernel.Pick {
	for i, node := range d.heads.Host {
		for j := range d.rows {
			if r := &d.rows[j]; r.node == node {
				picks = r.ask(picks, from+i, 0, nil)
			}
		}
	}
	return picks
}

// take appends the token that row i has drawn.
func (d *decoder) take(i int, picks []kernel.Pick) {
	if d.err != nil {
		return
	}
	r := &d.rows[i]
	pick, draw := &picks[r.pick], &d.draws[r.request]
	if err := r.take(d.p, pick); err != nil {
		d.err = fmt.Errorf("request %d: %w", r.request, err)
		return
	}
	draw.Tokens = append(draw.Tokens, pick.ID)
	draw.LogProbs = append(draw.LogProbs, float32(pick.LogProb))
	if r.end != "" {
		draw.Reason, draw.End = r.end, d.branch(r.path, r.last)
		if r.req.Done != nil {
			r.req.Done(draw)
		}
	}
}

// done removes the rows that have ended, and tells whether the decoder has ended.
func (d *decoder) done() bool {
	d.rows = slices.DeleteFunc(d.rows, func(r row) bool {
		if r.end != "" {
			d.samplers = append(d.samplers, r.sampler)
		}
		return r.end != ""
	})
	return d.err != nil || len(d.rows) == 0
}
