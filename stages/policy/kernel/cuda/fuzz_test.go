package cuda_test

import (
	"fmt"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cuda"
)

// FuzzShapes computes attention, a product in every type of weight and the head at sizes that are drawn from a seed:
// groups of one to eight heads, heads of 32 to 128, one row or some, empty segments, and no multiple of any tile. The
// seeds that every run takes have each size of a group once. The interpreter checks every access, and the reference
// the values.
func FuzzShapes(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, per uint8) {
		if testing.Short() && seed > 2 {
			t.Skip("short: the interpreter takes a second a seed")
		}
		r := newRig(t)
		r.rng.Uint64()
		for range seed % 100 {
			r.rng.Uint64()
		}
		r.fuzzAttention(1 + int(per%8))
		r.fuzzProducts()
		r.fuzzHead()
	})
}

func (r *rig) fuzzAttention(per int) {
	r.t.Helper()
	cu := []int32{0}
	for range 1 + r.rng.IntN(4) {
		n := int32(r.rng.IntN(20))
		if r.rng.IntN(3) == 0 {
			n = int32(r.rng.IntN(2)) // none, or one row
		}
		cu = append(cu, cu[len(cu)-1]+n)
	}
	g := 1 + r.rng.IntN(2)
	b := r.batch(cu, nil, nil, cuda.Heads{H: g * per, G: g, D: 32 + r.rng.IntN(97)})
	n := b.queries * b.h.H
	want, wantLSE := make([]float32, n*b.h.D), make([]float32, n)
	judge.Attention(want, wantLSE, b.q, b.k, b.v, b.cu, b.mask, b.selected, b.h.H, b.h.G, b.h.D)
	out, lse := r.attend(b)
	what := fmt.Sprint(b.cu, b.h)
	r.near("out "+what, out, want, attentionTolerance)
	r.near("lse "+what, lse, wantLSE, 1e-5)
}

func (r *rig) fuzzProducts() {
	r.t.Helper()
	rows, n, k := 1+r.rng.IntN(20), 1+r.rng.IntN(70), 1+r.rng.IntN(150)
	x := r.normal(rows*k, 1)
	for name, w := range r.weights(n, k) {
		weight, err := r.dev.Upload(w)
		r.must(err)
		y, want := r.alloc(4*rows*n), make([]float32, rows*n)
		r.must(r.dev.MatMul(y, r.in(x), weight, rows, false))
		judge.MatMul(want, x, judge.Wrap(w), rows, false)
		r.near(fmt.Sprint(name, " ", rows, n, k), r.out(y, rows*n), want, productTolerance)
	}
}

func (r *rig) fuzzHead() {
	r.t.Helper()
	rows, v, k := 1+r.rng.IntN(5), 1+r.rng.IntN(9000), 1+r.rng.IntN(20) // a chunk of the vocabulary is 8,192
	w := &kernel.Dense{N: v, K: k, Data: r.normal(v*k, 1)}
	weight, err := r.dev.Upload(w)
	r.must(err)
	x, targets := r.normal(rows*k, 1), r.indexes(rows, v)
	targets[r.rng.IntN(rows)] = -1
	logp, lse := r.alloc(4*rows), r.alloc(4*rows)
	r.must(r.dev.LogProbs(logp, lse, cuda.Head{X: r.in(x), W: weight, Targets: r.in(targets), T: rows}))
	want, wantLSE := make([]float32, rows), make([]float32, rows)
	judge.LogProbs(want, wantLSE, x, judge.Wrap(w), targets, rows)
	r.near(fmt.Sprint("head ", rows, v, k), r.out(logp, rows), want, 1e-4)
}
