package selection_test

import (
	"fmt"

	"itool/schemas"
	"itool/stages/selection"
)

// Of three examples, one is taken: the one that the policy gets right sometimes.
func ExampleRank() {
	cfg := selection.Default()
	cfg.Order, cfg.Ratio = selection.OrderMixed, 0.34
	for _, r := range selection.Rank([]schemas.Score{
		{ExampleID: "hopeless", Perplexity: 9, Draws: 4, Right: 0},
		{ExampleID: "solved", Perplexity: 1.1, Draws: 4, Right: 4},
		{ExampleID: "sometimes", Perplexity: 2, Draws: 4, Right: 1},
	}, cfg, 1) {
		fmt.Println(r.Rank, r.ExampleID, r.Selected)
	}
	// Output:
	// 0 sometimes true
	// 1 hopeless false
	// 2 solved false
}
