package search

// backup counts one visit of the node where a descent or a roll-out ended, and
// updates that node and every node above it, bottom-up:
//
//	Eq. 8  V(s) = Σₐ N(s')·Q(s,a) / Σₐ N(s')
//	Eq. 9  Q(s,a) = r(s,a) + γ·V(s')
//
// V is a fresh sum each time instead of a running mean, so it cannot drift from its
// definition.
func (s *searcher) backup(end int) {
	for at := end; at >= 0; at = s.tree.Nodes[at].Parent {
		n := &s.tree.Nodes[at]
		n.N++
		n.V, n.Done = s.value(n)
		n.Q = n.Reward + float64(s.params.Gamma*n.V)
	}
}

// value is Eq. 8, and whether nothing is left to draw at or below the node.
// A child whose first roll-out is not backed up yet has N = 0, so it weighs nothing.
func (s *searcher) value(n *Node) (v float64, done bool) {
	visits, sum := 0, 0.0
	done = !s.open(n)
	for _, child := range n.Children {
		c := &s.tree.Nodes[child]
		visits += c.N
		sum += float64(float64(c.N) * c.Q)
		done = done && c.Done
	}
	if visits == 0 {
		return 0, done
	}
	return sum / float64(visits), done
}
