package search_test

import (
	"context"
	"testing"

	"itool/stages/expand/search"
)

func TestDegenerate(t *testing.T) {
	same := func() world { // one option everywhere, three fragments long
		return world{
			options: func(prefix []int32) []option { return []option{{[]int32{7}, 1, len(prefix) == 2}} },
			judge:   func([]int32, bool) search.Reward { return search.Reward{Outcome: 1, Pass: true} },
		}
	}
	empty := world{
		options: func([]int32) []option { return []option{{nil, 1, true}} },
		judge:   func([]int32, bool) search.Reward { return search.Reward{Outcome: -1} },
	}
	for _, c := range []struct {
		name  string
		world world
		edit  func(*search.Params)
		nodes int
		draws int
		stop  search.Stop
	}{
		// One draw, then one roll-out; then no node is open: converged.
		{"width 1", same(), func(p *search.Params) { p.Width = 1 }, 4, 2, search.StopConverged},
		// Each of three nodes is drawn from 4 × 4 times before it is closed. One request
		// fewer, because the first roll-out drew at two nodes in one request.
		{"always the same fragment", same(), func(*search.Params) {}, 4, 47, search.StopConverged},
		{"the same, with coverage", same(), func(p *search.Params) { p.Coverage = 0.99 }, 4, 5, search.StopConverged},
		{"answer ends at once", empty, func(*search.Params) {}, 2, 16, search.StopConverged},
		{"no early stop", empty, func(p *search.Params) { p.Patience = 0 }, 2, 16, search.StopIterations},
		{"budget of one token", same(), func(p *search.Params) { p.TokenBudget = 1 }, 4, 17, search.StopBudget},
		{"budget zero is none", same(), func(p *search.Params) { p.Patience = 0 }, 4, 47, search.StopIterations},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := search.Default()
			c.edit(&p)
			tree := mustSearch(t, c.world.oracle(), p)
			if len(tree.Nodes) != c.nodes || tree.Draws != c.draws || tree.Stop != c.stop {
				t.Errorf("nodes %d, draws %d, stop %q; want %d, %d, %q",
					len(tree.Nodes), tree.Draws, tree.Stop, c.nodes, c.draws, c.stop)
			}
		})
	}
}

func TestTemperature(t *testing.T) {
	one := world{
		options: func(prefix []int32) []option { return []option{{[]int32{7}, 1, len(prefix) == 2}} },
		judge:   func([]int32, bool) search.Reward { return search.Reward{Outcome: 1} },
	}
	for _, c := range []struct {
		name  string
		world world
		edit  func(*search.Params)
		want  float64
	}{
		{"varied", fork(), func(p *search.Params) { p.Width = 2 }, 1},
		{"monotonous", one, func(*search.Params) {}, 1.3},
		{"never raised", one, func(p *search.Params) { p.MinDistinct = 0 }, 1},
		{"width 1 cannot vary", one, func(p *search.Params) { p.Width = 1 }, 1},
		{"already higher", one, func(p *search.Params) { p.Temperature = 1.5 }, 1.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := search.Default()
			c.edit(&p)
			o, last := c.world.oracle(), 0.0
			o.Draw = func(ctx context.Context, tree *search.Tree, rs []search.Request) ([][]search.Fragment, error) {
				last = rs[0].Temperature
				return c.world.draw(ctx, tree, rs)
			}
			if tree := mustSearch(t, o, p); tree.Temperature != c.want || last > c.want {
				t.Errorf("temperature %v (last asked for: %v), want %v", tree.Temperature, last, c.want)
			}
		})
	}
}

func TestRelease(t *testing.T) {
	w, o, drawn, released := fork(), search.Oracle{}, int64(0), map[int64]bool{}
	o.Evaluate = w.evaluate
	o.Draw = func(ctx context.Context, tree *search.Tree, rs []search.Request) ([][]search.Fragment, error) {
		paths, err := w.draw(ctx, tree, rs)
		for _, path := range paths {
			for i := range path {
				drawn++
				path[i].Handle = drawn
			}
		}
		return paths, err
	}
	o.Release = func(h int64) { released[h] = true }
	tree := mustSearch(t, o, search.Default())
	for i, n := range tree.Nodes[1:] {
		if n.Handle == 0 || released[n.Handle] {
			t.Errorf("node %d has handle %d, released: %v", i+1, n.Handle, released[n.Handle])
		}
	}
	if got := int64(len(released) + len(tree.Nodes) - 1); got != drawn || len(released) == 0 {
		t.Errorf("%d handles drawn, %d accounted for, %d released", drawn, got, len(released))
	}
}

// TestAnswers: no iteration begins once enough answers were judged; an iteration adds at most width of them.
func TestAnswers(t *testing.T) {
	p := search.Default()
	p.Patience, p.Iterations, p.Answers = 0, 50, 5
	tree, err := search.Search(t.Context(), hashed(9, 4, 6).oracle(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := tree.Nodes[0].Finished; tree.Stop != search.StopBudget || n < 5 || n >= 5+p.Width {
		t.Errorf("stop %q after %d answers, want 5 to %d", tree.Stop, n, 5+p.Width-1)
	}
}

func TestProgress(t *testing.T) {
	p := search.Default()
	p.Patience = 0
	var seen []search.Progress
	stopped, err := search.Search(t.Context(), hashed(9, 4, 6).oracle(), p, func(at search.Progress) bool {
		seen = append(seen, at)
		return at.Iteration < 3
	})
	if err != nil {
		t.Fatal(err)
	}
	last := seen[len(seen)-1]
	root := stopped.Nodes[0]
	want := search.Progress{
		Iteration: 3, Nodes: len(stopped.Nodes), Tokens: stopped.Tokens, Finished: root.Finished, Passing: root.Passing,
	}
	if len(seen) != 3 || last != want || stopped.Stop != search.StopCaller {
		t.Errorf("stop %q after %d calls; last %+v, want %+v", stopped.Stop, len(seen), last, want)
	}
}
