// Package search grows one tree of answers by Monte Carlo tree search: PUCT
// selection, expansion by sampled fragments, one roll-out per new child, and a
// bottom-up backup (Eq. 5, 6, 8 and 9 of the iTool paper).
//
// A state is the answer so far, an action is a fragment: a run of tokens that
// the policy sampled. The search is a pure function of the Oracle's answers and
// the Params. It knows no model, no text and no clock, starts no goroutine,
// reads and writes nothing.
//
//	tree, err := search.Search(ctx, search.Oracle{Draw: draw, Evaluate: judge}, search.Default(), nil)
//
// Determinism: ties go to the lowest index, sums run in child order, and every
// product that feeds a sum stands in a float64 conversion, which forbids the
// compiler to fuse the two (a fused result differs in its last bit).
package search

import (
	"context"
	"errors"
	"math"
	"slices"
)

// Oracle is what the search asks about the world. Draw and Evaluate must be
// pure: the same tree and arguments give the same answer. They may read the
// tree during the call and must keep neither it nor their other arguments.
type Oracle struct {
	// Draw continues each request's node by sampling and returns one path per
	// request, in order. The requests of one call are independent of each other:
	// they can run as one batch.
	Draw func(ctx context.Context, tree *Tree, requests []Request) ([][]Fragment, error)

	// Evaluate scores the nodes where roll-outs ended, in order: terminals, and
	// unfinished states only where Simulation cut the roll-out short. At an
	// unfinished state Outcome is 0 and Pass false. Called once per node.
	Evaluate func(ctx context.Context, tree *Tree, ends []int) ([]Reward, error)

	// Release, unless nil, is told the handle of each fragment that was drawn but
	// did not enter the tree, so that its cache branch can be freed. The handles in
	// the tree, and all of them after an error, are the caller's to free.
	Release func(handle int64)
}

// Request asks for one sampled continuation.
type Request struct {
	Node        int     // index of the node to continue; Tree.Prefix gives its tokens
	Fragments   int     // at most so many fragments; 0 = to the end of the answer
	Seed        uint64  // no other request of this search has the same
	Temperature float64 // to sample at; Fragment.LogProb is at 1 all the same
}

// Fragment is one sampled action.
type Fragment struct {
	Tokens   []int32 // the tree keeps the slice; may be empty only when Terminal
	LogProb  float64 // nats per token: mean over Tokens at temperature 1; 0 when empty
	Terminal bool    // the answer ends here
	Cut      bool    // … because it grew too long; only with Terminal
	Handle   int64   // the caller's own, e.g. a cache branch; kept in Node.Handle
}

// Reward is the judgement of a state: R = Outcome + SelfEval (Eq. 6).
type Reward struct {
	Outcome  float64 // O: +1 pass, −1 fail or cut, 0 unfinished
	SelfEval float64 // C: the policy's own opinion (Eq. 7); 0 when not used
	Pass     bool    // the answer is right
}

// Progress is what a long search tells between iterations.
type Progress struct {
	Iteration int // done so far
	Nodes     int
	Tokens    int // sampled so far
	Finished  int // terminals found
	Passing   int // terminals that pass
}

// Stop says why a search ended.
type Stop string

const (
	StopIterations Stop = "iterations" // Params.Iterations were done
	StopBudget     Stop = "budget"     // Params.TokenBudget was reached
	StopConverged  Stop = "converged"  // nothing left to draw and the root's ranking stood still
	StopCaller     Stop = "caller"     // progress returned false
)

// Search grows a tree from the empty answer. progress, unless nil, is called
// after each iteration; false ends the search, and the tree is whole (the way to
// cap time). After an error there is no tree: it is grown again from its seed.
// A cancelled context returns ctx.Err() as it is.
func Search(ctx context.Context, oracle Oracle, params Params, progress func(Progress) bool) (*Tree, error) {
	if oracle.Draw == nil || oracle.Evaluate == nil {
		return nil, errors.New("search: the oracle needs both Draw and Evaluate")
	}
	if err := params.Validate(); err != nil {
		return nil, err
	}
	s := &searcher{oracle: oracle, params: params, tree: newTree(params)}
	for s.tree.Stop == "" {
		if err := s.iterate(ctx); err != nil {
			return nil, err
		}
		s.tree.Stop = s.stop(progress)
	}
	return s.tree, nil
}

// searcher is one search under way.
type searcher struct {
	oracle   Oracle
	params   Params
	tree     *Tree
	requests []Request // scratch of expand
	ranking  []int     // the root's children by Q after the last iteration
	scratch  []int     // the ranking before it
	stable   int       // iterations in a row that left the ranking as it was
}

// iterate selects a leaf, expands it and backs up, once.
func (s *searcher) iterate(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.tree.Iterations++
	leaf := s.descend(0)
	for s.open(&s.tree.Nodes[leaf]) {
		added, err := s.expand(ctx, leaf)
		if err != nil {
			return err
		}
		if added > 0 {
			return nil
		}
		leaf = s.descend(leaf) // every draw was a duplicate: the node is closed, go on below
	}
	// Nothing to draw here. The visit still counts, as in any tree search.
	s.tree.Revisits++
	s.backup(leaf)
	return nil
}

// open says whether the node is a leaf: children may still be drawn for it.
func (s *searcher) open(n *Node) bool {
	return !n.Terminal && !n.Covered &&
		len(n.Children) < s.params.Width &&
		n.Draws < s.params.Width*s.params.DrawsPerChild &&
		(s.params.MaxDepth == 0 || n.Depth < s.params.MaxDepth)
}

// descend follows Eq. 5 from a node to the first leaf or end.
func (s *searcher) descend(from int) int {
	at := from
	for {
		n := &s.tree.Nodes[at]
		if len(n.Children) == 0 || s.open(n) {
			return at
		}
		at = s.best(n)
	}
}

// best is Eq. 5: argmaxₐ Q(s,a) + c · p(a|s) · √N(s) / (1 + N(s,a)).
func (s *searcher) best(n *Node) int {
	explore := s.params.C * math.Sqrt(float64(n.N))
	best, bestScore := n.Children[0], math.Inf(-1)
	for _, child := range n.Children {
		c := &s.tree.Nodes[child]
		score := c.Q + float64(explore*c.Prior)/float64(1+c.N)
		if score > bestScore {
			best, bestScore = child, score
		}
	}
	return best
}

// stop decides, between two iterations, whether the search ends, and why.
func (s *searcher) stop(progress func(Progress) bool) Stop {
	t, p := s.tree, s.params
	root := &t.Nodes[0]
	s.raiseTemperature()
	s.rank()
	if progress != nil && !progress(Progress{t.Iterations, len(t.Nodes), t.Tokens, root.Finished, root.Passing}) {
		return StopCaller
	}
	switch {
	case p.Patience > 0 && root.Done && s.stable >= p.Patience:
		return StopConverged
	case p.TokenBudget > 0 && t.Tokens >= p.TokenBudget:
		return StopBudget
	case t.Iterations >= p.Iterations:
		return StopIterations
	}
	return ""
}

// raiseTemperature raises the temperature, for good, once the expansions so far brought
// fewer distinct fragments on average than MinDistinct.
func (s *searcher) raiseTemperature() {
	// At width 1 one distinct fragment is all that can come.
	wanted := min(s.params.MinDistinct, float64(s.params.Width))
	if s.tree.Expansions > 0 && s.tree.MeanDistinct() < wanted {
		s.tree.Temperature = max(s.tree.Temperature, s.params.RaisedTemperature)
	}
}

// rank orders the root's children by Q, ties by index, and counts for how many
// iterations the order has stood.
func (s *searcher) rank() {
	s.scratch, s.ranking = s.ranking, s.scratch[:0]
	for _, child := range s.tree.Nodes[0].Children {
		s.ranking = append(s.ranking, child)
		for i := len(s.ranking) - 1; i > 0 && s.tree.Nodes[s.ranking[i-1]].Q < s.tree.Nodes[child].Q; i-- {
			s.ranking[i-1], s.ranking[i] = child, s.ranking[i-1]
		}
	}
	if slices.Equal(s.ranking, s.scratch) {
		s.stable++
	} else {
		s.stable = 0
	}
}
