package search_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"itool/stages/expand/search"
)

// The policy flips a coin per fragment; the answer is right if both show heads (1).
func ExampleSearch() {
	flip := func(_ context.Context, tree *search.Tree, requests []search.Request) ([][]search.Fragment, error) {
		paths := make([][]search.Fragment, len(requests))
		for i, r := range requests {
			rng := rand.New(rand.NewPCG(r.Seed, 0))
			for depth := tree.Nodes[r.Node].Depth; depth < 2; depth++ {
				coin := search.Fragment{Tokens: []int32{rng.Int32N(2)}, LogProb: math.Log(0.5), Terminal: depth == 1}
				paths[i] = append(paths[i], coin)
				if r.Fragments == len(paths[i]) {
					break
				}
			}
		}
		return paths, nil
	}
	judge := func(_ context.Context, tree *search.Tree, ends []int) ([]search.Reward, error) {
		rewards := make([]search.Reward, len(ends))
		for i, end := range ends {
			rewards[i] = search.Reward{Outcome: -1}
			if answer := tree.Prefix(nil, end); answer[0]+answer[1] == 2 {
				rewards[i] = search.Reward{Outcome: 1, Pass: true}
			}
		}
		return rewards, nil
	}

	p := search.Default()
	p.Width = 2
	tree, err := search.Search(context.Background(), search.Oracle{Draw: flip, Evaluate: judge}, p, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for node := range tree.Branching() {
		for _, child := range tree.Nodes[node].Children {
			c := tree.Nodes[child]
			fmt.Printf("after %v: %v has Q %+.2f\n", tree.Prefix(nil, node), c.Tokens, c.Q)
		}
	}
	// Output:
	// after []: [0] has Q -1.00
	// after []: [1] has Q +0.60
	// after [0]: [0] has Q -1.00
	// after [0]: [1] has Q -1.00
	// after [1]: [0] has Q -1.00
	// after [1]: [1] has Q +1.00
}
