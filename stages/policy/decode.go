package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"itool/stages/policy/sample"
)

// This file is decoding along one tree: Session.Draw continues many branches together, one token for
// each in every step. continuous.go joins the steps of several sessions.

// row is a request that is being drawn.
type row struct {
	request int     // index in requests and draws
	path    []int32 // cache slots of its tokens, the prompt's included
	last    int32   // the token after them, whose keys are not computed yet
	node    int32   // of the session's token tree: the token at the end of path, in a step
	limit   int     // tokens that it may still draw
	sampler *sample.Sampler
	picked  picked
	end     Reason // empty while it runs
}

// picked is the next token of a row, and its log-probability in nats.
type picked struct {
	id   int32
	logp float64
}

// decoder is one call of Draw while it runs. Its rows are those of the session.
type decoder struct {
	*Session
	ctx     context.Context
	reqs    []Request
	draws   []Draw
	err     error       // why it ended before its rows did
	fresh   []int32     // nodes that the current step computes; their paths are in Session.paths
	heads   []int32     // nodes whose logits the current step computes
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
	if err := r.settings().Validate(); err != nil {
		return err
	}
	if !d.owns(r.From) {
		return errForeign
	}
	if r.MaxTokens < 0 {
		return fmt.Errorf("max_tokens: %d: negative", r.MaxTokens)
	}
	if r.Constraint != nil {
		return errors.New("a constraint needs a Batcher")
	}
	draw := &d.draws[request]
	*draw = Draw{End: r.From, Reason: ReasonLength}
	limit := d.p.ContextLength() - r.From.Len()
	if r.MaxTokens > 0 {
		limit = min(limit, r.MaxTokens)
	}
	if limit == 0 {
		return nil
	}
	// Allocate for a short answer; append grows the slices of longer ones.
	room := min(limit, 64)
	draw.Tokens, draw.LogProbs = make([]int32, 0, room), make([]float32, 0, room)
	path := append(make([]int32, 0, len(r.From.path)+room), r.From.path...)
	d.rows = append(d.rows, row{
		request: request, path: path, last: r.From.last, limit: limit, sampler: d.newSampler(r.Seed),
	})
	return nil
}

// newSampler reuses a sampler of a row that has ended: its buffer has a number for each token of the
// vocabulary.
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
	d.paths, d.fresh, d.heads = d.paths[:0], d.fresh[:0], d.heads[:0]
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
			n.head = int32(len(d.heads))
			d.heads = append(d.heads, r.node)
		}
	}
	for _, n := range d.heads {
		d.drawn.nodes[n].head = -1
	}
	return nil
}

// pick draws the next token, for take, of all rows that are at a node. It may run for several nodes at
// once. The rows have the same logits, so rows with the same settings share the first one's distribution.
func (d *decoder) pick(node int32, logits []float32) {
	var first *row
	for i := range d.rows {
		r := &d.rows[i]
		if r.node != node {
			continue
		}
		set := d.reqs[r.request].settings()
		if first != nil && set == d.reqs[first.request].settings() {
			r.picked.id, r.picked.logp = r.sampler.PickAs(first.sampler, logits, set)
			continue
		}
		r.picked.id, r.picked.logp = r.sampler.Pick(logits, set)
		if first == nil {
			first = r
		}
	}
}

// take appends the token that row i has picked, and decides whether it was the last.
func (d *decoder) take(i int) {
	if d.err != nil {
		return
	}
	r := &d.rows[i]
	req, draw, id, logp := &d.reqs[r.request], &d.draws[r.request], r.picked.id, r.picked.logp
	if logp-logp != 0 {
		d.err = fmt.Errorf("request %d: log-probability %v: the weights are broken, or overflow", r.request, logp)
		return
	}
	draw.Tokens = append(draw.Tokens, id)
	draw.LogProbs = append(draw.LogProbs, float32(logp))
	r.last = id
	r.limit--
	switch {
	case d.p.IsEnd(id):
		r.end = ReasonEndOfTurn
	case req.Stop != nil && req.Stop(id):
		r.end = ReasonStop
	case r.limit == 0:
		r.end = ReasonLength
	}
	if r.end != "" {
		draw.Reason, draw.End = r.end, d.branch(r.path, r.last)
		if req.Done != nil {
			req.Done(draw)
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
