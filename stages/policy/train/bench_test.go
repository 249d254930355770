package train_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/model"
	"itool/stages/policy/train"
)

// BenchmarkStep trains two small models, the demo's base and a wider one, and one of SmolLM2-135M's shape. A step is
// one full micro-batch of 2,048 tokens, in eight sequences with a loss on every token, at the kernel level that
// ITOOL_KERNELS names or at the machine's best.
//
// median-tokens/s is the median over the steps, because means depend on what else runs on the machine. A
// profile (-cpuprofile) of one case shows where its time goes.
func BenchmarkStep(b *testing.B) {
	for _, s := range []struct {
		name   string
		config model.Config
	}{
		{"1M", model.Config{HiddenSize: 128, IntermediateSize: 320, NumLayers: 4, NumHeads: 4, NumKVHeads: 2,
			HeadDim: 32, VocabSize: 1024}},
		{"3M", model.Config{HiddenSize: 192, IntermediateSize: 512, NumLayers: 6, NumHeads: 6, NumKVHeads: 2,
			HeadDim: 32, VocabSize: 2048}},
		{"135M", model.Config{HiddenSize: 576, IntermediateSize: 1536, NumLayers: 30, NumHeads: 9, NumKVHeads: 3,
			HeadDim: 64, VocabSize: 49152}},
	} {
		c := s.config
		c.Family, c.MaxPositions = model.Llama, 4096
		c.RopeTheta, c.RMSNormEps, c.TieEmbeddings = 10000, 1e-5, true
		for _, mode := range []struct {
			name string
			full bool
			keep int
		}{{"full", true, 0}, {"lora", false, 0}, {"lora/recompute", false, 1}} {
			b.Run(s.name+"/"+mode.name, func(b *testing.B) {
				t := train.Default()
				t.Full, t.ActivationBytes = mode.full, mode.keep
				benchmarkStep(b, c, t)
			})
		}
	}
}

func benchmarkStep(b *testing.B, shape model.Config, c train.Config) {
	dev, err := cpu.New(cpu.Options{Level: os.Getenv("ITOOL_KERNELS")})
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	es := make([]train.Example, 8)
	for i := range es {
		es[i] = train.Example{ID: fmt.Sprint(i), Answer: make([]int32, 256)}
		for j := range es[i].Answer {
			es[i].Answer[j] = int32(r.IntN(shape.VocabSize))
		}
	}
	t, err := train.New(model.New(shape, 1, dev), c,
		[]train.Phase{{Name: "bench", Examples: es, Epochs: 1 << 20, Rate: 1e-4, BatchSize: 8}})
	if err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	step := func() {
		start := time.Now()
		if _, err := t.Step(context.Background()); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	step() // the first one allocates what the others use
	took = make([]time.Duration, 0, 1<<16)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
	slices.Sort(took)
	b.ReportMetric(2048/took[len(took)/2].Seconds(), "median-tokens/s")
}

// BenchmarkPairs trains an adapter with SimPO. A step has 16 pairs, each with a prompt and two sides of 12
// tokens.
func BenchmarkPairs(b *testing.B) {
	shape := model.Config{
		Family: model.Llama, HiddenSize: 128, IntermediateSize: 320, NumLayers: 4, NumHeads: 4, NumKVHeads: 2,
		HeadDim: 32, VocabSize: 1024,
		MaxPositions: 4096, RopeTheta: 10000, RMSNormEps: 1e-5, TieEmbeddings: true,
	}
	for _, prompt := range []int{110, 1000} {
		b.Run(fmt.Sprintf("prompt%d", prompt), func(b *testing.B) {
			dev, err := cpu.New(cpu.Options{Level: os.Getenv("ITOOL_KERNELS")})
			if err != nil {
				b.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 1))
			ids := func(n int) []int32 {
				v := make([]int32, n)
				for i := range v {
					v[i] = int32(r.IntN(shape.VocabSize))
				}
				return v
			}
			pairs := make([]train.Pair, 16)
			for i := range pairs {
				pairs[i] = train.Pair{ID: fmt.Sprint(i), Prompt: ids(prompt), Chosen: ids(12), Rejected: ids(12)}
			}
			c := train.Default()
			c.Loss = "simpo"
			t, err := train.New(model.New(shape, 1, dev), c,
				[]train.Phase{{Name: "bench", Pairs: pairs, Epochs: 1 << 20, Rate: 1e-5, BatchSize: len(pairs)}})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := t.Step(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(pairs))/b.Elapsed().Seconds(), "pairs/s")
		})
	}
}
