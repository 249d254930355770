package pretrain_test

import (
	"context"
	"fmt"

	"itool/ops/pretrain"
)

// A base like that of the demo, but with two layers.
func Example() {
	train := func(ctx context.Context) error {
		c := pretrain.Default()
		c.Layers = 2
		report, err := pretrain.Run(ctx, c, "base", func(p pretrain.Progress) {
			fmt.Printf("step %d of %d, loss %.3f\n", p.Step, p.Steps, p.Loss)
		})
		if err != nil {
			return err // the same call again goes on from the last checkpoint
		}
		fmt.Println(report.Parameters, "parameters")
		return nil
	}
	_ = train
}
