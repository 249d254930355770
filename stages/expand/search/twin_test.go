package search_test

import (
	"context"
	"math"
	"testing"

	"itool/stages/expand/search"

	"pgregory.net/rapid"
)

// twin is the slow, obvious search: nodes are pointers, and N, V and Q are computed
// recursively from the visits that ended at each node.
type twin struct {
	p     search.Params
	w     world
	nodes []*twinNode // in the order made
	seeds uint64
}

type twinNode struct {
	parent   *twinNode
	children []*twinNode
	f        search.Fragment
	depth    int
	r        float64 // R(s)
	ends     int     // descents and roll-outs that ended here
	draws    int
}

// N(s) = visits that ended here + Σ N(children).
func (n *twinNode) visits() int {
	sum := n.ends
	for _, c := range n.children {
		sum += c.visits()
	}
	return sum
}

// Eq. 8.
func (tw *twin) v(n *twinNode) float64 {
	sum, visits := 0.0, 0
	for _, c := range n.children {
		sum += float64(float64(c.visits()) * tw.q(c))
		visits += c.visits()
	}
	if visits == 0 {
		return 0
	}
	return sum / float64(visits)
}

// Eq. 6 and 9.
func (tw *twin) q(n *twinNode) float64 {
	reward := n.r
	if n.parent != nil {
		reward = n.r - n.parent.r
	}
	return reward + float64(tw.p.Gamma*tw.v(n))
}

// p(a|s), computed again for each child. The greatest log-probability is subtracted as
// in the search, so that the last bit agrees: it decides between near ties.
func (n *twinNode) prior() float64 {
	if n.parent == nil {
		return 1
	}
	top, sum := math.Inf(-1), 0.0
	for _, c := range n.parent.children {
		top = max(top, c.f.LogProb)
	}
	for _, c := range n.parent.children {
		sum += math.Exp(c.f.LogProb - top)
	}
	return math.Exp(n.f.LogProb-top) / sum
}

func (tw *twin) leaf(n *twinNode) bool {
	return !n.f.Terminal && len(n.children) < tw.p.Width && n.draws < tw.p.Width*tw.p.DrawsPerChild &&
		(tw.p.MaxDepth == 0 || n.depth < tw.p.MaxDepth)
}

// Eq. 5, the first of equals.
func (tw *twin) best(n *twinNode) *twinNode {
	var best *twinNode
	bestScore := math.Inf(-1)
	for _, c := range n.children {
		score := tw.q(c) + tw.p.C*math.Sqrt(float64(n.visits()))*c.prior()/float64(1+c.visits())
		if score > bestScore {
			best, bestScore = c, score
		}
	}
	return best
}

func (tw *twin) iterate() {
	for n := tw.nodes[0]; ; n = tw.best(n) {
		if tw.leaf(n) && tw.expand(n) {
			return
		}
		if len(n.children) == 0 {
			n.ends++
			return
		}
	}
}

func (tw *twin) expand(n *twinNode) bool {
	old := len(n.children)
	for tw.leaf(n) {
		// A batch draws as many as are missing, and uses up all of its seeds even if
		// its first draws are duplicates.
		batch := min(tw.p.Width-len(n.children), tw.p.Width*tw.p.DrawsPerChild-n.draws)
		for range batch {
			n.draws++
			tw.addDistinct(n, tw.draw(n, 1)[0])
		}
	}
	fresh := n.children[old:]
	paths := make([][]search.Fragment, len(fresh))
	for i, c := range fresh {
		if !c.f.Terminal {
			paths[i] = tw.draw(c, tw.p.Simulation)
		}
	}
	for i, end := range fresh {
		for _, f := range paths[i] {
			end.draws++
			end = tw.add(end, f)
		}
		end.r = tw.reward(end)
		end.ends = 1
	}
	return len(fresh) > 0
}

func (tw *twin) addDistinct(n *twinNode, f search.Fragment) {
	for _, c := range n.children {
		if string(runes(c.f.Tokens)) == string(runes(f.Tokens)) {
			return
		}
	}
	tw.add(n, f)
}

func (tw *twin) add(n *twinNode, f search.Fragment) *twinNode {
	child := &twinNode{parent: n, f: f, depth: n.depth + 1}
	n.children = append(n.children, child)
	tw.nodes = append(tw.nodes, child)
	return child
}

func (n *twinNode) prefix() []int32 {
	if n.parent == nil {
		return nil
	}
	return append(n.parent.prefix(), n.f.Tokens...)
}

// draw asks the world with a tree in which one node holds the whole prefix.
func (tw *twin) draw(n *twinNode, fragments int) []search.Fragment {
	tw.seeds++
	z := tw.p.Seed + tw.seeds*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	paths, _ := tw.w.draw(context.Background(), flat(n), []search.Request{
		{Node: 1, Fragments: fragments, Seed: z ^ z>>31, Temperature: tw.p.Temperature},
	})
	return paths[0]
}

func (tw *twin) reward(n *twinNode) float64 {
	r := tw.w.judge(n.prefix(), n.f.Terminal)
	return r.Outcome + r.SelfEval
}

func flat(n *twinNode) *search.Tree {
	tokens := n.prefix()
	return &search.Tree{Nodes: []search.Node{{Parent: -1}, {Tokens: tokens, Length: len(tokens)}}}
}

func runes(tokens []int32) []rune { return tokens }

// After every iteration, the search and its twin hold the same numbers.
func TestTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, w := drawParams(t), drawWorld(t)
		p.Patience, p.MinDistinct, p.TokenBudget = 0, 0, 0
		tw := &twin{p: p, w: w, nodes: []*twinNode{{}}}
		for p.Iterations = 1; p.Iterations <= 12; p.Iterations++ {
			tw.iterate()
			tree := mustSearch(t, w.oracle(), p)
			if len(tree.Nodes) != len(tw.nodes) {
				t.Fatalf("iteration %d: %d nodes, twin has %d", p.Iterations, len(tree.Nodes), len(tw.nodes))
			}
			for i, n := range tw.nodes {
				got := tree.Nodes[i]
				if got.N != n.visits() || got.V != tw.v(n) || got.Q != tw.q(n) || got.Prior != n.prior() {
					t.Fatalf("iteration %d, node %d: N %d V %v Q %v p %v; twin has N %d V %v Q %v p %v",
						p.Iterations, i, got.N, got.V, got.Q, got.Prior, n.visits(), tw.v(n), tw.q(n), n.prior())
				}
			}
		}
	})
}

func close(a, b float64) bool { return math.Abs(a-b) <= 1e-9 }

func drawParams(t *rapid.T) search.Params {
	return search.Params{
		Width:         rapid.IntRange(1, 5).Draw(t, "width"),
		Iterations:    rapid.IntRange(1, 30).Draw(t, "iterations"),
		MaxDepth:      rapid.IntRange(0, 4).Draw(t, "maxDepth"),
		Simulation:    rapid.IntRange(0, 3).Draw(t, "simulation"),
		C:             rapid.Float64Range(0, 3).Draw(t, "c"),
		Gamma:         rapid.Float64Range(0, 1).Draw(t, "gamma"),
		DrawsPerChild: rapid.IntRange(1, 4).Draw(t, "drawsPerChild"),
		TokenBudget:   rapid.IntRange(0, 200).Draw(t, "tokenBudget"),
		Patience:      rapid.IntRange(0, 3).Draw(t, "patience"),
		Temperature:   rapid.Float64Range(0.5, 2).Draw(t, "temperature"),
		MinDistinct:   rapid.Float64Range(0, 4).Draw(t, "minDistinct"), RaisedTemperature: 1.3,
		Seed: rapid.Uint64().Draw(t, "seed"),
	}
}

func drawWorld(t *rapid.T) world {
	options, depth := rapid.IntRange(1, 5), rapid.IntRange(1, 6)
	return hashed(rapid.Uint64().Draw(t, "salt"), options.Draw(t, "options"), depth.Draw(t, "depth"))
}
