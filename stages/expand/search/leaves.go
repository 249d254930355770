package search

import (
	"math"
	"slices"
)

// This file selects the leaves that are expanded next: one, or several at the same time
// if Params.Leaves is above 1.
//
// Several are selected one after the other with a virtual loss (Chaslot et al. 2008,
// "Parallel Monte-Carlo Tree Search"): until its rewards are known, a visit in flight
// counts as one that failed, with −1. So the next selection goes elsewhere, unless the
// branch is better than the others by more than that. A node that is being expanded is
// passed by on the way to its children, if it has any.

// virtualLoss is the assumed Q of a visit in flight: the outcome of a wrong answer.
const virtualLoss = -1

// selectLeaves returns the leaves, or terminals, of the next iterations, at least one.
func (s *searcher) selectLeaves() []int {
	n := min(s.params.Leaves, s.params.Iterations-s.tree.Iterations)
	s.leaves = s.leaves[:0]
	if n <= 1 {
		s.leaves = append(s.leaves, s.descend(0))
		return s.leaves
	}
	s.virtual = slices.Grow(s.virtual[:0], len(s.tree.Nodes))[:len(s.tree.Nodes)]
	s.busy = slices.Grow(s.busy[:0], len(s.tree.Nodes))[:len(s.tree.Nodes)]
	clear(s.virtual)
	clear(s.busy)
	for len(s.leaves) < n {
		leaf := s.descend(0)
		if s.busy[leaf] {
			break // it has no children yet: nothing else can be selected there
		}
		s.busy[leaf] = s.open(&s.tree.Nodes[leaf])
		s.leaves = append(s.leaves, leaf)
		for at := leaf; at >= 0; at = s.tree.Nodes[at].Parent {
			s.virtual[at]++
		}
	}
	s.virtual, s.busy = s.virtual[:0], s.busy[:0]
	return s.leaves
}

// descend follows Eq. 5 from a node to the first leaf or terminal.
func (s *searcher) descend(from int) int {
	at := from
	for {
		n := &s.tree.Nodes[at]
		if len(n.Children) == 0 || s.open(n) && !(at < len(s.busy) && s.busy[at]) {
			return at
		}
		at = s.best(at)
	}
}

// best is Eq. 5: argmaxₐ Q(s,a) + c · p(a|s) · √N(s) / (1 + N(s,a)).
func (s *searcher) best(node int) int {
	n := &s.tree.Nodes[node]
	explore := s.params.C * math.Sqrt(float64(n.N+s.inFlight(node)))
	best, bestScore := n.Children[0], math.Inf(-1)
	for _, child := range n.Children {
		c := &s.tree.Nodes[child]
		q, visits := c.Q, c.N
		if lost := s.inFlight(child); lost > 0 {
			visits += lost
			q = (float64(c.Q*float64(c.N)) + float64(virtualLoss*lost)) / float64(visits)
		}
		score := q + float64(explore*c.Prior)/float64(1+visits)
		if score > bestScore {
			best, bestScore = child, score
		}
	}
	return best
}

// inFlight is the number of visits of a node whose rewards are not known yet.
func (s *searcher) inFlight(node int) int {
	if node >= len(s.virtual) {
		return 0
	}
	return s.virtual[node]
}
