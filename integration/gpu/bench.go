package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"itool/stages/expand/search"
	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/train"
)

// bench measures jobs on one device.
type bench struct {
	ctx  context.Context
	dev  kernel.Device
	dir  string // for models
	once bool   // a turn of each job is enough: for tests
	say  func(format string, args ...any)

	opened *policy.Policy
	key    string // of opened
}

// measure fills in the results of all jobs. A job that the device cannot do has its error as its result, and the
// others go on.
func (b *bench) measure(sections []section) error {
	for _, s := range sections {
		for _, j := range s.jobs {
			if err := b.ctx.Err(); err != nil {
				return err
			}
			rate, err := b.turns(j)
			if err != nil {
				j.result = "failed: " + err.Error()
			} else if j.result = j.print(rate); s.library {
				j.result += b.besideLibrary(j, rate)
			}
			b.say("%s: %s: %s", s.title, j.name, j.result)
		}
	}
	return nil
}

// leastTime is spent on the turns of a job.
const leastTime = 2 * time.Second

// turns is the median of at least three turns, in units a second. The first turn reserves memory and does not count.
func (b *bench) turns(j *job) (median float64, err error) {
	defer kernel.Catch(&err)
	do, err := j.open(b)
	if err != nil {
		return 0, err
	}
	if _, err := do(); err != nil {
		return 0, err
	}
	var rates []float64
	for begin := time.Now(); len(rates) < 3 || time.Since(begin) < leastTime; {
		start := time.Now()
		units, err := do()
		if err != nil {
			return 0, err
		}
		rates = append(rates, units/time.Since(start).Seconds())
		if b.once {
			break
		}
	}
	slices.Sort(rates)
	return rates[len(rates)/2], b.ctx.Err()
}

// besideLibrary measures a job with the vendor's library, where the device has one.
func (b *bench) besideLibrary(j *job, own float64) string {
	d, ok := b.dev.(interface{ UseLibrary(on bool) error })
	if !ok || d.UseLibrary(true) != nil {
		return ", no cuBLASLt"
	}
	defer func() { _ = d.UseLibrary(false) }()
	theirs, err := b.turns(j)
	if err != nil {
		return ", cuBLASLt failed: " + err.Error()
	}
	return fmt.Sprintf(", %.0f %% of cuBLASLt", 100*own/theirs)
}

func kernelOfHost() (kernel.Device, error) { return cpu.New(cpu.Options{}) }

func (b *bench) product(p [3]int) (turn, error) {
	m, n, k := p[0], p[1], p[2]
	r := rand.New(rand.NewPCG(1, 1))
	random := func(n int) kernel.Floats {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return b.dev.Put(v)
	}
	w, x, y := b.dev.Pack(random(n*k), n, k), random(m*k), b.dev.Floats(m*n)
	const products = 8 // in a turn, so that waiting for the end is a small part
	one := make([]float32, 1)
	return func() (float64, error) {
		for range products {
			b.dev.MatMul(y, x, w, m, false)
		}
		b.dev.Read(one, y) // waits
		return products * 2e-12 * float64(m) * float64(n) * float64(k), nil
	}, nil
}

// ids are n tokens.
func ids(p *policy.Policy, n, salt int) []int32 {
	v := make([]int32, n)
	for i := range v {
		v[i] = int32((i*7919 + salt*104729 + 300) % p.Model().VocabSize)
	}
	return v
}

func (b *bench) step(m shape, q quantization, s sizes) (turn, error) {
	p, err := b.model(m, q)
	if err != nil {
		return nil, err
	}
	phase := train.Phase{Name: "sft", BatchSize: s.sequences, Epochs: 1 << 20, Rate: 1e-5}
	for i := range s.sequences {
		phase.Examples = append(phase.Examples, train.Example{ID: fmt.Sprint(i), Answer: ids(p, s.tokens, i)})
	}
	t, err := train.New(p.Model(), s.trainConfig(), []train.Phase{phase})
	return func() (float64, error) {
		_, err := t.Step(b.ctx)
		return float64(s.sequences * s.tokens), err
	}, err
}

func (b *bench) score(m shape, s sizes) (turn, error) {
	p, err := b.model(m, bf16)
	var seqs []policy.Sequence
	for i := 0; err == nil && i < s.sequences; i++ {
		v := ids(p, s.tokens, i)
		seqs = append(seqs, policy.Sequence{Prompt: v[:1], Answer: v[1:]})
	}
	return func() (float64, error) {
		_, err := p.LogProbs(b.ctx, seqs)
		return float64(s.sequences * s.tokens), err
	}, err
}

// decode draws from one prompt, which is computed before. Few streams end early: only what is drawn counts.
func (b *bench) decode(m shape, streams int, s sizes) (turn, error) {
	p, err := b.model(m, bf16)
	if err != nil {
		return nil, err
	}
	prompt, seed := ids(p, s.prompt, 1), uint64(0)
	session, err := p.NewSession(prompt)
	return func() (drawn float64, err error) {
		if err := session.Restart(prompt); err != nil { // forgets what was drawn, and keeps the prompt
			return 0, err
		}
		reqs := make([]policy.Request, streams)
		for i := range reqs {
			reqs[i] = policy.Request{From: session.Root(), Seed: seed, Temperature: 1, MaxTokens: s.drawn}
			seed++
		}
		draws, err := session.Draw(b.ctx, reqs)
		for _, d := range draws {
			drawn += float64(len(d.Tokens))
		}
		return drawn, err
	}, err
}

// tree searches with fragments of a fixed length and outcomes by parity: random weights know no calls.
func (b *bench) tree(m shape, s sizes) (turn, error) {
	p, err := b.model(m, bf16)
	if err != nil {
		return nil, err
	}
	params := search.Default()
	params.Iterations, params.Width, params.TokenBudget, params.Patience = s.searches, 4, 0, 0
	return func() (float64, error) {
		session, err := p.NewSession(ids(p, s.prompt, 1))
		if err != nil {
			return 0, err
		}
		o := &oracle{session: session, fragment: s.fragment, branches: []policy.Branch{session.Root()}}
		tree, err := search.Search(b.ctx, search.Oracle{Draw: o.draw, Evaluate: o.evaluate}, params, nil)
		if err != nil {
			return 0, err
		}
		return float64(tree.Tokens), nil
	}, nil
}

// oracle answers a search with draws of a session. An answer has four fragments.
type oracle struct {
	session  *policy.Session
	fragment int // tokens
	branches []policy.Branch
}

const answerFragments = 4

func (o *oracle) draw(
	ctx context.Context, tree *search.Tree, requests []search.Request,
) ([][]search.Fragment, error) {
	var reqs []policy.Request
	for _, r := range requests {
		left := answerFragments - tree.Nodes[r.Node].Depth
		if r.Fragments > 0 {
			left = min(left, r.Fragments)
		}
		reqs = append(reqs, policy.Request{From: o.branches[tree.Nodes[r.Node].Handle], Seed: r.Seed,
			Temperature: r.Temperature, MaxTokens: left * o.fragment})
	}
	draws, err := o.session.Draw(ctx, reqs)
	if err != nil {
		return nil, err
	}
	paths := make([][]search.Fragment, len(draws))
	for i, d := range draws {
		depth := tree.Nodes[requests[i].Node].Depth
		for at := 0; at < len(d.Tokens); at += o.fragment {
			to := min(at+o.fragment, len(d.Tokens))
			depth++
			paths[i] = append(paths[i], search.Fragment{Tokens: d.Tokens[at:to], LogProb: -1,
				Terminal: depth == answerFragments || to == len(d.Tokens) && to-at < o.fragment,
				Handle:   int64(len(o.branches))})
			o.branches = append(o.branches, d.At(to))
		}
	}
	return paths, nil
}

func (o *oracle) evaluate(_ context.Context, tree *search.Tree, ends []int) ([]search.Reward, error) {
	rewards := make([]search.Reward, len(ends))
	for i, end := range ends {
		n := tree.Nodes[end]
		if pass := n.Tokens[0]%2 == 0; n.Terminal && pass {
			rewards[i] = search.Reward{Outcome: 1, Pass: true}
		} else if n.Terminal {
			rewards[i] = search.Reward{Outcome: -1}
		}
	}
	return rewards, nil
}
