package search_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"itool/stages/expand/search"

	"pgregory.net/rapid"
)

// A world is a made-up policy over tiny answers: what can follow a prefix and with
// which probability, and how good a finished answer is.
type world struct {
	options func(prefix []int32) []option
	judge   func(answer []int32, terminal bool) search.Reward
}

type option struct {
	tokens   []int32
	p        float64 // probability at temperature 1
	terminal bool
}

func (w world) oracle() search.Oracle {
	return search.Oracle{Draw: w.draw, Evaluate: w.evaluate}
}

func (w world) draw(_ context.Context, t *search.Tree, requests []search.Request) ([][]search.Fragment, error) {
	paths := make([][]search.Fragment, len(requests))
	for i, r := range requests {
		rng := rand.New(rand.NewPCG(r.Seed, 1))
		prefix := t.Prefix(nil, r.Node)
		for r.Fragments == 0 || len(paths[i]) < r.Fragments {
			f := w.sample(rng, prefix, r.Temperature)
			paths[i] = append(paths[i], f)
			prefix = append(prefix, f.Tokens...)
			if f.Terminal {
				break
			}
		}
	}
	return paths, nil
}

func (w world) sample(rng *rand.Rand, prefix []int32, temperature float64) search.Fragment {
	options := w.options(prefix)
	sum := 0.0
	for _, o := range options {
		sum += math.Pow(o.p, 1/temperature)
	}
	x := rng.Float64() * sum
	at := 0
	for ; at < len(options)-1; at++ {
		if x -= math.Pow(options[at].p, 1/temperature); x < 0 {
			break
		}
	}
	o := options[at]
	return search.Fragment{
		Tokens:   o.tokens,
		LogProb:  math.Log(o.p) / float64(max(1, len(o.tokens))),
		Terminal: o.terminal,
	}
}

func (w world) evaluate(_ context.Context, t *search.Tree, ends []int) ([]search.Reward, error) {
	rewards := make([]search.Reward, len(ends))
	for i, end := range ends {
		rewards[i] = w.judge(t.Prefix(nil, end), t.Nodes[end].Terminal)
	}
	return rewards, nil
}

// hashed is a world without structure: a hash of the prefix decides everything.
// Answers have at most maxDepth fragments.
func hashed(salt uint64, maxOptions, maxDepth int) world {
	return world{
		options: func(prefix []int32) []option {
			h := hash(salt, prefix)
			rng := rand.New(rand.NewPCG(h, 2))
			options := make([]option, 1+rng.IntN(maxOptions))
			sum := 0.0
			for i := range options {
				options[i].p = 0.05 + rng.Float64()
				sum += options[i].p
			}
			depth := 0
			for _, token := range prefix {
				depth += int(token & 1) // a fragment's first token is odd, the others even
			}
			for i := range options {
				options[i].p /= sum
				options[i].tokens = []int32{int32(2*i + 1), 2, 4}[:1+rng.IntN(3)]
				options[i].terminal = depth+1 >= maxDepth || rng.IntN(4) == 0
			}
			return options
		},
		judge: func(answer []int32, terminal bool) search.Reward {
			rng := rand.New(rand.NewPCG(hash(salt, answer), 3))
			r := search.Reward{SelfEval: -2 + 3*rng.Float64()}
			if terminal {
				r.Pass = rng.IntN(3) == 0
				r.Outcome = outcome(r.Pass)
			}
			return r
		},
	}
}

func outcome(pass bool) float64 {
	if pass {
		return 1
	}
	return -1
}

func hash(salt uint64, tokens []int32) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, salt, tokens)
	return h.Sum64()
}

// fork is the smallest world worth a search: "a" (¾) and then "x" passes, "a" and
// then "y" fails, and "b" (¼) fails at once.
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

// call is like an answer with one tool call: eight fragments of four tokens, where
// near-certain syntax alternates with uncertain values. The first option is right at
// each level, and one wrong value makes the answer wrong.
func call() world {
	certainty := []float64{0.95, 0.6, 0.999, 0.5, 0.999, 0.5, 0.999, 0.6}
	return world{
		options: func(prefix []int32) []option {
			level := len(prefix) / 4
			p, end := certainty[level], level == len(certainty)-1
			options := []option{{[]int32{0, 9, 9, 9}, p, end}}
			for token := range int32(4) {
				options = append(options, option{[]int32{token + 1, 9, 9, 9}, (1 - p) / 4, end})
			}
			return options
		},
		judge: func(answer []int32, _ bool) search.Reward {
			right := 0
			for i := 0; i < len(answer); i += 4 {
				if answer[i] == 0 {
					right++
				}
			}
			pass := right == len(certainty)
			share := float64(right) / float64(len(certainty))
			return search.Reward{Outcome: outcome(pass), Pass: pass, SelfEval: 0.5 * share}
		},
	}
}

func mustSearch(t rapid.TB, o search.Oracle, p search.Params) *search.Tree {
	t.Helper()
	tree, err := search.Search(context.Background(), o, p, nil)
	if err != nil {
		t.Fatalf("search: %v", err)
	}
	return tree
}
