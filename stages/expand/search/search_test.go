package search_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"itool/stages/expand/search"
)

func mustSearch(t interface {
	Helper()
	Fatalf(string, ...any)
}, o search.Oracle, p search.Params) *search.Tree {
	t.Helper()
	tree, err := search.Search(context.Background(), o, p, nil)
	if err != nil {
		t.Fatalf("search: %v", err)
	}
	return tree
}

// fork is the smallest world worth a search: "a" (¾) then "x" passes, "a" then
// "y" fails, "b" (¼) fails at once.
func fork() world {
	return world{
		options: func(prefix []int32) []option {
			if len(prefix) == 0 {
				return []option{{[]int32{'a'}, 0.75, false}, {[]int32{'b'}, 0.25, true}}
			}
			return []option{{[]int32{'x'}, 0.5, true}, {[]int32{'y'}, 0.5, true}}
		},
		judge: func(answer []int32, terminal bool) search.Reward {
			if !terminal {
				return search.Reward{SelfEval: 0.5}
			}
			pass := string(rune(answer[len(answer)-1])) == "x"
			return search.Reward{Outcome: outcome(pass), Pass: pass}
		},
	}
}

// The equations, worked out by hand.
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
	// a wins either way. It has one child and is widened by the other one. The
	// two are x and y, in some order: V(a) = 0, Q(a) = 0.
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

// Eq. 6 at a state that a capped roll-out left unfinished: C counts there, and
// leaves again through the rewards of the children (r = R(s') − R(s)).
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
		t.Errorf("deepest node at %d: roll-outs should run on", deepest)
	}
}

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
		// One draw, then one roll-out; nothing is ever open again: converged.
		{"width 1", same(), func(p *search.Params) { p.Width = 1 }, 4, 2, search.StopConverged},
		// Every node is drawn from 4 × 4 times before it is believed: 3 × 16, less
		// one because the first roll-out drew at two nodes in one request.
		{"always the same fragment", same(), func(*search.Params) {}, 4, 47, search.StopConverged},
		{"always the same, known by its probability", same(), func(p *search.Params) { p.Coverage = 0.99 }, 4, 5, search.StopConverged},
		{"answer ends at once", empty, func(*search.Params) {}, 2, 16, search.StopConverged},
		{"no early stop", empty, func(p *search.Params) { p.Patience = 0 }, 2, 16, search.StopIterations},
		{"budget of one token", same(), func(p *search.Params) { p.TokenBudget = 1 }, 4, 17, search.StopBudget},
		{"budget zero is none", same(), func(p *search.Params) { p.TokenBudget = 0; p.Patience = 0 }, 4, 47, search.StopIterations},
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
		{"hotter already", one, func(p *search.Params) { p.Temperature = 1.5 }, 1.5},
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

func TestOracleErrors(t *testing.T) {
	boom := errors.New("boom")
	ok := search.Fragment{Tokens: []int32{1}, LogProb: -1}
	end := search.Fragment{Tokens: []int32{2}, LogProb: -1, Terminal: true}
	paths := func(ps ...[]search.Fragment) ([][]search.Fragment, error) { return ps, nil }
	for _, c := range []struct {
		name     string
		draw     func(search.Request) ([][]search.Fragment, error)
		evaluate func() ([]search.Reward, error)
		want     string
	}{
		{"draw", func(search.Request) ([][]search.Fragment, error) { return nil, boom }, nil, "node 0 at depth 0: draw: boom"},
		{"evaluate", nil, func() ([]search.Reward, error) { return nil, boom }, "node 0 at depth 0: evaluate: boom"},
		{"too few paths", func(search.Request) ([][]search.Fragment, error) { return paths() }, nil, "draw: 0 paths for 1 requests"},
		{"no fragment", func(search.Request) ([][]search.Fragment, error) { return paths(nil) }, nil, "ends after 0 fragments"},
		{"too long", func(search.Request) ([][]search.Fragment, error) { return paths([]search.Fragment{ok, end}) }, nil, "2 fragments, asked for 1"},
		{"empty fragment", func(search.Request) ([][]search.Fragment, error) { return paths([]search.Fragment{{}}) }, nil, "no tokens"},
		{"NaN", func(search.Request) ([][]search.Fragment, error) {
			return paths([]search.Fragment{{Tokens: []int32{1}, LogProb: math.NaN()}})
		}, nil, "log-probability is NaN"},
		{"positive", func(search.Request) ([][]search.Fragment, error) {
			return paths([]search.Fragment{{Tokens: []int32{1}, LogProb: 2}})
		}, nil, "log-probability is 2"},
		{"cut alone", func(search.Request) ([][]search.Fragment, error) {
			return paths([]search.Fragment{{Tokens: []int32{1}, Cut: true}})
		}, nil, "cut but not terminal"},
		{"endless roll-out", func(r search.Request) ([][]search.Fragment, error) { return paths([]search.Fragment{ok}) }, nil, "roll out: path 1 of 1: ends after 1 fragments"},
		{"terminal inside", func(r search.Request) ([][]search.Fragment, error) {
			if r.Fragments == 1 {
				return paths([]search.Fragment{ok})
			}
			return paths([]search.Fragment{end, end})
		}, nil, "fragment 1: terminal before the end"},
		{"too few rewards", nil, func() ([]search.Reward, error) { return nil, nil }, "0 rewards for 1 nodes"},
		{"infinite reward", nil, func() ([]search.Reward, error) { return []search.Reward{{SelfEval: math.Inf(1)}}, nil }, "not finite"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := search.Oracle{
				Draw: func(_ context.Context, _ *search.Tree, rs []search.Request) ([][]search.Fragment, error) {
					if c.draw == nil {
						return paths([]search.Fragment{end})
					}
					return c.draw(rs[0])
				},
				Evaluate: func(context.Context, *search.Tree, []int) ([]search.Reward, error) {
					if c.evaluate == nil {
						return []search.Reward{{Outcome: -1}}, nil
					}
					return c.evaluate()
				},
			}
			p := search.Default()
			p.Width = 1
			tree, err := search.Search(t.Context(), o, p, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || tree != nil {
				t.Errorf("tree %v, error %q; want an error with %q", tree, err, c.want)
			}
			if strings.Contains(c.want, "boom") && !errors.Is(err, boom) {
				t.Errorf("%v does not wrap the oracle's error", err)
			}
		})
	}
}

func TestUnfinishedOutcomeIsRefused(t *testing.T) {
	o := binary(6).oracle()
	o.Evaluate = func(_ context.Context, _ *search.Tree, ends []int) ([]search.Reward, error) {
		return make([]search.Reward, len(ends)), nil
	}
	p := search.Paper()
	mustSearch(t, o, p)
	o.Evaluate = func(_ context.Context, _ *search.Tree, ends []int) ([]search.Reward, error) {
		rs := make([]search.Reward, len(ends))
		for i := range rs {
			rs[i].Outcome = -1
		}
		return rs, nil
	}
	if _, err := search.Search(t.Context(), o, p, nil); err == nil || !strings.Contains(err.Error(), "unfinished answer has outcome -1") {
		t.Errorf("error %v", err)
	}
}

func TestCancel(t *testing.T) {
	for _, c := range []struct {
		name string
		at   int // calls of the oracle before the cancel; each call returns its own error then, or none
		err  error
	}{
		{"before the start", 0, nil},
		{"in a draw that goes on", 1, nil},
		{"in a draw that fails", 3, errors.New("connection closed")},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.at == 0 {
				cancel()
			}
			w, calls := hashed(5, 4, 6), 0
			count := func() error {
				if calls++; calls == c.at {
					cancel()
					return c.err
				}
				return nil
			}
			o := search.Oracle{
				Draw: func(ctx context.Context, tree *search.Tree, rs []search.Request) ([][]search.Fragment, error) {
					paths, _ := w.draw(ctx, tree, rs)
					return paths, count()
				},
				Evaluate: func(ctx context.Context, tree *search.Tree, ends []int) ([]search.Reward, error) {
					rewards, _ := w.evaluate(ctx, tree, ends)
					return rewards, count()
				},
			}
			tree, err := search.Search(ctx, o, search.Default(), nil)
			if err != context.Canceled || tree != nil {
				t.Errorf("tree %v, error %v; want context.Canceled itself", tree, err)
			}
			if calls != c.at {
				t.Errorf("%d calls of the oracle, want none after number %d", calls, c.at)
			}
		})
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
	want := search.Progress{Iteration: 3, Nodes: len(stopped.Nodes), Tokens: stopped.Tokens, Finished: root.Finished, Passing: root.Passing}
	if len(seen) != 3 || last != want || stopped.Stop != search.StopCaller {
		t.Errorf("stop %q after %d calls; last %+v, want %+v", stopped.Stop, len(seen), last, want)
	}
}

// binary has two equal options at each of its levels, and all answers pass.
func binary(levels int) world {
	return world{
		options: func(prefix []int32) []option {
			end := len(prefix) == levels-1
			return []option{{[]int32{1}, 0.5, end}, {[]int32{2}, 0.5, end}}
		},
		judge: func(_ []int32, terminal bool) search.Reward {
			if terminal {
				return search.Reward{Outcome: 1, SelfEval: 0.25, Pass: true}
			}
			return search.Reward{SelfEval: 0.5}
		},
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
