package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/train"
)

// The jobs of our side.

// sft is a training step of an adapter on sequences, with a loss on every token.
func (b *bench) sft(p *policy.Policy, s sizes) (side, error) {
	es := make([]train.Example, s.Sequences)
	for i := range es {
		es[i] = train.Example{ID: fmt.Sprint(i), Answer: ids(p, s.Tokens, i)}
	}
	c := train.Default()
	c.Tokens = s.Sequences * s.Tokens
	return b.trainer(p, c, train.Phase{Name: "sft", Examples: es, BatchSize: len(es)})
}

// simpo is a training step of an adapter on pairs.
func (b *bench) simpo(p *policy.Policy, s sizes) (side, error) {
	ps := make([]train.Pair, s.Pairs)
	for i := range ps {
		ps[i] = train.Pair{
			ID: fmt.Sprint(i), Prompt: ids(p, s.Prompt, i),
			Chosen: ids(p, s.Fragment, 2*i), Rejected: ids(p, s.Fragment, 2*i+1),
		}
	}
	c := train.Default()
	c.Loss = "simpo"
	c.Tokens = max(2048, train.PairRows(s.Prompt, s.Fragment, s.Fragment))
	return b.trainer(p, c, train.Phase{Name: "simpo", Pairs: ps, BatchSize: len(ps)})
}

func (b *bench) trainer(p *policy.Policy, c train.Config, phase train.Phase) (side, error) {
	phase.Epochs, phase.Rate = 1<<20, 1e-4
	c.Rank, c.Alpha = 16, 32
	t, err := train.New(p.Model(), c, []train.Phase{phase})
	return side{do: func() error {
		_, err := t.Step(b.ctx)
		return err
	}}, err
}

// score is the log-probability of answers after prompts.
func (b *bench) score(p *policy.Policy, s sizes) (side, error) {
	seqs := make([]policy.Sequence, s.Sequences)
	for i := range seqs {
		seqs[i] = policy.Sequence{Prompt: ids(p, s.Prompt, i), Answer: ids(p, s.Answer, i+100)}
	}
	return side{do: func() error {
		_, err := p.LogProbs(b.ctx, seqs)
		return err
	}}, nil
}

// decode draws many continuations of one prompt.
func (b *bench) decode(p *policy.Policy, s sizes) (side, error) {
	draw, err := b.streams(p, ids(p, s.Prompt, 1), s, 1)
	return side{do: func() error {
		_, err := draw()
		return err
	}}, err
}

// streams returns a function that draws s.Sequences continuations of a prompt, each of s.Tokens
// tokens. The function returns the seconds of the drawing, without the prompt.
func (b *bench) streams(
	p *policy.Policy, prompt []int32, s sizes, temperature float64,
) (func() (float64, error), error) {
	draw := func(seeds []uint64) ([]policy.Draw, float64, error) {
		session, err := p.NewSession(prompt)
		if err != nil {
			return nil, 0, err
		}
		reqs := make([]policy.Request, len(seeds))
		for i := range reqs {
			reqs[i] = policy.Request{
				From: session.Root(), Seed: seeds[i], Temperature: temperature, MaxTokens: s.Tokens,
			}
		}
		start := time.Now()
		draws, err := session.Draw(b.ctx, reqs)
		return draws, time.Since(start).Seconds(), err
	}
	// With some seeds a turn ends early. Use only seeds with which it does not.
	var seeds []uint64
	for next := uint64(0); len(seeds) < s.Sequences; {
		try := slices.Clone(seeds)
		for len(try) < s.Sequences {
			try = append(try, next)
			next++
		}
		draws, _, err := draw(try)
		if err != nil {
			return nil, err
		}
		seeds = seeds[:0]
		for i, d := range draws {
			if len(d.Tokens) == s.Tokens {
				seeds = append(seeds, try[i])
			}
		}
	}
	return func() (float64, error) {
		_, seconds, err := draw(seeds)
		return seconds, err
	}, nil
}

// gemm multiplies rows with each of a layer's matrices.
func (b *bench) gemm(p *policy.Policy, s sizes) (side, error) {
	type job struct {
		w    kernel.Matrix
		x, y kernel.Floats
	}
	var jobs []job
	r := rand.New(rand.NewPCG(1, 1))
	random := func(n int) kernel.Floats {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return b.dev.Put(v)
	}
	for _, l := range p.Model().Layers[0].Linears() {
		w := b.dev.Pack(b.dev.Put(kernel.Widened(l.Weight())), l.N, l.K)
		jobs = append(jobs, job{w, random(s.Tokens * l.K), b.dev.Floats(s.Tokens * l.N)})
	}
	return side{do: func() error {
		for range layers {
			for _, j := range jobs {
				b.dev.MatMul(j.y, j.x, j.w, s.Tokens, false)
			}
		}
		return nil
	}}, nil
}

// layers is how many layers a turn of gemm multiplies; fewer would be too fast to measure.
const layers = 4
