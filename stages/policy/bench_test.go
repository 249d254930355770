package policy_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

// BenchmarkDraw reports decoded tokens per second. It also shows that a token allocates nothing: allocs/op does
// not depend on the number of tokens.
func BenchmarkDraw(b *testing.B) {
	for name, fsys := range map[string]fs.FS{"tiny": policytest.Tiny(1), "demo": policytest.Demo(1)} {
		p, err := policy.Open(fsys, policy.Options{})
		if err != nil {
			b.Fatal(err)
		}
		s := newSession(b, p)
		for _, width := range []int{1, 4, 32} {
			b.Run(fmt.Sprintf("%s/width=%d", name, width), func(b *testing.B) {
				b.ReportAllocs()
				drawn := 0
				for b.Loop() {
					var reqs []policy.Request
					for i := range width {
						reqs = append(reqs, policy.Request{
							From: s.Root(), Seed: uint64(i), Temperature: 1, MaxTokens: 100,
						})
					}
					for _, d := range mustDraw(b, s, reqs...) {
						drawn += len(d.Tokens)
					}
					if s.Tokens() > 40_000 {
						s = newSession(b, p)
					}
				}
				b.ReportMetric(float64(drawn)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}

func BenchmarkLogProbs(b *testing.B) {
	p := policytest.Open(b, 1)
	prompt := mustPrompt(b, p, talk)
	seqs := make([]policy.Sequence, 32)
	tokens := 0
	for i := range seqs {
		seqs[i] = policy.Sequence{Prompt: prompt, Answer: p.Answer("[get_weather(city=\"Oslo\")]")}
		tokens += len(seqs[i].Prompt) + len(seqs[i].Answer)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.LogProbs(context.Background(), seqs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(tokens*b.N)/b.Elapsed().Seconds(), "tokens/s")
}

// BenchmarkGenerateEach answers 16 prompts of 400 tokens five times, as score does with four draws: in five calls, and
// in one. ITOOL_BENCH_BASE names the folder of another model than the demo's.
func BenchmarkGenerateEach(b *testing.B) {
	base := policytest.Demo(1)
	if dir := os.Getenv("ITOOL_BENCH_BASE"); dir != "" {
		base = os.DirFS(dir)
	}
	p, err := policy.Open(base, policy.Options{})
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	prompts, reqs := make([][]int32, 16), make([]policy.Request, 5)
	for i := range prompts {
		for range 400 {
			prompts[i] = append(prompts[i], int32(r.IntN(p.VocabSize())))
		}
	}
	for i := range reqs {
		reqs[i] = policy.Request{Seed: uint64(i), Temperature: 1, MaxTokens: 40}
	}
	b.Run("calls=5", func(b *testing.B) {
		for b.Loop() {
			for _, req := range reqs {
				if _, err := p.Generate(b.Context(), prompts, req); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("calls=1", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.GenerateEach(b.Context(), prompts, reqs); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkBatcher answers 16 requests whose prompts share their first 5,000 tokens (or as many as the model takes), as
// those of one assistant with tools do. ITOOL_BENCH_BASE as above.
func BenchmarkBatcher(b *testing.B) {
	base := policytest.Demo(1)
	if dir := os.Getenv("ITOOL_BENCH_BASE"); dir != "" {
		base = os.DirFS(dir)
	}
	p, err := policy.Open(base, policy.Options{})
	if err != nil {
		b.Fatal(err)
	}
	const requests, own, answer = 16, 20, 40
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []int32 {
		ids := make([]int32, n)
		for i := range ids {
			ids[i] = int32(r.IntN(p.VocabSize()))
		}
		return ids
	}
	shared := random(min(5000, p.ContextLength()-own-answer))
	batcher := policy.NewBatcher(p, 2*requests, 0) // a place is given back a moment after its request's end
	go batcher.Run(b.Context())
	var drawn atomic.Int64
	ask := func(seed, n int, own []int32) {
		req := policy.Request{Seed: uint64(seed), Temperature: 1, MaxTokens: n}
		s, err := batcher.Start(b.Context(), slices.Concat(shared, own), req, 0)
		if err != nil {
			b.Error(err)
			return
		}
		for _, err = s.Next(); err == nil; _, err = s.Next() {
			drawn.Add(1)
		}
		if err != io.EOF {
			b.Error(err)
		}
	}
	ask(0, 1, random(own)) // computes what they share
	drawn.Store(0)
	for seed := 0; b.Loop(); {
		var all sync.WaitGroup
		for range requests {
			seed++
			n, own := seed, random(own)
			all.Go(func() { ask(n, answer, own) })
		}
		all.Wait()
	}
	b.ReportMetric(float64(drawn.Load())/b.Elapsed().Seconds(), "tokens/s")
}
