package search_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"itool/stages/expand/search"
)

func TestOracleErrors(t *testing.T) {
	boom := errors.New("boom")
	ok := search.Fragment{Tokens: []int32{1}, LogProb: -1}
	end := search.Fragment{Tokens: []int32{2}, LogProb: -1, Terminal: true}
	type draws = [][]search.Fragment
	paths := func(ps ...[]search.Fragment) (draws, error) { return ps, nil }
	always := func(ps ...[]search.Fragment) func(search.Request) (draws, error) {
		return func(search.Request) (draws, error) { return ps, nil }
	}
	for _, c := range []struct {
		name     string
		draw     func(search.Request) (draws, error)
		evaluate func() ([]search.Reward, error)
		want     string
	}{
		{"draw", func(search.Request) (draws, error) { return nil, boom }, nil, "node 0 at depth 0: draw: boom"},
		{"evaluate", nil, func() ([]search.Reward, error) { return nil, boom }, "node 0 at depth 0: evaluate: boom"},
		{"too few paths", always(), nil, "draw: 0 paths for 1 requests"},
		{"no fragment", always(nil), nil, "ends after 0 fragments"},
		{"too long", always([]search.Fragment{ok, end}), nil, "2 fragments, asked for 1"},
		{"empty fragment", always([]search.Fragment{{}}), nil, "no tokens"},
		{"NaN", always([]search.Fragment{{Tokens: []int32{1}, LogProb: math.NaN()}}), nil, "log-probability is NaN"},
		{"positive", always([]search.Fragment{{Tokens: []int32{1}, LogProb: 2}}), nil, "log-probability is 2"},
		{"cut, not terminal", always([]search.Fragment{{Tokens: []int32{1}, Cut: true}}), nil, "cut but not terminal"},
		{"endless roll-out", always([]search.Fragment{ok}), nil, "roll out: path 1 of 1: ends after 1 fragments"},
		{"terminal inside", func(r search.Request) (draws, error) {
			if r.Fragments == 1 {
				return paths([]search.Fragment{ok})
			}
			return paths([]search.Fragment{end, end})
		}, nil, "fragment 1: terminal before the end"},
		{"too few rewards", nil, func() ([]search.Reward, error) { return nil, nil }, "0 rewards for 1 nodes"},
		{"infinite reward", nil, func() ([]search.Reward, error) {
			return []search.Reward{{SelfEval: math.Inf(1)}}, nil
		}, "not finite"},
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
	_, err := search.Search(t.Context(), o, p, nil)
	if err == nil || !strings.Contains(err.Error(), "unfinished answer has outcome -1") {
		t.Errorf("error %v, want one that names the outcome", err)
	}
}

func TestCancel(t *testing.T) {
	for _, c := range []struct {
		name string
		at   int   // the call of the oracle that cancels
		err  error // that this call returns
	}{
		{"before the start", 0, nil},
		{"in a draw that succeeds", 1, nil},
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
