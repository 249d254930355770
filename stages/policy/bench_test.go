package policy_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
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
