package cuda_test

import (
	"fmt"
	"math"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/kerneltest"
	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/model/nf4"
)

// productTolerance is that of kerneltest: sums of up to a thousand products in any order.
const productTolerance = 2e-5

// judge is the reference device with factors rounded to bf16.
var judge = kerneltest.On(kerneltest.Rounded(ref.New()))

// productShapes are (T, N, K) around the tiles of 16, 64 and 128 rows, 32, 64 and 128 columns.
var productShapes = [][3]int{{1, 1, 1}, {1, 33, 64}, {3, 7, 31}, {15, 130, 40}, {16, 32, 128}, {17, 65, 96},
	{5, 64, 264}, {64, 64, 32}, {65, 40, 33}, {128, 128, 64}, {130, 140, 100}, {0, 8, 8}, {4, 0, 8}, {2, 5, 0}}

func (r *rig) shapes() [][3]int {
	all := productShapes
	for range 4 {
		all = append(all, [3]int{1 + r.rng.IntN(40), 1 + r.rng.IntN(150), 1 + r.rng.IntN(300)})
	}
	return all
}

func TestMatMul(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, s := range r.shapes() {
		rows, n, k := s[0], s[1], s[2]
		x, y := r.normal(rows*k, 1), r.normal(rows*n, 1)
		for name, w := range r.weights(n, k) {
			add := (i+len(name))%2 == 0
			weight, err := r.dev.Upload(w)
			r.must(err)
			got := r.in(y)
			r.must(r.dev.MatMul(got, r.in(x), weight, rows, add))
			want := append([]float32(nil), y...)
			judge.MatMul(want, x, judge.Wrap(w), rows, add)
			r.near(fmt.Sprint(name, s, add), r.out(got, rows*n), want, productTolerance)
		}
	}
}

func TestMatMulRows(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, s := range r.shapes() {
		rows, n, k := s[0], s[1], s[2]
		dy, dx := r.normal(rows*n, 1), r.normal(rows*k, 1)
		for name, w := range r.weights(n, k) {
			add := (i+len(name))%2 == 0
			weight, err := r.dev.Upload(w)
			r.must(err)
			got := r.in(dx)
			r.must(r.dev.MatMulRows(got, r.in(dy), weight, rows, add))
			want := append([]float32(nil), dx...)
			judge.MatMulRows(want, dy, judge.Wrap(w), rows, add)
			r.near(fmt.Sprint(name, s, add), r.out(got, rows*k), want, productTolerance)
		}
	}
}

// weights are random ones in every type.
func (r *rig) weights(n, k int) map[string]kernel.Weight {
	dense := &kernel.Dense{N: n, K: k, Data: r.normal(n*k, 1)}
	eight, err := kernel.ToInt8(dense)
	r.must(err)
	bf16, f16 := &kernel.BF16{N: n, K: k}, &kernel.F16{N: n, K: k}
	for _, v := range dense.Data {
		b, h := kernel.ToBF16(v), kernel.ToHalf(v)
		bf16.Data, f16.Data = append(bf16.Data, byte(b), byte(b>>8)), append(f16.Data, byte(h), byte(h>>8))
	}
	all := map[string]kernel.Weight{"fp32": dense, "bf16": bf16, "fp16": f16, "int8": eight}
	if n*k > 0 {
		for _, dtype := range []string{"bfloat16", "float16", "float32"} {
			w, err := nf4.Quantize(dense, dtype)
			r.must(err)
			all["nf4 of "+dtype] = w
		}
	}
	return all
}

func TestGemm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, s := range r.shapes() {
		m, n, k := s[0], s[1], s[2]
		for flags := range 8 {
			transA, transB, add := flags&1 != 0, flags&2 != 0, flags&4 != 0
			a, b, c := r.normal(m*k, 1), r.normal(k*n, 1), r.normal(m*n, 1)
			got := r.in(c)
			r.must(r.dev.Gemm(transA, transB, m, n, k, 0.37, r.in(a), r.in(b), add, got))
			judge.Gemm(transA, transB, m, n, k, 0.37, a, b, add, c)
			r.near(fmt.Sprint(s, transA, transB, add), r.out(got, m*n), c, productTolerance)
		}
	}
}

// TestProductRows demands the same bits of a row in every batch, whichever tile it is computed in.
func TestProductRows(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const rows, n, k = 130, 70, 160
	x := r.normal(rows*k, 1)
	for name, w := range r.weights(n, k) {
		weight, err := r.dev.Upload(w)
		r.must(err)
		y := r.alloc(4 * rows * n)
		r.must(r.dev.MatMul(y, r.in(x), weight, rows, false))
		want := r.out(y, rows*n)
		for _, part := range [][2]int{{0, 1}, {129, 1}, {7, 16}, {40, 17}, {1, 64}, {30, 66}} {
			first, count := part[0], part[1]
			r.must(r.dev.MatMul(y, r.in(x[first*k:(first+count)*k]), weight, count, false))
			sameBits(t, fmt.Sprint(name, part), r.out(y, count*n), want[first*n:(first+count)*n])
		}
	}
}

// A NaN in a row reaches that row and no other.
func TestProductNaN(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const rows, n, k = 20, 40, 72
	x := r.normal(rows*k, 1)
	x[3*k+71] = float32(math.NaN())
	for name, w := range r.weights(n, k) {
		weight, err := r.dev.Upload(w)
		r.must(err)
		y := r.alloc(4 * rows * n)
		r.must(r.dev.MatMul(y, r.in(x), weight, rows, false))
		for i, v := range r.out(y, rows*n) {
			if isNaN := v != v; isNaN != (i/n == 3) {
				t.Fatalf("%s: row %d, column %d is %v", name, i/n, i%n, v)
			}
		}
	}
}

// TestProductMemory holds the kernels to what makes them fast: no bank conflicts, and no part of a sector
// that is read for nothing, but for the scales of NF4: those of a sector are read in several steps.
func TestProductMemory(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{16, 128} {
		r := newRig(t)
		r.driver.Machine.Profile = true
		const n, k = 128, 256
		weights := r.weights(n, k)
		for _, name := range []string{"bf16", "int8", "nf4 of bfloat16"} {
			weight, err := r.dev.Upload(weights[name])
			r.must(err)
			y, x := r.alloc(4*rows*max(n, k)), r.in(r.normal(rows*max(n, k), 1))
			for _, run := range []func() error{
				func() error { return r.dev.MatMul(y, x, weight, rows, false) },
				func() error { return r.dev.MatMulRows(y, x, weight, rows, false) },
			} {
				before := r.driver.Machine.Stats
				r.must(run())
				after := r.driver.Machine.Stats
				if c := after.Conflicts - before.Conflicts; c != 0 {
					t.Errorf("%s, %d rows: %d bank conflicts", name, rows, c)
				}
				if s, b := after.Sectors-before.Sectors, after.Bytes-before.Bytes; s*32 > b+b/6 {
					t.Errorf("%s, %d rows: %d sectors for %d bytes", name, rows, s, b)
				}
			}
		}
	}
}

func TestWeightsOfOtherWidth(t *testing.T) {
	r := newRig(t)
	err := r.dev.MatMuls([]cuda.Out{{W: cuda.Weight{Type: cuda.BF16, K: 8}}, {W: cuda.Weight{Type: cuda.BF16, K: 16}}},
		r.alloc(64), 1)
	if err == nil {
		t.Error("no error")
	}
}
