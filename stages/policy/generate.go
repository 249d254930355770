package policy

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"itool/stages/policy/kernel"
)

// The number of rows (requests for prompts) that decode together, and the size of their KV cache. Both bound the
// memory. A CPU gains nothing from more than a few dozen rows.
const (
	maxBatchRows  = 64
	maxBatchBytes = 1 << 30
)

// Generate draws one continuation for each of many prompts, as evaluation does: GenerateEach with one request.
func (p *Policy) Generate(ctx context.Context, prompts [][]int32, req Request) ([]Draw, error) {
	draws, err := p.GenerateEach(ctx, prompts, []Request{req})
	if err != nil {
		return nil, err
	}
	return draws[0], nil
}

// GenerateEach draws one continuation per request for each of many prompts. A prompt is computed once for as
// many requests as fit into the KV cache. It is static batching: a batch of prompts decodes until the longest
// answer has ended. From of the requests is not used; prompt i draws with seed Seed + i of each. The draws are
// by request, in the order of the prompts. They have no End, because the cache is reused. A draw depends on its
// prompt and request alone.
func (p *Policy) GenerateEach(ctx context.Context, prompts [][]int32, reqs []Request) (_ [][]Draw, err error) {
	defer kernel.Catch(&err)
	draws := make([][]Draw, 0, len(reqs))
	for range reqs {
		draws = append(draws, make([]Draw, len(prompts)))
	}
	for i, ids := range prompts {
		if err := p.checkSequence(Sequence{Prompt: ids}); err != nil {
			return nil, fmt.Errorf("policy: generate: prompt %d: %w", i, err)
		}
	}
	generate, atOnce := p.generateServed, max(len(reqs), 1)
	if p.server == nil {
		generate, atOnce = p.generate, p.requestsAtOnce(prompts, reqs)
	}
	for from := 0; from < len(reqs); from += atOnce {
		to := min(from+atOnce, len(reqs))
		if err := generate(ctx, prompts, reqs[from:to], draws[from:to]); err != nil {
			return nil, err
		}
	}
	return draws, nil
}

// batchTokens is how many tokens the KV cache of a batch holds.
func (p *Policy) batchTokens() int { return p.tokensIn(maxBatchBytes, maxBatchRows*p.ContextLength()) }

// room is the most tokens that a request may draw after a prompt.
func (p *Policy) room(prompt []int32, r *Request) int {
	room := p.ContextLength() - len(prompt)
	if r.MaxTokens > 0 {
		room = min(room, r.MaxTokens)
	}
	return room
}

// requestsAtOnce is how many of the requests fit into the KV cache behind each of the prompts, at least one.
func (p *Policy) requestsAtOnce(prompts [][]int32, reqs []Request) int {
	n := maxBatchRows
	for _, ids := range prompts {
		most := 1
		for i := range reqs {
			most = max(most, p.room(ids, &reqs[i]))
		}
		n = min(n, max((p.batchTokens()-len(ids))/most, 1))
	}
	return n
}

// generate is GenerateEach for requests that fit into the KV cache behind each prompt.
func (p *Policy) generate(ctx context.Context, prompts [][]int32, reqs []Request, draws [][]Draw) error {
	order := make([]int, len(prompts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(prompts[b]), len(prompts[a])) })
	// The most tokens that one prompt may need. Batches are planned with it, so that none fills the cache.
	most := func(i int) int {
		n := len(prompts[i])
		for r := range reqs {
			n += p.room(prompts[i], &reqs[r])
		}
		return n
	}
	s := newSession(p)
	s.cache.limit = p.batchTokens()
	for from := 0; from < len(order); {
		to, tokens := from, 0
		fits := func(i int) bool {
			return to == from || (to-from+1)*len(reqs) <= maxBatchRows && tokens+most(i) <= s.cache.limit
		}
		for to < len(order) && fits(order[to]) {
			tokens += most(order[to])
			to++
		}
		if err := s.generateBatch(ctx, prompts, order[from:to], reqs, draws); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// generateBatch computes the prompts with the indices at, and draws from all of them together. What a prompt has in
// common with one before it, such as the tools of a conversation, is computed once.
func (s *Session) generateBatch(
	ctx context.Context, prompts [][]int32, at []int, reqs []Request, draws [][]Draw,
) error {
	s.rewind(0)
	rows := make([]Request, 0, len(at)*len(reqs))
	paths := make([][]int32, len(at))
	for n, i := range at {
		if err := ctx.Err(); err != nil {
			return err
		}
		tokens := prompts[i][:len(prompts[i])-1]
		var shared []int32 // the slots of the longest common beginning
		for before, path := range paths[:n] {
			if k := min(commonPrefix(prompts[at[before]], tokens), len(path)); k > len(shared) {
				shared = path[:k]
			}
		}
		path, err := s.cache.slots(append(make([]int32, 0, len(tokens)), shared...), len(tokens)-len(shared))
		if err != nil {
			return fmt.Errorf("policy: generate: prompt %d: %w", i, err)
		}
		s.prefillFrom(tokens, path, len(shared))
		paths[n] = path
		rows = appendRows(rows, reqs, i, s.branch(path, prompts[i][len(tokens)]))
	}
	return s.drawRows(ctx, rows, at, draws)
}

// appendRows appends the requests as they are for prompt i, which ends at root.
func appendRows(rows, reqs []Request, i int, root Branch) []Request {
	for _, r := range reqs {
		r.From, r.Seed = root, r.Seed+uint64(i)
		rows = append(rows, r)
	}
	return rows
}

// drawRows draws the rows, which are those of the prompts with the indices at, one for each element of draws.
func (s *Session) drawRows(ctx context.Context, rows []Request, at []int, draws [][]Draw) error {
	got, err := s.Draw(ctx, rows)
	if err != nil {
		return err
	}
	for n, i := range at {
		for r := range draws {
			draws[r][i] = got[n*len(draws)+r]
			draws[r][i].End = Branch{}
		}
	}
	return nil
}
