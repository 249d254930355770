package search_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"itool/stages/expand/search"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestProperties checks what must hold for every tree, in any world and setting.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, w := drawParams(t), drawWorld(t)
		var asked []search.Request
		var judged []int
		tree := mustSearch(t, spy(t, w, &asked, &judged), p)
		checkShape(t, tree, p)
		checkCounts(t, tree)
		checkValues(t, tree, p)
		checkSeeds(t, asked, tree)
		checkJudged(t, judged, tree, p)

		if diff := cmp.Diff(tree, mustSearch(t, w.oracle(), p)); diff != "" {
			t.Fatalf("the same seed gave another tree:\n%s", diff)
		}
	})
}

// More iterations of the same seed extend the tree and change none of its states,
// so it does not matter how a search is observed or where it is stopped.
func TestPrefixProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, w := drawParams(t), drawWorld(t)
		p.Patience, p.TokenBudget = 0, 0
		short := mustSearch(t, w.oracle(), p)
		p.Iterations += rapid.IntRange(1, 10).Draw(t, "more")
		long := mustSearch(t, w.oracle(), p)
		for i, n := range short.Nodes {
			m := long.Nodes[i]
			if n.Parent != m.Parent || !slices.Equal(n.Tokens, m.Tokens) || n.R != m.R || n.N > m.N {
				t.Fatalf("node %d: %+v became %+v", i, n, m)
			}
		}
	})
}

func checkShape(t *rapid.T, tree *search.Tree, p search.Params) {
	for i, n := range tree.Nodes {
		if i > 0 && (n.Parent < 0 || n.Parent >= i || !slices.Contains(tree.Nodes[n.Parent].Children, i)) {
			t.Fatalf("node %d: parent %d does not come before it or does not list it", i, n.Parent)
		}
		if len(n.Children) > p.Width {
			t.Fatalf("node %d: %d children, width %d", i, len(n.Children), p.Width)
		}
		if n.Draws > p.Width*p.DrawsPerChild {
			t.Fatalf("node %d: %d draws", i, n.Draws)
		}
		if len(n.Children) == 0 && !n.Terminal && p.Simulation == 0 {
			t.Fatalf("node %d: a roll-out to the end ended unfinished", i)
		}
		if n.Terminal && len(n.Children) > 0 {
			t.Fatalf("node %d: terminal with children", i)
		}
		for a, child := range n.Children {
			for _, other := range n.Children[:a] {
				if slices.Equal(tree.Nodes[child].Tokens, tree.Nodes[other].Tokens) {
					t.Fatalf("node %d: children %d and %d are the same fragment", i, other, child)
				}
			}
		}
		var tokens []int32
		for at := i; at > 0; at = tree.Nodes[at].Parent {
			tokens = append(slices.Clone(tree.Nodes[at].Tokens), tokens...)
		}
		if got := tree.Prefix([]int32{-1}, i); got[0] != -1 || !slices.Equal(got[1:], tokens) {
			t.Fatalf("node %d: prefix %v, want -1 and %v", i, got, tokens)
		}
	}
}

// checkCounts: N(s) ≥ Σ N(children). The difference is the visits that ended at s. An
// expanded state has none, unless a capped roll-out ended there before it was expanded.
func checkCounts(t *rapid.T, tree *search.Tree) {
	for i, n := range tree.Nodes {
		below, finished, passing := 0, 0, 0
		if n.Terminal {
			finished = 1
			if n.Pass {
				passing = 1
			}
		}
		for _, child := range n.Children {
			below += tree.Nodes[child].N
			finished += tree.Nodes[child].Finished
			passing += tree.Nodes[child].Passing
		}
		ended := n.N - below
		if n.N < 1 || ended < 0 || len(n.Children) > 0 && ended > 1 && n.R == 0 {
			t.Fatalf("node %d: N %d, children %d", i, n.N, below)
		}
		if n.Finished != finished || n.Passing != passing {
			t.Fatalf("node %d: finished %d passing %d, want %d, %d", i, n.Finished, n.Passing, finished, passing)
		}
	}
}

func checkValues(t *rapid.T, tree *search.Tree, p search.Params) {
	// Rewards are differences of R, which lies in [−3, 2], so |r| ≤ 5 at each level.
	// With γ ≤ 1 this bounds every Q.
	for i, n := range tree.Nodes {
		sum, visits, priors := 0.0, 0, 0.0
		for _, child := range n.Children {
			c := tree.Nodes[child]
			sum += float64(c.N) * c.Q
			visits += c.N
			priors += c.Prior
		}
		want := 0.0
		if visits > 0 {
			want = sum / float64(visits)
			if !close(priors, 1) {
				t.Fatalf("node %d: priors of the children sum to %v", i, priors)
			}
		}
		if !close(n.V, want) {
			t.Fatalf("node %d: V %v, want ΣNQ/ΣN = %v", i, n.V, want)
		}
		if i > 0 && !close(n.Q, n.R-tree.Nodes[n.Parent].R+p.Gamma*n.V) {
			t.Fatalf("node %d: Q %v is not r + γV", i, n.Q)
		}
		// At γ = 1 rewards telescope: R(parent) + Q is a mean of R at the ends of
		// roll-outs, which lie in [−3, 2].
		if i > 0 && p.Gamma == 1 && p.Simulation == 0 && (n.Q < -3 || n.Q > 2) {
			t.Fatalf("node %d: Q %v out of bounds", i, n.Q)
		}
		if math.Abs(n.Q) > 5*float64(maxDepth(tree)+1) {
			t.Fatalf("node %d: Q %v out of bounds", i, n.Q)
		}
	}
}

func maxDepth(tree *search.Tree) int {
	deepest := 0
	for _, n := range tree.Nodes {
		deepest = max(deepest, n.Depth)
	}
	return deepest
}

func checkSeeds(t *rapid.T, asked []search.Request, tree *search.Tree) {
	seen := map[uint64]bool{}
	for _, r := range asked {
		if seen[r.Seed] {
			t.Fatalf("seed %d given twice", r.Seed)
		}
		seen[r.Seed] = true
	}
	if len(asked) != tree.Draws {
		t.Fatalf("%d requests, tree counts %d", len(asked), tree.Draws)
	}
}

// checkJudged: every terminal is judged, none twice. An unfinished state is judged
// only where a capped roll-out ended.
func checkJudged(t *rapid.T, judged []int, tree *search.Tree, p search.Params) {
	slices.Sort(judged)
	if twice := len(judged) - len(slices.Compact(slices.Clone(judged))); twice > 0 {
		t.Fatalf("%d of %v judged twice", twice, judged)
	}
	for i, n := range tree.Nodes {
		_, asked := slices.BinarySearch(judged, i)
		if n.Terminal && !asked || !n.Terminal && asked && p.Simulation == 0 {
			t.Fatalf("node %d: terminal %v, judged %v", i, n.Terminal, asked)
		}
		if !asked && n.R != 0 {
			t.Fatalf("node %d: R is %v but it was not judged", i, n.R)
		}
	}
}

// spy records what the oracle is asked, and fails on a call without questions.
func spy(t *rapid.T, w world, asked *[]search.Request, judged *[]int) search.Oracle {
	return search.Oracle{
		Draw: func(ctx context.Context, tree *search.Tree, rs []search.Request) ([][]search.Fragment, error) {
			if len(rs) == 0 {
				t.Fatal("Draw called without requests")
			}
			*asked = append(*asked, rs...)
			return w.draw(ctx, tree, rs)
		},
		Evaluate: func(ctx context.Context, tree *search.Tree, ends []int) ([]search.Reward, error) {
			if len(ends) == 0 {
				t.Fatal("Evaluate called without nodes")
			}
			*judged = append(*judged, ends...)
			return w.evaluate(ctx, tree, ends)
		},
	}
}

func TestBranching(t *testing.T) {
	p := search.Default()
	p.Simulation, p.Iterations = 2, 30
	tree := mustSearch(t, hashed(8, 4, 7).oracle(), p)
	var want []int
	for i := range tree.Nodes {
		finished := 0
		for _, child := range tree.Nodes[i].Children {
			if leadsToEnd(tree, child) {
				finished++
			}
		}
		if finished >= 2 {
			want = append(want, i)
		}
	}
	got := slices.Collect(tree.Branching())
	if !slices.Equal(got, want) || len(got) < 2 || len(got) == len(tree.Nodes) {
		t.Errorf("branching %v, want %v", got, want)
	}
	for first := range tree.Branching() {
		if first != want[0] {
			t.Errorf("first %d, want %d", first, want[0])
		}
		break
	}
}

func leadsToEnd(tree *search.Tree, node int) bool {
	below := func(child int) bool { return leadsToEnd(tree, child) }
	return tree.Nodes[node].Terminal || slices.ContainsFunc(tree.Nodes[node].Children, below)
}
