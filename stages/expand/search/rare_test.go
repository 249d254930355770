package search_test

import (
	"testing"

	"itool/stages/expand/search"
)

// maze has one passing path of six fragments. At each step the right fragment
// has probability 0.3 and three wrong ones share the rest: one sampled answer in
// 0.3⁻⁶ ≈ 1372 passes. hint is what the self-evaluation gives to a finished
// answer for its share of right fragments.
func maze(hint float64) world {
	const levels = 6
	right := func(prefix []int32) (n int) {
		for level, token := range prefix {
			if token == int32(hash(uint64(level), nil)%4) {
				n++
			}
		}
		return n
	}
	return world{
		options: func(prefix []int32) []option {
			var options []option
			for token := range int32(4) {
				p := 0.7 / 3
				if token == int32(hash(uint64(len(prefix)), nil)%4) {
					p = 0.3
				}
				options = append(options, option{[]int32{token}, p, len(prefix) == levels-1})
			}
			return options
		},
		judge: func(answer []int32, _ bool) search.Reward {
			n := right(answer)
			return search.Reward{
				Outcome:  outcome(n == levels),
				Pass:     n == levels,
				SelfEval: hint * float64(n) / levels,
			}
		},
	}
}

// With the same number of sampled tokens, the search finds a rare right answer more
// often than random sampling, and much more often if the judge prefers answers that
// are nearly right.
func TestFindsTheRarePath(t *testing.T) {
	const trials = 300
	for _, c := range []struct {
		name  string
		hint  float64
		ahead float64 // required: times as often as sampling
	}{
		{"judged by outcome only", 0, 1.2},
		{"judged with self-evaluation", 1, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := maze(c.hint)
			p := search.Default()
			p.Iterations, p.TokenBudget, p.MinDistinct = 1000, 300, 0
			found, sampled := 0, 0
			for seed := range uint64(trials) {
				p.Seed = seed * 0x1234567
				tree := mustSearch(t, w.oracle(), p)
				found += min(1, tree.Nodes[0].Passing)
				sampled += min(1, passingSamples(t, w, p.Seed, tree.Tokens))
			}
			t.Logf("of %d: search %d, sampling %d", trials, found, sampled)
			if float64(found) < c.ahead*float64(max(1, sampled)) {
				t.Errorf("search found it in %d of %d trials, sampling in %d; want %v times as many",
					found, trials, sampled, c.ahead)
			}
		})
	}
}

// passingSamples draws whole answers until the tokens are spent.
func passingSamples(t *testing.T, w world, seed uint64, tokens int) (passing int) {
	root := &search.Tree{Nodes: []search.Node{{Parent: -1}}}
	for ; tokens > 0; seed++ {
		paths, err := w.draw(t.Context(), root, []search.Request{{Seed: seed, Temperature: 1}})
		if err != nil {
			t.Fatal(err)
		}
		var answer []int32
		for _, f := range paths[0] {
			answer = append(answer, f.Tokens...)
		}
		tokens -= len(answer)
		if w.judge(answer, true).Pass {
			passing++
		}
	}
	return passing
}
