package cuda_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/kerneltest"
	"itool/stages/policy/kernel/ref"
)

// Tolerances of kerneltest for the same operations.
const (
	elementTolerance = 3e-6
	normTolerance    = 1e-5
)

func TestElementwise(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, s := range r.sizes() {
		n := s[0] * s[1]
		x, y, bias := r.normal(n, 2), r.normal(n, 2), r.normal(s[1], 1)
		scaled, added, biased, filled := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
		for i := range x {
			scaled[i], added[i], biased[i], filled[i] = 0.3*x[i], float32(math.FMA(0.3, float64(x[i]), float64(y[i]))),
				y[i]+bias[i%s[1]], 7
		}
		dx, dy, db, out := r.in(x), r.in(y), r.in(bias), r.alloc(4*n+16)
		r.must(r.dev.Scale(out, dx, 0.3, n))
		r.near("scale "+name(s), r.out(out, n), scaled, elementTolerance)
		r.must(r.dev.AddBias(dy, db, s[0], s[1]))
		r.near("add bias "+name(s), r.out(dy, n), biased, elementTolerance)
		dy = r.in(y)
		r.must(r.dev.Add(dy, dx, 0.3, n))
		r.near("add "+name(s), r.out(dy, n), added, elementTolerance)
		r.must(r.dev.Fill(out, 7, n))
		sameBits(t, "fill "+name(s), r.out(out, n), filled)
		r.must(r.dev.ToBF16(out, dx, 1, n))
		half := make([]byte, 2*n)
		r.must(r.driver.CopyOut(half, out))
		for i := range x {
			if got := binary.LittleEndian.Uint16(half[2*i:]); got != kernel.ToBF16(x[i]) {
				t.Fatalf("to bf16: %v became %#x, want %#x", x[i], got, kernel.ToBF16(x[i]))
			}
		}
	}
}

func TestSwiGLU(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, s := range r.sizes() {
		n := s[0] * s[1]
		gate, up, dy := r.normal(n, 3), r.normal(n, 1), r.normal(n, 1)
		want, wantGate, wantUp := make([]float32, n), make([]float32, n), make([]float32, n)
		kerneltest.On(ref.New()).SwiGLU(want, gate, up, n)
		kerneltest.On(ref.New()).SwiGLUBackward(wantGate, wantUp, dy, gate, up, n)
		dGate, dUp, y, outGate, outUp := r.in(gate), r.in(up), r.alloc(4*n), r.alloc(4*n), r.alloc(4*n)
		r.must(r.dev.SwiGLU(y, dGate, dUp, n))
		r.near("swiglu "+name(s), r.out(y, n), want, elementTolerance)
		r.must(r.dev.SwiGLUBackward(outGate, outUp, r.in(dy), dGate, dUp, n))
		r.near("dgate "+name(s), r.out(outGate, n), wantGate, elementTolerance)
		r.near("dup "+name(s), r.out(outUp, n), wantUp, elementTolerance)
	}
	// Large magnitudes must give neither NaN nor a wrong limit.
	gate, y := []float32{-1000, -90, 90, 1000}, r.alloc(16)
	r.must(r.dev.SwiGLU(y, r.in(gate), r.in([]float32{1, 1, 1, 1}), 4))
	r.near("limits", r.out(y, 4), []float32{0, 0, 90, 1000}, elementTolerance)
}

func TestRoPE(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, s := range [][3]int{{1, 1, 2}, {3, 2, 32}, {5, 3, 64}, {2, 4, 128}, {7, 1, 80}, {0, 2, 32}} {
		rows, h, d := s[0], s[1], s[2]
		const positions = 40
		x, pos := r.normal(rows*h*d, 1), r.indexes(rows, positions)
		cos, sin := r.normal(positions*d/2, 1), r.normal(positions*d/2, 1)
		for _, inverse := range []bool{false, true} {
			want, dx := slices.Clone(x), r.in(x)
			kerneltest.On(ref.New()).RoPE(want, cos, sin, pos, rows, h, d, inverse)
			r.must(r.dev.RoPE(dx, r.in(cos), r.in(sin), r.in(pos), rows, h, d, inverse))
			r.near("rope", r.out(dx, len(x)), want, elementTolerance)
		}
	}
}

func TestAdamW(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	step := kernel.AdamW{Rate: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.01, GradScale: 0.5,
		C1: 1 - 0.9*0.9, C2: 1 - 0.999*0.999}
	for _, n := range []int{1, 255, 257, 3000} {
		w, m, v, g := r.normal(n, 1), r.normal(n, 0.1), r.normal(n, 0.1), r.normal(n, 1)
		for i := range v {
			v[i] *= v[i]
		}
		dw, dm, dv := r.in(w), r.in(m), r.in(v)
		r.must(r.dev.AdamW(dw, dm, dv, r.in(g), n, step))
		kerneltest.On(ref.New()).AdamW(w, m, v, g, n, step)
		r.near("w", r.out(dw, n), w, elementTolerance)
		r.near("m", r.out(dm, n), m, elementTolerance)
		r.near("v", r.out(dv, n), v, elementTolerance)
	}
}

func TestRMSNorm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, s := range r.sizes() {
		rows, k := s[0], s[1]
		n := rows * k
		x, w, dy, dx, dw := r.normal(n, 2), r.normal(k, 1), r.normal(n, 1), r.normal(n, 1), r.normal(k, 1)
		y, rstd := make([]float32, n), make([]float32, rows)
		kerneltest.On(ref.New()).RMSNorm(y, rstd, x, w, rows, k, 1e-5)
		ax, aw, ay, arstd := r.in(x), r.in(w), r.alloc(4*n), r.alloc(4*rows)
		r.must(r.dev.RMSNorm(ay, arstd, ax, aw, rows, k, 1e-5))
		r.near("y "+name(s), r.out(ay, n), y, normTolerance)
		r.near("rstd "+name(s), r.out(arstd, rows), rstd, normTolerance)
		adx, adw := r.in(dx), r.in(dw)
		for _, gradient := range []cuda.Address{0, adw} {
			kerneltest.On(ref.New()).RMSNormBackward(dx, nil, dy, x, w, rstd, rows, k)
			r.must(r.dev.RMSNormBackward(adx, gradient, r.in(dy), ax, aw, r.in(rstd), rows, k))
		}
		kerneltest.On(ref.New()).RMSNormBackward(make([]float32, n), dw, dy, x, w, rstd, rows, k)
		r.near("dx "+name(s), r.out(adx, n), dx, normTolerance)
		r.near("dw "+name(s), r.out(adw, k), dw, normTolerance)
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, s := range r.sizes() {
		n, k := s[0], s[1]
		const v = 12
		table, dy := r.normal(v*k, 1), r.normal(n*k, 1)
		ids, distinct := r.indexes(n, v), make([]int32, n)
		for i, p := range r.rng.Perm(v)[:n] {
			distinct[i] = int32(p)
		}
		gathered, scattered, gradient := make([]float32, n*k), slices.Clone(table), slices.Clone(table)
		bits := make([]uint16, v*cuda.Padded(k))
		for i := range table {
			bits[i/k*cuda.Padded(k)+i%k] = kernel.ToBF16(table[i])
		}
		for row := range n {
			copy(gathered[row*k:], table[int(ids[row])*k:int(ids[row]+1)*k])
			copy(scattered[int(distinct[row])*k:], dy[row*k:(row+1)*k])
			for i := range k {
				gradient[int(ids[row])*k+i] += dy[row*k+i]
			}
		}
		at, ady, aids, y := r.in(table), r.in(dy), r.in(ids), r.alloc(4*n*k)
		r.must(r.dev.GatherRows(y, at, aids, n, k))
		sameBits(t, "gather", r.out(y, n*k), gathered)
		r.must(r.dev.Embed(y, cuda.Weight{N: v, K: k, Data: at}, aids, n))
		sameBits(t, "embedding", r.out(y, n*k), gathered)
		r.must(r.dev.Embed(y, cuda.Weight{Type: cuda.BF16, N: v, K: k, Data: r.in(bits)}, aids, n))
		r.near("embedding in bf16", r.out(y, n*k), gathered, 1e-2)
		r.must(r.dev.EmbedBackward(at, ady, aids, n, k))
		r.near("gradient of the embedding", r.out(at, v*k), gradient, elementTolerance)
		at = r.in(table)
		r.must(r.dev.ScatterRows(at, ady, r.in(distinct), n, k))
		sameBits(t, "scatter", r.out(at, v*k), scattered)
	}
}

func TestSumSquares(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, n := range []int{0, 1, 300, 140000} {
		x, out := r.normal(n, 1), r.alloc(8)
		r.must(r.dev.SumSquares(out, r.in(x), n))
		b := make([]byte, 8)
		r.must(r.driver.CopyOut(b, out))
		got, want := math.Float64frombits(binary.LittleEndian.Uint64(b)), kerneltest.On(ref.New()).SumSquares(x)
		if math.Abs(got-want) > 1e-12*want {
			t.Errorf("%d values: got %v, want %v", n, got, want)
		}
	}
}
