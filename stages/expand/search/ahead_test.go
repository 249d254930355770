package search_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"itool/stages/expand/search"

	"pgregory.net/rapid"
)

// ahead is the world's oracle with draws ahead. As an engine does, it completes the paths of a call
// in any order, tells of each, and gives up those that are not needed; it leaves some out, too.
func ahead(w world, requests int, seed uint64) search.Oracle {
	rng := rand.New(rand.NewPCG(seed, 4))
	o := w.oracle()
	o.Ahead = requests
	o.Draw = func(ctx context.Context, tree *search.Tree, rs []search.Request) ([][]search.Fragment, error) {
		paths := make([][]search.Fragment, len(rs))
		for _, i := range rng.Perm(len(rs)) {
			r := rs[i]
			if r.Ahead && rng.IntN(4) == 0 || r.Needed != nil && !r.Needed() {
				continue
			}
			one, err := w.draw(ctx, tree, rs[i:i+1])
			if err != nil {
				return nil, err
			}
			if paths[i] = one[0]; r.Ready != nil && rng.IntN(4) > 0 {
				r.Ready(paths[i])
			}
		}
		return paths, nil
	}
	return o
}

func text(t rapid.TB, tree *search.Tree) string {
	t.Helper()
	b, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Draws ahead never change a tree, with one leaf at a time or several, and the same settings give
// the same tree.
func TestAheadChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, w := drawParams(t), drawWorld(t)
		p.Leaves = rapid.IntRange(0, 9).Draw(t, "leaves")
		p.Coverage = rapid.SampledFrom([]float64{0, 0.5, 0.99}).Draw(t, "coverage")
		want := text(t, mustSearch(t, w.oracle(), p))
		requests := rapid.IntRange(1, 40).Draw(t, "ahead")
		got := text(t, mustSearch(t, ahead(w, requests, rapid.Uint64().Draw(t, "order")), p))
		if got != want {
			t.Fatalf("with draws ahead\n%s\nwithout\n%s", got, want)
		}
	})
}

// Draws ahead save calls: all draws of an expansion are one call.
func TestAheadSavesCalls(t *testing.T) {
	calls := func(o search.Oracle) int {
		n, draw := 0, o.Draw
		o.Draw = func(ctx context.Context, tree *search.Tree, rs []search.Request) ([][]search.Fragment, error) {
			n++
			return draw(ctx, tree, rs)
		}
		tree := mustSearch(t, o, search.Default())
		if tree.Expansions < 3 {
			t.Fatalf("%d expansions", tree.Expansions)
		}
		if o.Ahead > 0 && n > 2*tree.Expansions {
			t.Errorf("%d calls for %d expansions", n, tree.Expansions)
		}
		return n
	}
	o := call().oracle()
	o.Ahead = 16
	if without, with := calls(call().oracle()), calls(o); with >= without {
		t.Errorf("%d calls with draws ahead, %d without", with, without)
	}
}

// What Release and the tree get are all the handles, draws ahead included.
func TestAheadReleases(t *testing.T) {
	handles, released := int64(0), []int64{}
	o := ahead(call(), 16, 1)
	draw := o.Draw
	o.Draw = func(ctx context.Context, tree *search.Tree, rs []search.Request) ([][]search.Fragment, error) {
		paths, err := draw(ctx, tree, rs)
		for _, path := range paths {
			for i := range path {
				handles++
				path[i].Handle = handles
			}
		}
		return paths, err
	}
	o.Release = func(h int64) { released = append(released, h) }
	tree := mustSearch(t, o, search.Default())
	for _, n := range tree.Nodes[1:] {
		released = append(released, n.Handle)
	}
	slices.Sort(released)
	if int64(len(released)) != handles || len(slices.Compact(released)) != len(released) {
		t.Errorf("%d handles drawn, %d accounted for", handles, len(released))
	}
}

// Several leaves at a time use the iterations up in fewer calls, and keep what holds for any tree.
func TestLeaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, w := drawParams(t), drawWorld(t)
		p.Leaves = rapid.IntRange(2, 9).Draw(t, "leaves")
		var asked []search.Request
		var judged []int
		tree := mustSearch(t, spy(t, w, &asked, &judged), p)
		checkSeeds(t, asked, tree)
		checkJudged(t, judged, tree, p)
		if tree.Iterations > p.Iterations {
			t.Fatalf("%d iterations, %d allowed", tree.Iterations, p.Iterations)
		}
		for i, n := range tree.Nodes {
			if n.N < 1 || len(n.Children) > p.Width || n.Draws > p.Width*p.DrawsPerChild {
				t.Fatalf("node %d: %+v", i, n)
			}
		}
	})
}

// After the root has children, eight leaves are expanded in one group: other leaves than the same.
func TestLeavesTogether(t *testing.T) {
	p := search.Default()
	p.Leaves, p.Patience = 8, 0
	var at []int
	tree, err := search.Search(t.Context(), call().oracle(), p, func(s search.Progress) bool {
		at = append(at, s.Iteration)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(at, []int{1, 8}) || tree.Expansions < 8 {
		t.Errorf("iterations %v in %d expansions, want [1 8] in at least 8", at, tree.Expansions)
	}
}
