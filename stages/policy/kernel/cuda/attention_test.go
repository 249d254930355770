package cuda_test

import (
	"fmt"
	"slices"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cuda"
)

// attentionTolerance: probabilities are rounded to bf16 here and in the reference, but relative to another
// largest score, so that they may differ by two halves of a unit in the last place, 2⁻⁸.
const attentionTolerance = 1e-2

// batch is a packed batch with its inputs.
type batch struct {
	cu, mask, selected []int32
	h                  cuda.Heads
	q, k, v            []float32
	rows, queries      int
}

func (r *rig) batch(cu, mask, selected []int32, h cuda.Heads) batch {
	b := batch{cu: cu, mask: mask, selected: selected, h: h, rows: int(cu[len(cu)-1])}
	b.queries = b.rows
	for s, from := range selected {
		b.queries -= int(from - cu[s])
	}
	b.q = r.normal(b.queries*h.H*h.D, 1)
	b.k, b.v = r.normal(b.rows*h.G*h.D, 1), r.normal(b.rows*h.G*h.D, 1)
	return b
}

// packed uploads the bounds.
func (r *rig) packed(b batch) cuda.Packed {
	p := cuda.Packed{Cu: r.in(b.cu), Segments: len(b.cu) - 1, Rows: b.rows, Queries: b.queries}
	if b.mask != nil {
		p.Mask = r.in(b.mask)
	}
	if b.selected != nil {
		p.Selected = r.in(b.selected)
	}
	return p
}

// attend runs the forward pass.
func (r *rig) attend(b batch) (out, lse []float32) {
	r.t.Helper()
	n := b.queries * b.h.H
	o, l := r.alloc(4*n*b.h.D), r.alloc(4*n)
	r.must(r.dev.Attention(o, l, r.in(b.q), cuda.Cache{K: r.in(b.k), V: r.in(b.v)}, r.packed(b), 0, b.h))
	return r.out(o, n*b.h.D), r.out(l, n)
}

// batches have segments around tiles of 32 and 64, every kind of mask, and heads of every size.
func (r *rig) batches() []batch {
	all := []batch{
		r.batch([]int32{0, 1}, nil, nil, cuda.Heads{H: 1, G: 1, D: 32}),
		r.batch([]int32{0, 65}, nil, nil, cuda.Heads{H: 2, G: 1, D: 40}),
		r.batch([]int32{0, 31, 31, 40}, nil, nil, cuda.Heads{H: 8, G: 1, D: 32}),
		r.batch([]int32{0, 3, 67, 68, 90}, nil, []int32{1, 40, 68, 68}, cuda.Heads{H: 3, G: 3, D: 100}),
		r.batch([]int32{0, 130}, nil, nil, cuda.Heads{H: 2, G: 2, D: 128}),
		r.batch([]int32{0, 80, 90}, []int32{30, 60, 90, 90}, nil, cuda.Heads{H: 4, G: 2, D: 64}),
		r.batch([]int32{0, 80, 100}, []int32{10, 75, 82, 83}, []int32{30, 82}, cuda.Heads{H: 4, G: 1, D: 80}),
		r.batch([]int32{0}, nil, nil, cuda.Heads{H: 1, G: 1, D: 32}),
	}
	for range 3 {
		g, per := 1+r.rng.IntN(2), 1+r.rng.IntN(8)
		n := int32(1 + r.rng.IntN(60))
		all = append(all, r.batch([]int32{0, n, n + int32(r.rng.IntN(30))}, nil, nil,
			cuda.Heads{H: g * per, G: g, D: 32 + r.rng.IntN(97)}))
	}
	return all
}

func TestAttention(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, b := range r.batches() {
		n := b.queries * b.h.H
		want, wantLSE := make([]float32, n*b.h.D), make([]float32, n)
		judge.Attention(want, wantLSE, b.q, b.k, b.v, b.cu, b.mask, b.selected, b.h.H, b.h.G, b.h.D)
		out, lse := r.attend(b)
		what := fmt.Sprint(b.cu, b.mask, b.selected, b.h)
		r.near("out "+what, out, want, attentionTolerance)
		r.near("lse "+what, lse, wantLSE, 1e-5)
	}
}

func TestAttentionBackward(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, b := range r.batches() {
		h, g, d := b.h.H, b.h.G, b.h.D
		n, kv := b.queries*h*d, b.rows*g*d
		out, lse, dout := make([]float32, n), make([]float32, b.queries*h), r.normal(n, 1)
		judge.Attention(out, lse, b.q, b.k, b.v, b.cu, b.mask, b.selected, h, g, d)
		dq, dk, dv := make([]float32, n), make([]float32, kv), make([]float32, kv)
		judge.AttentionBackward(dq, dk, dv, dout, out, lse, b.q, b.k, b.v, b.cu, b.mask, b.selected, h, g, d)
		grad := cuda.Gradients{DQ: r.alloc(4 * n), DK: r.alloc(4 * kv), DV: r.alloc(4 * kv)}
		f := cuda.Forward{Out: r.in(out), LSE: r.in(lse), Q: r.in(b.q), K: r.in(b.k), V: r.in(b.v)}
		r.must(r.dev.AttentionBackward(grad, r.in(dout), f, r.packed(b), b.h))
		what := fmt.Sprint(b.cu, b.mask, b.selected, b.h)
		r.near("dq "+what, r.out(grad.DQ, n), dq, attentionTolerance)
		r.near("dk "+what, r.out(grad.DK, kv), dk, attentionTolerance)
		r.near("dv "+what, r.out(grad.DV, kv), dv, attentionTolerance)
	}
}

// rowsOf cuts rows from..to of several ranges.
func rowsOf(x []float32, width int, ranges ...int) (out []float32) {
	for i := 0; i < len(ranges); i += 2 {
		out = append(out, x[ranges[i]*width:ranges[i+1]*width]...)
	}
	return out
}

// TestAttentionRows demands the same bits of a row, no matter which rows and segments are beside it, and of
// a row behind a mask as if the rows that it does not see did not exist.
func TestAttentionRows(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := cuda.Heads{H: 2, G: 1, D: 32}
	q, kv := h.H*h.D, h.G*h.D
	b := r.batch([]int32{0, 20, 150}, []int32{20, 20, 90, 110}, nil, h)
	out, lse := r.attend(b)
	check := func(what string, b batch, from, to, at int) { // rows from..to of b have the bits of row at on
		t.Helper()
		o, l := r.attend(b)
		n := to - from
		sameBits(t, what, o[from*q:to*q], out[at*q:(at+n)*q])
		sameBits(t, what+": lse", l[from*h.H:to*h.H], lse[at*h.H:(at+n)*h.H])
	}
	part := func(ranges ...int) batch {
		c := batch{h: h, q: rowsOf(b.q, q, ranges...), k: rowsOf(b.k, kv, ranges...), v: rowsOf(b.v, kv, ranges...)}
		c.rows = len(c.q) / q
		c.queries, c.cu = c.rows, []int32{0, int32(c.rows)}
		return c
	}
	check("segment alone", part(0, 20), 0, 20, 0)
	check("before the mask's end", part(20, 110), 0, 90, 20)
	check("behind it", part(20, 90, 110, 150), 70, 110, 110)
	check("a shorter segment", part(20, 60), 0, 40, 20)
	selected := b
	selected.selected, selected.queries, selected.q = []int32{20, 120}, 30, rowsOf(b.q, q, 120, 150)
	check("selected rows", selected, 0, 30, 120)
}

// TestAttentionOverCache tests that a cache, in bf16 and with rows in any slot, gives the same bits.
func TestAttentionOverCache(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := cuda.Heads{H: 4, G: 2, D: 40}
	const rows, slots, last = 70, 90, 17
	b := r.batch([]int32{0, rows}, nil, nil, h)
	want, _ := r.attend(b)
	path := make([]int32, rows)
	k, v := make([]uint16, slots*h.G*h.D), make([]uint16, slots*h.G*h.D)
	for i, slot := range r.rng.Perm(slots)[:rows] {
		path[i] = int32(slot)
		for c := range h.G * h.D {
			k[slot*h.G*h.D+c], v[slot*h.G*h.D+c] = kernel.ToBF16(b.k[i*h.G*h.D+c]), kernel.ToBF16(b.v[i*h.G*h.D+c])
		}
	}
	b.selected, b.queries, b.q = []int32{rows - last}, last, b.q[(rows-last)*h.H*h.D:]
	o, l := r.alloc(4*last*h.H*h.D), r.alloc(4*last*h.H)
	r.must(r.dev.Attention(o, l, r.in(b.q), cuda.Cache{K: r.in(k), V: r.in(v), BF16: true}, r.packed(b), r.in(path), h))
	sameBits(t, "suffix", r.out(o, last*h.H*h.D), want[(rows-last)*h.H*h.D:])
}

func TestAttendPaths(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const slots = 60
	for _, h := range []cuda.Heads{
		{H: 1, G: 1, D: 32}, {H: 8, G: 1, D: 64}, {H: 6, G: 2, D: 128}, {H: 34, G: 2, D: 40}} {
		lengths := []int{0, 1, 15, 16, 17, 64, 65, 255, 256, 257, 530}
		var paths [][]int32
		for _, n := range lengths {
			paths = append(paths, r.indexes(n, slots))
		}
		q, k, v := r.normal(len(paths)*h.H*h.D, 1), r.normal(slots*h.G*h.D, 1), r.normal(slots*h.G*h.D, 1)
		want := make([]float32, len(q))
		judge.AttendPaths(want, q, k, v, paths, h.H, h.G, h.D)
		cache := cuda.Cache{K: r.in(k), V: r.in(v)}
		got := r.attendPaths(q, cache, paths, h)
		// One value of 1024 may be off by more: q and k are rounded here, and not by the reference.
		r.near(fmt.Sprint("paths ", h), got, want, 2e-2)

		alone := r.attendPaths(q[9*h.H*h.D:10*h.H*h.D], cache, paths[9:10], h)
		sameBits(t, "a row alone", alone, got[9*h.H*h.D:10*h.H*h.D])
		half := func(x []float32) (y []uint16) {
			for _, f := range x {
				y = append(y, kernel.ToBF16(f))
			}
			return y
		}
		cache = cuda.Cache{K: r.in(half(k)), V: r.in(half(v)), BF16: true}
		sameBits(t, "cache in bf16", r.attendPaths(q, cache, paths, h), got)
	}
}

func (r *rig) attendPaths(q []float32, c cuda.Cache, paths [][]int32, h cuda.Heads) []float32 {
	r.t.Helper()
	begins, longest := []int32{0}, 0
	for _, p := range paths {
		begins, longest = append(begins, begins[len(begins)-1]+int32(len(p))), max(longest, len(p))
	}
	p := cuda.Paths{Slots: r.in(slices.Concat(paths...)), Begins: r.in(begins), Rows: len(paths), Longest: longest}
	out := r.alloc(4 * len(q))
	r.must(r.dev.AttendPaths(out, r.in(q), c, p, h))
	return r.out(out, len(q))
}

// TestHeads refuses what no kernel is compiled for.
func TestHeads(t *testing.T) {
	r := newRig(t)
	for _, h := range []cuda.Heads{{H: 3, G: 2, D: 32}, {H: 1, G: 1, D: 129}, {H: 1, G: 1}, {H: 1, D: 32}} {
		if err := r.dev.Attention(0, 0, 0, cuda.Cache{}, cuda.Packed{Queries: 1}, 0, h); err == nil {
			t.Errorf("%v: no error", h)
		}
	}
	if err := r.dev.AttendPaths(0, 0, cuda.Cache{BF16: true}, cuda.Paths{}, cuda.Heads{H: 1, G: 1, D: 36}); err == nil {
		t.Error("a cache in bf16 with 36 values: no error")
	}
}
