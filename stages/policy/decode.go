package policy

import (
	"context"
	"fmt"
	"slices"

	"itool/stages/policy/sample"
)

// row is a request while it is drawn.
type row struct {
	at      int // in requests and draws
	path    []int32
	last    int32
	limit   int // tokens it may still draw
	sampler *sample.Sampler
	end     Reason
}

// Draw continues every request, all in one batch, token by token. The draws are in
// the order of the requests. On an error nothing is kept.
func (s *Session) Draw(ctx context.Context, reqs []Request) ([]Draw, error) {
	used := s.cache.used
	draws := make([]Draw, len(reqs))
	s.rows = s.rows[:0]
	for i := range reqs {
		if err := s.admit(&reqs[i], i, &draws[i]); err != nil {
			s.rows = s.rows[:0]
			return nil, fmt.Errorf("policy: draw: request %d: %w", i, err)
		}
	}
	for len(s.rows) > 0 {
		err := ctx.Err()
		if err == nil {
			err = s.step(reqs, draws)
		}
		if err != nil {
			s.cache.used = used
			s.rows = s.rows[:0]
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("policy: draw: %w", err)
		}
	}
	return draws, nil
}

func (s *Session) admit(r *Request, at int, d *Draw) error {
	if err := r.settings().Validate(); err != nil {
		return err
	}
	if !s.owns(r.From) {
		return errForeign
	}
	if r.MaxTokens < 0 {
		return fmt.Errorf("max_tokens: %d: negative", r.MaxTokens)
	}
	*d = Draw{End: r.From, Reason: ReasonLength}
	limit := s.p.ContextLength() - r.From.Len()
	if r.MaxTokens > 0 {
		limit = min(limit, r.MaxTokens)
	}
	if limit == 0 {
		return nil
	}
	// Room for a short answer at once; longer ones grow as they come.
	room := min(limit, 64)
	d.Tokens, d.LogProbs = make([]int32, 0, room), make([]float32, 0, room)
	path := append(make([]int32, 0, len(r.From.path)+room), r.From.path...)
	s.rows = append(s.rows, row{at: at, path: path, last: r.From.last, limit: limit, sampler: sample.New(r.Seed)})
	return nil
}

// step draws one token for every row and drops the rows that end.
func (s *Session) step(reqs []Request, draws []Draw) error {
	slot, err := s.cache.take(len(s.rows))
	if err != nil {
		return err
	}
	f := s.f
	f.ids, s.paths = f.ids[:0], s.paths[:0]
	for i := range s.rows {
		r := &s.rows[i]
		r.path = append(r.path, int32(slot+i))
		f.ids = append(f.ids, r.last)
		s.paths = append(s.paths, r.path)
	}
	s.pass(f.ids, s.paths)
	err = f.eachLogits(len(s.rows), func(i int, logits []float32) error {
		r := &s.rows[i]
		req, d := &reqs[r.at], &draws[r.at]
		id, logp := r.sampler.Pick(logits, req.settings())
		if logp-logp != 0 {
			return fmt.Errorf("request %d: log-probability %v: the weights are broken, or overflow", r.at, logp)
		}
		d.Tokens = append(d.Tokens, id)
		d.LogProbs = append(d.LogProbs, float32(logp))
		r.last = id
		r.limit--
		switch {
		case s.p.IsEnd(id):
			r.end = ReasonEndOfTurn
		case req.Stop != nil && req.Stop(id):
			r.end = ReasonStop
		case r.limit == 0:
			r.end = ReasonLength
		}
		if r.end != "" {
			d.Reason, d.End = r.end, Branch{of: s, epoch: s.epoch, path: r.path, last: r.last}
		}
		return nil
	})
	s.rows = slices.DeleteFunc(s.rows, func(r row) bool { return r.end != "" })
	return err
}
