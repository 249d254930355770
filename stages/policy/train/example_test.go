package train_test

import (
	"context"
	"fmt"
	"io"

	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
	"itool/stages/policy/train"
)

// A fine-tuning from the first step to the finished adapter.
func Example() {
	m := model.New(model.Config{
		Family: model.Llama, HiddenSize: 16, IntermediateSize: 24, NumLayers: 1, NumHeads: 2, NumKVHeads: 1, HeadDim: 8,
		VocabSize: 10, MaxPositions: 32, RopeTheta: 10000, RMSNormEps: 1e-5,
	}, 1, ref.New())
	cfg := train.Default()
	cfg.Tokens = 64
	t, err := train.New(m, cfg, []train.Phase{{
		Name: "easy", Epochs: 25, Rate: 0.01, BatchSize: 2,
		Examples: []train.Example{
			{ID: "a", Prompt: []int32{1, 2}, Answer: []int32{3, 4}}, {ID: "b", Prompt: []int32{5}, Answer: []int32{6}},
		},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, last := 0.0, 0.0
	for {
		stats, err := t.Step(context.Background())
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		if stats.Step == 0 {
			first = stats.Loss
		}
		last = stats.Loss
	}
	fmt.Println("learned:", last < first, "rank:", t.Adapter(false).Rank)
	// Output: learned: true rank: 16
}
