package policy

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"itool/stages/policy/kernel"
)

// The number of prompts that decode together, and the size of their KV cache. Both bound the memory. A
// CPU gains nothing from more than a few dozen rows.
const (
	maxBatchRows  = 64
	maxBatchBytes = 1 << 30
)

// Generate draws one continuation for each of many prompts, as evaluation does. It is static batching: a
// batch of prompts decodes until the longest answer has ended. req.From is not used; prompt i draws with
// seed req.Seed + i. The draws are in the order of the prompts. They have no End, because the cache is
// reused. A prompt's draw does not depend on the other prompts.
func (p *Policy) Generate(ctx context.Context, prompts [][]int32, req Request) (_ []Draw, err error) {
	defer kernel.Catch(&err)
	order := make([]int, len(prompts))
	for i, ids := range prompts {
		order[i] = i
		if err := p.checkSequence(Sequence{Prompt: ids}); err != nil {
			return nil, fmt.Errorf("policy: generate: prompt %d: %w", i, err)
		}
	}
	if p.server != nil {
		return p.generateServed(ctx, prompts, req)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(prompts[b]), len(prompts[a])) })
	// The most tokens that one prompt may need. Batches are planned with it, so that none fills the cache.
	most := func(i int) int {
		if req.MaxTokens > 0 {
			return min(len(prompts[i])+req.MaxTokens, p.ContextLength())
		}
		return p.ContextLength()
	}
	s := newSession(p)
	s.cache.limit = p.tokensIn(maxBatchBytes, maxBatchRows*p.ContextLength())
	draws := make([]Draw, len(prompts))
	for from := 0; from < len(order); {
		to, tokens := from, 0
		fits := func(i int) bool { return to == from || tokens+most(i) <= s.cache.limit }
		for to < len(order) && to-from < maxBatchRows && fits(order[to]) {
			tokens += most(order[to])
			to++
		}
		if err := s.generateBatch(ctx, prompts, order[from:to], req, draws); err != nil {
			return nil, err
		}
		from = to
	}
	return draws, nil
}

// generateBatch computes the prompts with the indices at, and draws from all of them together.
func (s *Session) generateBatch(ctx context.Context, prompts [][]int32, at []int, req Request, draws []Draw) error {
	s.rewind(0)
	reqs := make([]Request, len(at))
	for n, i := range at {
		if err := ctx.Err(); err != nil {
			return err
		}
		root, err := s.prefill(prompts[i])
		if err != nil {
			return fmt.Errorf("policy: generate: prompt %d: %w", i, err)
		}
		reqs[n] = req
		reqs[n].From, reqs[n].Seed = root, req.Seed+uint64(i)
	}
	got, err := s.Draw(ctx, reqs)
	if err != nil {
		return err
	}
	for n, i := range at {
		got[n].End = Branch{}
		draws[i] = got[n]
	}
	return nil
}
