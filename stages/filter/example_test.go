package filter_test

import (
	"context"
	"fmt"

	"itool/schemas"
	"itool/stages"
	"itool/stages/filter"
)

// printer is an Output that prints the pairs of the result.
type printer struct{ stages.Output }

func (printer) Result(b schemas.Batch) error {
	pairs, err := schemas.Decode[schemas.Pair](b)
	for _, p := range pairs {
		if p.Reason != "" {
			fmt.Printf("node %d: dropped: %s\n", p.Node, p.Reason)
			continue
		}
		fmt.Printf("node %d: %q is preferred to %q\n", p.Node, p.ChosenText, p.RejectedText)
	}
	return err
}

// Two nodes of the tree branch. At the root the beginning of a right call is preferred to
// prose; below it both sides are the same call, written differently.
func Example() {
	tree := []schemas.Candidate{
		{Node: 0, Parent: -1, Tokens: []int32{1}},
		{Node: 1, Parent: 0, Tokens: []int32{2}, Text: "[f(", Q: 0.5},
		{Node: 2, Parent: 0, Tokens: []int32{3}, Text: "No.", Q: -1, Terminal: true},
		{Node: 3, Parent: 1, Tokens: []int32{4}, Text: "a='x')]", Q: 1, Terminal: true, Pass: true},
		{Node: 4, Parent: 1, Tokens: []int32{5}, Text: `a="x")]`, Q: 0, Terminal: true, Pass: true},
	}
	in := stages.Input{Batches: func(yield func(schemas.Batch, error) bool) {
		yield(schemas.Encode(schemas.Header{}, tree))
	}}
	if err := filter.New().Process(context.Background(), in, printer{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// node 0: "[f(" is preferred to "No."
	// node 1: dropped: equal_after_parsing
}
