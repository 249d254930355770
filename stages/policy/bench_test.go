package policy_test

import (
	"context"
	"fmt"
	"io/fs"
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
