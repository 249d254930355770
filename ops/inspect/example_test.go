package inspect_test

import (
	"context"
	"fmt"
	"os"

	"itool/ops/courier"
	"itool/ops/inspect"
)

// What the last round made wrong, printed for a terminal. Package site opens the broker and the store of a run.
func Example() {
	lost := func(ctx context.Context, c *courier.Courier) error {
		r, err := inspect.Open(ctx, c, "demo")
		if err != nil {
			return err
		}
		found, err := r.Examples(ctx, inspect.Filter{Effect: inspect.Lost})
		if err != nil {
			return err
		}
		return found.Text(os.Stdout, inspect.Style{})
	}
	_ = lost
}

// The ID of a pair says which tree it comes from.
func ExampleParsePairID() {
	round, example, node, ok := inspect.ParsePairID("1/s0000000-00004/7")
	fmt.Println(round, example, node, ok)
	// Output: 1 s0000000-00004 7 true
}
