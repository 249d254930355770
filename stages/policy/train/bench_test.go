package train_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/model"
	"itool/stages/policy/train"
)

// BenchmarkStep trains the demonstration's model: one step is one full micro-batch
// of 2,048 tokens, in eight sequences with a loss on every token.
func BenchmarkStep(b *testing.B) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		b.Fatal(err)
	}
	m := model.New(model.Config{
		HiddenSize: 192, IntermediateSize: 512, NumLayers: 6, NumHeads: 6, NumKVHeads: 2, HeadDim: 32, VocabSize: 2048,
		MaxPositions: 4096, RopeTheta: 10000, RMSNormEps: 1e-5, TieEmbeddings: true,
	}, 1, dev)
	r := rand.New(rand.NewPCG(1, 1))
	es := make([]train.Example, 8)
	for i := range es {
		es[i] = train.Example{ID: fmt.Sprint(i), Answer: make([]int32, 256)}
		for j := range es[i].Answer {
			es[i].Answer[j] = int32(r.IntN(2048))
		}
	}
	for _, mode := range []struct {
		name string
		full bool
		keep int
	}{{"full", true, 0}, {"lora", false, 0}, {"lora/recompute", false, 1}} {
		b.Run(mode.name, func(b *testing.B) {
			c := train.Default()
			c.Full, c.ActivationBytes = mode.full, mode.keep
			t, err := train.New(m, c, []train.Phase{{Name: "bench", Examples: es, Epochs: 1 << 20, Rate: 1e-4, BatchSize: 8}})
			if err != nil {
				b.Fatal(err)
			}
			step := func() {
				if _, err := t.Step(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			step()
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
			b.ReportMetric(float64(2048*b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
