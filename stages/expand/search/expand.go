package search

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// expand draws new children for each of the leaves until it has Width distinct ones or
// its draws are used up. It rolls each new child out, has the ends judged and backs the
// rewards up. It returns the leaves that got no new child; all are closed afterwards.
func (s *searcher) expand(ctx context.Context, leaves []int) (closed []int, err error) {
	if len(leaves) == 0 {
		return nil, nil
	}
	old := make([]int, len(leaves))
	for i, leaf := range leaves {
		old[i] = len(s.tree.Nodes[leaf].Children)
	}
	if err := s.widen(ctx, leaves); err != nil {
		return nil, s.locate(ctx, leaves[0], "draw", err)
	}
	var ends []int
	for i, leaf := range leaves {
		s.setPriors(leaf)
		s.tree.Expansions++
		children := s.tree.Nodes[leaf].Children
		s.tree.Distinct += len(children)
		if ends = append(ends, children[old[i]:]...); len(children) == old[i] {
			closed = append(closed, leaf)
		}
	}
	// All roll-outs in one call, and all judgements in one call, so that the oracle
	// can batch them.
	if err := s.rollOut(ctx, ends); err != nil {
		return nil, s.locate(ctx, leaves[0], "roll out", err)
	}
	if err := s.judge(ctx, ends); err != nil {
		return nil, s.locate(ctx, leaves[0], "evaluate", err)
	}
	for _, end := range ends {
		s.backup(end)
	}
	return closed, nil
}

// locate adds to an error where in the tree it happened. A cancelled context is not
// a failure and gives ctx.Err() itself.
func (s *searcher) locate(ctx context.Context, node int, doing string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("search: node %d at depth %d: %s: %w", node, s.tree.Nodes[node].Depth, doing, err)
}

// addDistinct adds a drawn fragment as a child, unless a sibling has the same tokens.
func (s *searcher) addDistinct(parent int, f Fragment) {
	for _, child := range s.tree.Nodes[parent].Children {
		if slices.Equal(s.tree.Nodes[child].Tokens, f.Tokens) {
			if s.oracle.Release != nil {
				s.oracle.Release(f.Handle)
			}
			return
		}
	}
	s.tree.add(parent, f)
}

// setPriors sets p(a|s) of a node's children: exp of the mean token log-probability,
// normalised over the siblings. The greatest log-probability is subtracted first, so
// that several very unlikely fragments do not underflow to 0/0.
func (s *searcher) setPriors(node int) {
	children := s.tree.Nodes[node].Children
	top, sum := math.Inf(-1), 0.0
	for _, child := range children {
		top = max(top, s.tree.Nodes[child].LogProb)
	}
	for _, child := range children {
		c := &s.tree.Nodes[child]
		c.Prior = math.Exp(c.LogProb - top)
		sum += c.Prior
	}
	for _, child := range children {
		s.tree.Nodes[child].Prior /= sum
	}
}

// rollOut continues each node of ends by one path and replaces it in ends by the
// last node of that path. The nodes of the paths stay in the tree.
func (s *searcher) rollOut(ctx context.Context, ends []int) error {
	s.requests = s.requests[:0]
	for _, end := range ends {
		if !s.tree.Nodes[end].Terminal {
			s.seeds++
			s.tree.Draws++
			s.tree.Nodes[end].Draws++
			s.requests = append(s.requests, s.request(end, s.params.Simulation, s.seeds))
		}
	}
	if len(s.requests) == 0 {
		return nil
	}
	paths, err := s.draw(ctx)
	if err != nil {
		return err
	}
	for i := range ends {
		if s.tree.Nodes[ends[i]].Terminal {
			continue
		}
		for at, f := range paths[0] {
			s.tree.Tokens += len(f.Tokens)
			if at > 0 {
				s.tree.Nodes[ends[i]].Draws++ // the request counted its first fragment only
			}
			ends[i] = s.tree.add(ends[i], f)
		}
		paths = paths[1:]
	}
	return nil
}

// judge asks for R(s), Eq. 6, of the nodes where roll-outs ended.
func (s *searcher) judge(ctx context.Context, ends []int) error {
	if len(ends) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	rewards, err := s.oracle.Evaluate(ctx, s.tree, ends)
	if err != nil {
		return err
	}
	if len(rewards) != len(ends) {
		return fmt.Errorf("%d rewards for %d nodes", len(rewards), len(ends))
	}
	for i, end := range ends {
		n := &s.tree.Nodes[end]
		if err := rewards[i].check(n.Terminal); err != nil {
			return fmt.Errorf("node %d: %w", end, err)
		}
		s.record(end, rewards[i])
	}
	return nil
}

// record writes a reward into its node and counts the finished roll-out in all nodes
// above it.
func (s *searcher) record(end int, r Reward) {
	n := &s.tree.Nodes[end]
	n.Outcome, n.SelfEval, n.Pass = r.Outcome, r.SelfEval, r.Pass
	n.R = r.Outcome + r.SelfEval
	n.Reward = n.R - s.tree.Nodes[n.Parent].R
	if !n.Terminal {
		return
	}
	passing := 0
	if n.Pass {
		passing = 1
	}
	for i := end; i >= 0; i = s.tree.Nodes[i].Parent {
		s.tree.Nodes[i].Finished++
		s.tree.Nodes[i].Passing += passing
	}
}

func (r Reward) check(terminal bool) error {
	sum := r.Outcome + r.SelfEval
	switch {
	case math.IsNaN(sum) || math.IsInf(sum, 0):
		return fmt.Errorf("reward %v + %v is not finite", r.Outcome, r.SelfEval)
	case !terminal && (r.Outcome != 0 || r.Pass):
		return fmt.Errorf("unfinished answer has outcome %v, pass %v; want 0, false", r.Outcome, r.Pass)
	}
	return nil
}
