package loop_test

import (
	"context"
	"fmt"
	"io"
	"testing/fstest"

	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model"
	"itool/stages/policy/train"
	"itool/stages/policy/train/loop"
)

// newLoop returns a training of four steps that stores its checkpoints in a map, by step.
func newLoop(checkpoints map[int]fstest.MapFS) (*loop.Loop, error) {
	m := model.New(model.Config{
		Family: model.Llama, HiddenSize: 16, IntermediateSize: 24, NumLayers: 1, NumHeads: 2, NumKVHeads: 1,
		HeadDim: 8, VocabSize: 10, MaxPositions: 32, RopeTheta: 10000, RMSNormEps: 1e-5,
	}, 1, ref.New())
	cfg := train.Default()
	cfg.Tokens = 64
	t, err := train.New(m, cfg, []train.Phase{{
		Name: "all", Epochs: 4, Rate: 0.01, BatchSize: 1,
		Examples: []train.Example{{ID: "a", Prompt: []int32{1, 2}, Answer: []int32{3, 4}}},
	}})
	return &loop.Loop{
		Trainer: t, Policy: "digest of the policy", Total: 4, Every: 2,
		Checkpoint: func(_ context.Context, step int, write func(loop.Create) error) error {
			checkpoints[step] = fstest.MapFS{}
			return write(func(name string) (io.WriteCloser, error) {
				return &file{name: name, in: checkpoints[step]}, nil
			})
		},
		Progress: func(done, total int, unit, _ string) { fmt.Println(done, "of", total, unit) },
	}, err
}

// A training of four steps, and one that resumes from its checkpoint after step two.
func Example() {
	checkpoints := map[int]fstest.MapFS{}
	whole, err := newLoop(checkpoints)
	if err == nil {
		err = whole.Run(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	second := checkpoints[2]
	resumed, err := newLoop(checkpoints)
	if err == nil {
		err = resumed.Resume(second)
	}
	if err == nil {
		err = resumed.Run(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the same last loss:", resumed.Curve[3].Loss == whole.Curve[3].Loss)
	// Output:
	// 1 of 4 steps
	// 2 of 4 steps
	// 3 of 4 steps
	// 4 of 4 steps
	// 3 of 4 steps
	// 4 of 4 steps
	// the same last loss: true
}
