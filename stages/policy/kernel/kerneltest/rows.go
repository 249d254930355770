package kerneltest

import (
	"testing"
)

// rows tests batch invariance: a row has the same bits in batches of every size and at every place in
// them.
func rows(t *testing.T, dev Slices) {
	const all = 33
	in := newSource("rows")
	k, n := 300, 70
	x, w, b := in.normal(all*k, 1), in.normal(n*k, 1), in.normal(k*n, 1)
	packed := dev.Pack(w, n, k)
	targets := make([]int32, all)
	for i := range targets {
		targets[i] = int32(i)
	}
	gain := in.normal(k, 1)
	ops := map[string]struct {
		width int
		run   func(y []float32, first, count int)
	}{
		"matmul": {n, func(y []float32, first, count int) {
			dev.MatMul(y, x[first*k:(first+count)*k], packed, count, false)
		}},
		"gemm": {n, func(y []float32, first, count int) {
			dev.Gemm(false, false, count, n, k, 1, x[first*k:(first+count)*k], b, false, y)
		}},
		"gemm bᵀ": {n, func(y []float32, first, count int) {
			dev.Gemm(false, true, count, n, k, 1, x[first*k:(first+count)*k], w, false, y)
		}},
		"rmsnorm": {k, func(y []float32, first, count int) {
			dev.RMSNorm(y, make([]float32, count), x[first*k:(first+count)*k], gain, count, k, 1e-5)
		}},
		"rope": {k, func(y []float32, first, count int) {
			copy(y, x[first*k:(first+count)*k])
			dev.RoPE(y, x, x[k:], targets[first:], count, 5, 60, false)
		}},
		"logprobs": {1, func(y []float32, first, count int) {
			dev.LogProbs(y, make([]float32, count), x[first*k:(first+count)*k], packed, targets[first:], count)
		}},
		"logprobs grad": {k, func(y []float32, first, count int) {
			dev.LogProbsGrad(y, make([]float32, count), make([]float32, count), x[first*k:(first+count)*k], packed, w,
				targets[first:], count)
		}},
		"attend paths": {k, func(y []float32, first, count int) {
			p := make([][]int32, count)
			for i := range p {
				p[i] = targets[:first+i+1]
			}
			dev.AttendPaths(y, x[first*k:(first+count)*k], x, x, p, 5, 5, 60)
		}},
	}
	for name, op := range ops {
		t.Run(name, func(t *testing.T) {
			want := make([]float32, all*op.width)
			op.run(want, 0, all)
			for _, count := range []int{1, 2, 3, 5, 8, 13, 14, 15, 17, 28} {
				for first := 0; first+count <= all; first += 4 {
					got := make([]float32, count*op.width)
					op.run(got, first, count)
					sameBits(t, name, got, want[first*op.width:])
				}
			}
		})
	}
	t.Run("swiglu", func(t *testing.T) { swigluRows(t, dev) })
	t.Run("attention", func(t *testing.T) { segmentAlone(t, dev) })
	t.Run("attention with a shared prefix", func(t *testing.T) { sharedPrefix(t, dev) })
	t.Run("attention of selected rows", func(t *testing.T) { selectedRows(t, dev) })
	t.Run("attend suffix", func(t *testing.T) { suffixAlone(t, dev) })
}

// suffixAlone tests that AttendSuffix, with keys scattered over a cache, gives the same bits as Attention
// of the whole segment.
func suffixAlone(t *testing.T, dev Slices) {
	const n, slots, h, g, d = 77, 90, 6, 2, 32
	in := newSource("suffix")
	q, k, v := in.normal(n*h*d, 1), in.normal(n*g*d, 1), in.normal(n*g*d, 1)
	want := make([]float32, n*h*d)
	dev.Attention(want, make([]float32, n*h), q, k, v, []int32{0, n}, nil, nil, h, g, d)
	path := shuffled(in, slots)[:n]
	keys, values := in.normal(slots*g*d, 1), in.normal(slots*g*d, 1)
	for i, slot := range path {
		copy(keys[int(slot)*g*d:], k[i*g*d:(i+1)*g*d])
		copy(values[int(slot)*g*d:], v[i*g*d:(i+1)*g*d])
	}
	for r := 1; r <= n; r++ {
		got := make([]float32, r*h*d)
		dev.AttendSuffix(got, q[(n-r)*h*d:], keys, values, path, r, h, g, d)
		sameBits(t, "attend suffix", got, want[(n-r)*h*d:])
	}
}

func swigluRows(t *testing.T, dev Slices) {
	in := newSource("swiglu rows")
	const n = 1000
	gate, up, want := in.normal(n, 3), in.normal(n, 1), make([]float32, n)
	dev.SwiGLU(want, gate, up, n)
	for _, first := range []int{0, 1, 15, 16, 500} {
		for _, count := range []int{1, 7, 16, 33} {
			got := make([]float32, count)
			dev.SwiGLU(got, gate[first:first+count], up[first:first+count], count)
			sameBits(t, "swiglu", got, want[first:])
		}
	}
}

// sharedPrefix tests that two sequences that share their first rows through a mask have the same bits as
// each sequence alone.
func sharedPrefix(t *testing.T, dev Slices) {
	in := newSource("shared prefix")
	const h, g, d = 4, 2, 32
	cut := func(x []float32, rows ...int) (out []float32) { // the rows from..to of pairs of them
		per := len(x) / 160
		for i := 0; i < len(rows); i += 2 {
			out = append(out, x[rows[i]*per:rows[i+1]*per]...)
		}
		return out
	}
	q, k, v, dout := in.normal(160*h*d, 1), in.normal(160*g*d, 1), in.normal(160*g*d, 1), in.normal(160*h*d, 1)
	for _, at := range [][2]int{{100, 128}, {96, 97}, {33, 150}, {0, 70}} {
		from, to := at[0], at[1]
		run := func(q, k, v, dout []float32, mask []int32) (out, lse, dq []float32) {
			n := len(q) / (h * d)
			cu := []int32{0, int32(n)}
			out, lse, dq = make([]float32, n*h*d), make([]float32, n*h), make([]float32, n*h*d)
			dk, dv := make([]float32, n*g*d), make([]float32, n*g*d)
			dev.Attention(out, lse, q, k, v, cu, mask, nil, h, g, d)
			dev.AttentionBackward(dq, dk, dv, dout, out, lse, q, k, v, cu, mask, nil, h, g, d)
			return out, lse, dq
		}
		out, lse, dq := run(q, k, v, dout, []int32{int32(from), int32(to)})
		one, oneLse, oneDq := run(cut(q, 0, to), cut(k, 0, to), cut(v, 0, to), cut(dout, 0, to), nil)
		sameBits(t, "out before", out[:to*h*d], one)
		sameBits(t, "lse before", lse[:to*h], oneLse)
		sameBits(t, "dq before", dq[:to*h*d], oneDq)
		parts := []int{0, from, to, 160}
		two, twoLse, twoDq := run(cut(q, parts...), cut(k, parts...), cut(v, parts...), cut(dout, parts...), nil)
		sameBits(t, "out behind", out[to*h*d:], two[from*h*d:])
		sameBits(t, "lse behind", lse[to*h:], twoLse[from*h:])
		sameBits(t, "dq behind", dq[to*h*d:], twoDq[from*h*d:])
	}
}

// selectedRows demands that selected rows have the same bits as when all rows are computed.
func selectedRows(t *testing.T, dev Slices) {
	in := newSource("selected rows")
	const h, g, d = 4, 2, 32
	cu, mask := []int32{0, 50, 127, 160}, []int32{30, 41, 127, 127, 140, 140}
	q, k, v := in.normal(160*h*d, 1), in.normal(160*g*d, 1), in.normal(160*g*d, 1)
	want, wantLse := make([]float32, 160*h*d), make([]float32, 160*h)
	dev.Attention(want, wantLse, q, k, v, cu, mask, nil, h, g, d)
	for _, selected := range [][]int32{{29, 100, 127}, {45, 127, 159}, {0, 51, 160}} {
		var queries, out, lse []float32
		for s, from := range selected {
			to := int(cu[s+1])
			queries = append(queries, q[int(from)*h*d:to*h*d]...)
			out, lse = append(out, want[int(from)*h*d:to*h*d]...), append(lse, wantLse[int(from)*h:to*h]...)
		}
		got, gotLse := make([]float32, len(out)), make([]float32, len(lse))
		dev.Attention(got, gotLse, queries, k, v, cu, mask, selected, h, g, d)
		sameBits(t, "out", got, out)
		sameBits(t, "lse", gotLse, lse)
	}
}

// segmentAlone compares a segment among others with the segment by itself, and
// with the beginning of a longer one: later tokens must not change earlier rows.
func segmentAlone(t *testing.T, dev Slices) {
	in := newSource("segment alone")
	const h, g, d = 4, 2, 32
	cu := []int32{0, 50, 127, 127, 160}
	total := int(cu[len(cu)-1])
	q, k, v := in.normal(total*h*d, 1), in.normal(total*g*d, 1), in.normal(total*g*d, 1)
	run := func(cu []int32, first, count int) (out, lse []float32) {
		out, lse = make([]float32, count*h*d), make([]float32, count*h)
		dev.Attention(out, lse, q[first*h*d:], k[first*g*d:], v[first*g*d:], cu, nil, nil, h, g, d)
		return out, lse
	}
	wantOut, wantLse := run(cu, 0, total)
	for s := 0; s+1 < len(cu); s++ {
		first, last := int(cu[s]), int(cu[s+1])
		for count := last - first; count > 0; count = count * 2 / 3 {
			out, lse := run([]int32{0, int32(count)}, first, count)
			sameBits(t, "out", out, wantOut[first*h*d:])
			sameBits(t, "lse", lse, wantLse[first*h:])
		}
	}
}
