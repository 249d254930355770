package search

import (
	"context"
	"math"
	"slices"
)

// This file draws the children of leaves. The rule of a leaf is: draw as many fragments
// as it misses children, drop the duplicates, and again, until the leaf is closed. The
// rule takes draws in the order of their seeds, so draws of several rounds can be
// requested at once: those that the rule does not take are forgotten.

// widening is a leaf while its children are drawn.
type widening struct {
	leaf  int
	seeds uint64       // used before its first draw
	paths [][]Fragment // of its draws in order; nil: not drawn yet

	taken  int  // draws that the rule takes, as far as is known
	sure   int  // draws that it takes besides, for sure
	closed bool // it takes no others
}

// widen draws single fragments for each leaf until it is closed.
func (s *searcher) widen(ctx context.Context, leaves []int) error {
	all := make([]*widening, 0, len(leaves))
	for _, leaf := range leaves {
		s.updateCovered(leaf) // a roll-out can have added a child here
		n := &s.tree.Nodes[leaf]
		w := &widening{leaf: leaf, seeds: s.seeds, paths: make([][]Fragment, s.quota()-n.Draws)}
		if len(leaves) > 1 {
			s.seeds += uint64(len(w.paths)) // the leaves' seeds do not depend on one another's draws
		}
		s.settle(w)
		all = append(all, w)
	}
	for open := slices.Clone(all); ; {
		open = slices.DeleteFunc(open, func(w *widening) bool { return w.closed })
		if len(open) == 0 {
			break
		}
		if err := s.drawFor(ctx, open); err != nil {
			return err
		}
	}
	for _, w := range all {
		s.take(w)
		if len(leaves) == 1 {
			s.seeds += uint64(w.taken)
		}
	}
	return nil
}

// quota is the number of draws after which a node is closed.
func (s *searcher) quota() int { return s.params.Width * s.params.DrawsPerChild }

// drawFor requests the next draws of each leaf and sees what its rule takes of them.
func (s *searcher) drawFor(ctx context.Context, open []*widening) error {
	s.requests = s.requests[:0]
	var places []*[]Fragment // by request: where its path goes
	for _, w := range open {
		from, most := len(s.requests), s.oracle.Ahead/len(open)
		for k := w.taken; k < len(w.paths); k++ {
			ahead := k >= w.taken+w.sure
			if ahead && len(s.requests)-from >= most {
				break
			}
			if w.paths[k] == nil {
				s.requests = append(s.requests, s.drawRequest(w, k, ahead))
				places = append(places, &w.paths[k])
			}
		}
	}
	paths, err := s.draw(ctx)
	if err != nil {
		return err
	}
	for i, place := range places {
		*place = paths[i]
	}
	for _, w := range open {
		s.settle(w)
	}
	return nil
}

// drawRequest is the request of draw k of a leaf.
func (s *searcher) drawRequest(w *widening, k int, ahead bool) Request {
	r := s.request(w.leaf, 1, w.seeds+uint64(k)+1)
	if s.oracle.Ahead == 0 {
		return r
	}
	r.Ahead = ahead
	r.Needed = func() bool { return !w.closed || k < w.taken }
	r.Ready = func(path []Fragment) {
		if checkPath(path, 1) == nil { // draw refuses others
			w.paths[k] = path
			s.settle(w)
		}
	}
	return r
}

// settle applies the rule to the draws so far, without changing the tree.
func (s *searcher) settle(w *widening) {
	n := &s.tree.Nodes[w.leaf]
	s.siblings = s.siblings[:0]
	for _, child := range n.Children {
		s.siblings = append(s.siblings, s.tree.Nodes[child].Tokens)
	}
	share := s.share(n)
	for w.taken, w.sure = 0, 0; ; {
		left := len(w.paths) - w.taken
		missing := min(s.params.Width-len(s.siblings), left)
		if w.closed = missing <= 0 || s.params.Coverage > 0 && share >= s.params.Coverage; w.closed {
			return
		}
		for i := range missing {
			path := w.paths[w.taken]
			if path == nil {
				w.sure = missing - i
				return
			}
			w.taken++
			if f := path[0]; !s.repeats(f.Tokens) {
				s.siblings = append(s.siblings, f.Tokens)
				share += f.probability()
			}
		}
	}
}

// repeats tells whether one of the siblings has the same tokens.
func (s *searcher) repeats(tokens []int32) bool {
	return slices.ContainsFunc(s.siblings, func(other []int32) bool { return slices.Equal(other, tokens) })
}

// take adds to the tree the draws that the rule takes. Duplicates are dropped, so each
// distinct fragment has one prior.
func (s *searcher) take(w *widening) {
	s.tree.Draws += w.taken
	s.tree.Nodes[w.leaf].Draws += w.taken
	for k, path := range w.paths {
		switch {
		case k < w.taken:
			s.tree.Tokens += len(path[0].Tokens)
			s.addDistinct(w.leaf, path[0])
		case path != nil && s.oracle.Release != nil:
			s.oracle.Release(path[0].Handle)
		}
	}
	s.updateCovered(w.leaf)
}

// updateCovered marks a node whose children hold nearly all of the probability. No
// fragment of a node is a prefix of another one, so their probabilities add up.
func (s *searcher) updateCovered(node int) {
	n := &s.tree.Nodes[node]
	n.Covered = s.params.Coverage > 0 && s.share(n) >= s.params.Coverage
}

// share is the probability of a node's children at temperature 1.
func (s *searcher) share(n *Node) float64 {
	share := 0.0
	for _, child := range n.Children {
		c := &s.tree.Nodes[child]
		share += Fragment{Tokens: c.Tokens, LogProb: c.LogProb}.probability()
	}
	return share
}

// probability of the fragment at temperature 1.
func (f Fragment) probability() float64 { return math.Exp(f.LogProb * float64(len(f.Tokens))) }
