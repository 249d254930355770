package search_test

import (
	"math"
	"testing"

	"itool/stages/expand/search"
)

// TestEquations compares a small tree with the equations worked out by hand.
func TestEquations(t *testing.T) {
	p := search.Default()
	p.Width, p.Patience, p.MinDistinct, p.Gamma = 2, 0, 0, 0.5
	at := func(iterations int) *search.Tree {
		p.Iterations = iterations
		return mustSearch(t, fork().oracle(), p)
	}

	// Iteration 1 expands the root: a, b; then rolls a out to x or y.
	tree := at(1)
	a, b := byToken(tree, 0, 'a'), byToken(tree, 0, 'b')
	near(t, "p(a)", tree.Nodes[a].Prior, 0.75)
	near(t, "p(b)", tree.Nodes[b].Prior, 0.25)
	first := tree.Nodes[a].Children[0]
	o := tree.Nodes[first].Outcome // +1 for x, −1 for y, by the seed
	near(t, "r(first) = O − 0", tree.Nodes[first].Reward, o)
	near(t, "Q(first) = r", tree.Nodes[first].Q, o)
	near(t, "V(a) = 1·Q(first)/1", tree.Nodes[a].V, o)
	near(t, "Q(a) = 0 + γ·V(a)", tree.Nodes[a].Q, 0.5*o)
	near(t, "Q(b) = −1", tree.Nodes[b].Q, -1)
	near(t, "V(root) = (1·Q(a) + 1·Q(b)) / 2", tree.Nodes[0].V, (0.5*o-1)/2)
	near(t, "N(root)", float64(tree.Nodes[0].N), 2)

	// Iteration 2. Eq. 5 at the root, N = 2, c = 1:
	//   a: ±0.5 + 0.75·√2/2 = ±0.5 + 0.530   b: −1 + 0.25·√2/2 = −0.823
	// a wins either way. It has one child and gets the other one. The two are x and
	// y, in some order: V(a) = 0, Q(a) = 0.
	tree = at(2)
	if got := len(tree.Nodes[a].Children); got != 2 {
		t.Fatalf("children of a: %d, want 2", got)
	}
	near(t, "N(a)", float64(tree.Nodes[a].N), 2)
	near(t, "V(a) = (1·1 + 1·−1)/2", tree.Nodes[a].V, 0)
	near(t, "V(root) = (2·0 + 1·−1)/3", tree.Nodes[0].V, -1.0/3)

	// Iteration 3. At the root, N = 3: a: 0 + 0.75·√3/3 = 0.433, b: −1 + 0.25·√3/2.
	// At a, N = 2: x: 1 + 0.5·√2/2, y: −1 + 0.5·√2/2. x is visited again:
	// V(a) = (2·1 − 1)/3, Q(a) = V(a)/2, V(root) = (3·1/6 − 1)/4.
	tree = at(3)
	near(t, "V(a)", tree.Nodes[a].V, 1.0/3)
	near(t, "Q(a)", tree.Nodes[a].Q, 1.0/6)
	near(t, "V(root)", tree.Nodes[0].V, (3.0/6-1)/4)
	if x := byToken(tree, a, 'x'); tree.Nodes[x].N != 2 {
		t.Errorf("N(x) = %d, want 2", tree.Nodes[x].N)
	}
	if tree.Revisits != 1 || tree.Nodes[0].Finished != 3 || tree.Nodes[0].Passing != 1 {
		t.Errorf("revisits %d, finished %d, passing %d; want 1, 3, 1",
			tree.Revisits, tree.Nodes[0].Finished, tree.Nodes[0].Passing)
	}
}

// Eq. 6 at a state that a capped roll-out left unfinished: C counts there, and the
// rewards of the children subtract it again (r = R(s') − R(s)).
func TestCappedRollOut(t *testing.T) {
	p := search.Paper()
	p.Width, p.Simulation = 2, 1
	tree := mustSearch(t, binary(3).oracle(), p)
	for i, n := range tree.Nodes {
		if n.Depth == 3 {
			near(t, "R(terminal)", n.R, 1.25)
			if n.Reward != 1.25 && n.Reward != 0.75 { // parent not judged, or judged 0.5
				t.Errorf("node %d: r = %v, want 1.25 − R(parent)", i, n.Reward)
			}
			near(t, "R(parent) + r", tree.Nodes[n.Parent].R+n.Reward, 1.25)
		}
	}
	if tree.Nodes[0].Finished == 0 {
		t.Error("no roll-out finished in five iterations of three levels")
	}
}

func TestMaxDepthLimitsWidthNotLength(t *testing.T) {
	p := search.Default()
	p.MaxDepth, p.Iterations = 2, 40
	tree := mustSearch(t, hashed(3, 4, 6).oracle(), p)
	deepest := 0
	for i, n := range tree.Nodes {
		deepest = max(deepest, n.Depth)
		if n.Depth >= 2 && len(n.Children) > 1 {
			t.Errorf("node %d at depth %d has %d children", i, n.Depth, len(n.Children))
		}
	}
	if deepest <= 2 {
		t.Errorf("deepest node at %d: roll-outs should continue below max depth", deepest)
	}
}

func byToken(t *search.Tree, parent int, token int32) int {
	for _, child := range t.Nodes[parent].Children {
		if t.Nodes[child].Tokens[0] == token {
			return child
		}
	}
	return -1
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-12 {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
