package policy_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"itool/stages/policy"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/policytest"
)

// TestGoldenLogProbs compares the log-probabilities of every model family with those of transformers: of
// whole answers and token by token with the KV cache, with PEFT's adapter and without.
func TestGoldenLogProbs(t *testing.T) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for _, g := range policytest.Goldens(t) {
		for kind, adapter := range map[string]bool{"base": false, "adapted": true} {
			t.Run(g.Name+"/"+kind, func(t *testing.T) {
				p, err := policy.Open(g.Folder(adapter), policy.Options{Device: dev})
				if err != nil {
					t.Fatal(err)
				}
				var seqs []policy.Sequence
				for _, e := range g.Examples {
					seqs = append(seqs, policy.Sequence{Prompt: e.Prompt, Answer: e.Answer})
				}
				got, err := p.LogProbs(ctx, seqs)
				if err != nil {
					t.Fatal(err)
				}
				for i, s := range seqs {
					want := g.Tensor(t, kind+".answer."+string(rune('0'+i)))
					near(t, "at once", got[i], want)
					session, err := p.NewSession(s.Prompt)
					if err != nil {
						t.Fatal(err)
					}
					b := session.Root()
					for j, id := range s.Answer {
						var logp []float32
						if b, logp, err = session.Append(ctx, b, []int32{id}); err != nil {
							t.Fatal(err)
						}
						near(t, "token by token", logp, want[j:j+1])
					}
				}
			})
		}
		t.Run(g.Name+"/whole vocabulary", func(t *testing.T) {
			p, err := policy.Open(g.Folder(false), policy.Options{Device: dev})
			if err != nil {
				t.Fatal(err)
			}
			all := make([]int32, p.VocabSize())
			for i := range all {
				all[i] = int32(i)
			}
			ids := slices.Concat(g.Examples[0].Prompt, g.Examples[0].Answer)
			want := g.Tensor(t, "base.logprobs")
			for at := 1; at <= len(ids); at++ {
				session, err := p.NewSession(ids[:at])
				if err != nil {
					t.Fatal(err)
				}
				got, err := session.Next(ctx, session.Root(), all)
				if err != nil {
					t.Fatal(err)
				}
				near(t, "after a prefix", got, want[(at-1)*len(all):at*len(all)])
			}
		})
	}
}

// near allows for the rounding of float32; the reference was computed in float64.
func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d log-probabilities, want %d", what, len(got), len(want))
	}
	for i := range got {
		if d := math.Abs(float64(got[i] - want[i])); d > 1e-5*(1+math.Abs(float64(want[i]))) {
			t.Errorf("%s: log-probability %d is %v, want %v", what, i, got[i], want[i])
			return
		}
	}
}
