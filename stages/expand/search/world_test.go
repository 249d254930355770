package search_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"itool/stages/expand/search"
)

// A world is a made-up policy over tiny answers: what may follow a prefix, with
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

// hashed is a world without structure: everything follows from a hash of the
// prefix. Answers have at most maxDepth fragments.
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
