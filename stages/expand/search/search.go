// Package search grows one tree of answers by Monte Carlo tree search: PUCT
// selection, expansion by sampled fragments, one roll-out per new child, and a
// bottom-up backup (Eq. 5, 6, 8 and 9 of the iTool paper).
//
// A state is the answer so far; an action is a fragment, a run of tokens that the
// policy sampled. An Oracle samples the fragments and judges the answers, Params
// set the search, and the result is the whole Tree. The search is a pure function
// of the Oracle's answers and the Params: it knows no model, no text and no clock,
// starts no goroutine, and does no I/O. It fails when the Oracle fails or breaks
// its contract, or when the context is cancelled.
//
//	tree, err := search.Search(ctx, search.Oracle{Draw: draw, Evaluate: judge}, search.Default(), nil)
//
// Determinism: ties go to the lowest index and sums run in child order. Every
// product that is part of a sum is converted to float64, because then the compiler
// must not fuse the two operations; a fused result differs in its last bit.
package search

import (
	"context"
	"errors"
	"slices"
)

// Oracle answers the questions of the search. Draw and Evaluate must be pure: the
// same tree and arguments give the same answer. They may read the tree during the
// call, and must not keep it or their other arguments.
type Oracle struct {
	// Draw samples one continuation of each request's node and returns one path per
	// request, in order. The requests of one call do not depend on each other, so
	// they can run as one batch.
	Draw func(ctx context.Context, tree *Tree, requests []Request) ([][]Fragment, error)

	// Evaluate scores the nodes where roll-outs ended, in order. They are terminals,
	// or unfinished states if Params.Simulation cut the roll-out short. For an
	// unfinished state Outcome must be 0 and Pass false. No node is scored twice.
	Evaluate func(ctx context.Context, tree *Tree, ends []int) ([]Reward, error)

	// Ahead is the number of requests up to which a call of Draw may be filled with draws
	// that are needed only if the draws before them are alike; 0 = none. It saves calls and
	// never changes the tree.
	Ahead int

	// Release, unless nil, gets the handle of each drawn fragment that did not enter
	// the tree, so that its cache branch can be freed. The caller frees the handles in
	// the tree and, after an error, all handles.
	Release func(handle int64)
}

// Request asks for one sampled continuation.
type Request struct {
	Node        int     // index of the node to continue; Tree.Prefix gives its tokens
	Fragments   int     // most fragments; 0 = to the end of the answer
	Seed        uint64  // no other draw that the tree takes has the same
	Temperature float64 // to sample at; Fragment.LogProb is always at temperature 1

	Ahead bool // it may turn out that the tree does not need this draw
	// Ready and Needed are nil if no request of the call is drawn ahead. Otherwise Draw may
	// tell of each path as soon as it is complete, and give up a request that is not needed.
	// Both must be called by one goroutine at a time, and only until Draw returns.
	Ready  func(path []Fragment)
	Needed func() bool
}

// Fragment is one sampled action.
type Fragment struct {
	Tokens   []int32 // the tree keeps the slice; empty only when Terminal
	LogProb  float64 // nats per token: mean over Tokens at temperature 1; 0 when empty
	Terminal bool    // the answer ends here
	Cut      bool    // … because it reached the length limit; only with Terminal
	Handle   int64   // chosen by the caller, e.g. a cache branch; kept in Node.Handle
}

// Reward is the judgement of a state: R = Outcome + SelfEval, Eq. 6.
type Reward struct {
	Outcome  float64 // O: +1 pass, −1 to below +1 fail, −1 cut, 0 unfinished
	SelfEval float64 // C: the policy's self-evaluation, Eq. 7; 0 when not used
	Pass     bool    // the answer is right
}

// Progress is what a search reports after each iteration.
type Progress struct {
	Iteration int // iterations done
	Nodes     int // in the tree
	Tokens    int // sampled, duplicates included
	Finished  int // terminals found
	Passing   int // terminals that pass
}

// Stop says why a search ended.
type Stop string

const (
	StopIterations Stop = "iterations" // Params.Iterations were done
	StopBudget     Stop = "budget"     // Params.TokenBudget or Params.Answers was reached
	StopConverged  Stop = "converged"  // nothing is left to draw, and the root's ranking no longer changes
	StopCaller     Stop = "caller"     // progress returned false
)

// Search grows a tree from the empty answer. progress, unless nil, is called after
// each iteration, or each group of iterations that ran together. If it returns false
// the search ends with a complete tree, which is how a caller limits time. An error
// gives no tree: the same seed grows it again. A cancelled context returns ctx.Err()
// itself.
func Search(ctx context.Context, oracle Oracle, params Params, progress func(Progress) bool) (*Tree, error) {
	if oracle.Draw == nil || oracle.Evaluate == nil {
		return nil, errors.New("search: the oracle needs both Draw and Evaluate")
	}
	if err := params.Validate(); err != nil {
		return nil, err
	}
	s := &searcher{oracle: oracle, params: params, tree: newTree(params)}
	for s.tree.Stop == "" {
		done := s.tree.Iterations
		if err := s.iterate(ctx); err != nil {
			return nil, err
		}
		s.tree.Stop = s.stop(done, progress)
	}
	return s.tree, nil
}

// searcher is one running search.
type searcher struct {
	oracle   Oracle
	params   Params
	tree     *Tree
	seeds    uint64    // used so far: those of draws that the tree has taken, or may take
	requests []Request // of the next call of Draw; reused
	leaves   []int     // of the present iterations; reused
	virtual  []int     // by node: visits in flight, see leaves.go
	busy     []bool    // by node: it is being expanded
	siblings [][]int32 // tokens of a leaf's children, drawn ones included; reused
	ranking  []int     // the root's children by Q after the last iteration
	scratch  []int     // the ranking before that; reused
	stable   int       // iterations in a row that did not change the ranking
}

// iterate does one iteration, or several at the same time if Params.Leaves is above 1:
// it selects leaves, expands them and backs up the rewards.
func (s *searcher) iterate(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	leaves := s.selectLeaves()
	s.tree.Iterations += len(leaves)
	for len(leaves) > 0 {
		closed, err := s.expand(ctx, s.revisit(leaves))
		if err != nil {
			return err
		}
		for i, leaf := range closed {
			closed[i] = s.descend(leaf) // all draws were duplicates: continue below the node
		}
		leaves = closed
	}
	return nil
}

// revisit keeps the leaves that can be expanded, each once. Where nothing is left to draw
// the visit still counts, as in any tree search.
func (s *searcher) revisit(leaves []int) []int {
	open := leaves[:0]
	for _, leaf := range leaves {
		if s.open(&s.tree.Nodes[leaf]) && !slices.Contains(open, leaf) {
			open = append(open, leaf)
			continue
		}
		s.tree.Revisits++
		s.backup(leaf)
	}
	return open
}

// open reports whether the node is a leaf: more children can be drawn for it.
func (s *searcher) open(n *Node) bool {
	return !n.Terminal && !n.Covered &&
		len(n.Children) < s.params.Width &&
		n.Draws < s.params.Width*s.params.DrawsPerChild &&
		(s.params.MaxDepth == 0 || n.Depth < s.params.MaxDepth)
}

// stop says, after the iterations from done on, why the search ends; "" if it goes on.
func (s *searcher) stop(done int, progress func(Progress) bool) Stop {
	t, p := s.tree, s.params
	root := &t.Nodes[0]
	s.raiseTemperature()
	s.rank(t.Iterations - done)
	if progress != nil && !progress(Progress{t.Iterations, len(t.Nodes), t.Tokens, root.Finished, root.Passing}) {
		return StopCaller
	}
	switch {
	case p.Patience > 0 && root.Done && s.stable >= p.Patience:
		return StopConverged
	case p.TokenBudget > 0 && t.Tokens >= p.TokenBudget, p.Answers > 0 && root.Finished >= p.Answers:
		return StopBudget
	case t.Iterations >= p.Iterations:
		return StopIterations
	}
	return ""
}

// raiseTemperature raises the temperature for the rest of the search if the
// expansions so far gave fewer distinct fragments on average than MinDistinct.
func (s *searcher) raiseTemperature() {
	// Width bounds the distinct fragments of a node.
	wanted := min(s.params.MinDistinct, float64(s.params.Width))
	if s.tree.Expansions > 0 && s.tree.MeanDistinct() < wanted {
		s.tree.Temperature = max(s.tree.Temperature, s.params.RaisedTemperature)
	}
}

// rank orders the root's children by Q, ties by index, and counts the iterations
// since the order last changed; iterations are those since the last call.
func (s *searcher) rank(iterations int) {
	s.scratch, s.ranking = s.ranking, s.scratch[:0]
	for _, child := range s.tree.Nodes[0].Children {
		s.ranking = append(s.ranking, child)
		for i := len(s.ranking) - 1; i > 0 && s.tree.Nodes[s.ranking[i-1]].Q < s.tree.Nodes[child].Q; i-- {
			s.ranking[i-1], s.ranking[i] = child, s.ranking[i-1]
		}
	}
	if slices.Equal(s.ranking, s.scratch) {
		s.stable += iterations
	} else {
		s.stable = 0
	}
}
