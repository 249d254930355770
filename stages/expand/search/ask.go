package search

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// request makes the request of one draw. Its seed is element number of the SplitMix64
// sequence that starts at Params.Seed. That is a bijection of the number, so no two
// draws of a search share a seed.
func (s *searcher) request(node, fragments int, number uint64) Request {
	return Request{
		Node: node, Fragments: fragments, Seed: splitMix(s.params.Seed + number*0x9e3779b97f4a7c15),
		Temperature: s.tree.Temperature,
	}
}

// splitMix is the output function of SplitMix64 (Steele, Lea, Flood 2014).
func splitMix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// draw has the oracle answer the queued requests and refuses paths that would break
// the tree.
func (s *searcher) draw(ctx context.Context) ([][]Fragment, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	paths, err := s.oracle.Draw(ctx, s.tree, s.requests)
	if err != nil {
		return nil, err
	}
	if len(paths) != len(s.requests) {
		return nil, fmt.Errorf("%d paths for %d requests", len(paths), len(s.requests))
	}
	for i, path := range paths {
		if path == nil && s.requests[i].Ahead {
			continue
		}
		if err := checkPath(path, s.requests[i].Fragments); err != nil {
			return nil, fmt.Errorf("path %d of %d: %w", i+1, len(paths), err)
		}
	}
	return paths, nil
}

// checkPath checks a path of Draw against its request: it must end at its first
// terminal, or have exactly limit fragments (0 = no limit).
func checkPath(path []Fragment, limit int) error {
	if limit > 0 && len(path) > limit {
		return fmt.Errorf("%d fragments, asked for %d", len(path), limit)
	}
	for i, f := range path {
		if err := f.check(i == len(path)-1); err != nil {
			return fmt.Errorf("fragment %d: %w", i+1, err)
		}
	}
	if len(path) == 0 || !path[len(path)-1].Terminal && len(path) != limit {
		return fmt.Errorf("ends after %d fragments without a terminal", len(path))
	}
	return nil
}

func (f Fragment) check(last bool) error {
	switch {
	case f.Terminal && !last:
		return errors.New("terminal before the end of the path")
	case f.Cut && !f.Terminal:
		return errors.New("cut but not terminal")
	case len(f.Tokens) == 0 && !f.Terminal:
		return errors.New("no tokens: the answer would never end")
	case math.IsNaN(f.LogProb) || math.IsInf(f.LogProb, 0) || f.LogProb > 1e-3: // sums of float32 can exceed 0 slightly
		return fmt.Errorf("mean log-probability is %v, want finite and at most 0", f.LogProb)
	}
	return nil
}
