package kerneltest

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Sums of up to a thousand float32 products in any order.
const linearTolerance = 2e-5

func linearChecks() []check {
	var all []check
	// Around every tile height (1..16), tile width (8, 16, 32), and block of K.
	for _, s := range append(shapes(), [][3]int{{1, 1, 1}, {1, 64, 33}, {2, 31, 7}, {3, 192, 65}, {5, 16, 32},
		{8, 192, 512}, {13, 100, 70}, {14, 256, 64}, {15, 257, 31}, {29, 801, 129}, {70, 512, 96},
		{700, 20, 40}, {40, 512, 40}, {0, 8, 8}}...) {
		for _, add := range []bool{false, true} {
			t, k, n := s[0], s[1], s[2]
			all = append(all, check{"matmul", fmt.Sprintf("%dx%d→%d add=%v", t, k, n, add), linearTolerance,
				func(dev Slices, in *source) []tensor {
					w := dev.Pack(in.normal(n*k, 1), n, k)
					x := in.normal(t*k, 1)
					y := in.output(t * n)
					dev.MatMul(y, x, w, t, add)
					return []tensor{{"y", y}}
				}})
		}
	}
	for _, s := range append(shapes(), [][3]int{{1, 1, 1}, {1, 33, 5}, {17, 1, 9}, {9, 40, 1}, {14, 32, 256},
		{15, 31, 257}, {61, 97, 400}, {350, 70, 33}, {6, 5, 0}}...) {
		for flags := range 8 {
			m, n, k := s[0], s[1], s[2]
			transA, transB, add := flags&1 != 0, flags&2 != 0, flags&4 != 0
			all = append(all, check{"gemm",
				fmt.Sprintf("%dx%dx%d transA=%v transB=%v add=%v", m, n, k, transA, transB, add), linearTolerance,
				func(dev Slices, in *source) []tensor {
					a, b, c := in.normal(m*k, 1), in.normal(k*n, 1), in.output(m*n)
					dev.Gemm(transA, transB, m, n, k, 0.37, a, b, add, c)
					return []tensor{{"c", c}}
				}})
		}
	}
	return all
}

// shapes draws the same ten sizes at every call.
func shapes() [][3]int {
	rng := rand.New(rand.NewPCG(7, 7))
	all := make([][3]int, 10)
	for i := range all {
		all[i] = [3]int{1 + rng.IntN(60), 1 + rng.IntN(400), 1 + rng.IntN(100)}
	}
	return all
}

// repack overwrites a matrix in place.
func repack(t *testing.T, dev Slices) {
	in := newSource("repack")
	n, k := 45, 67
	w, x := in.normal(n*k, 1), in.normal(3*k, 1)
	m, fresh := dev.Pack(in.normal(n*k, 1), n, k), dev.Pack(w, n, k)
	dev.Repack(m, w)
	if gotN, gotK := m.Shape(); gotN != n || gotK != k {
		t.Errorf("Shape() = %d, %d; want %d, %d", gotN, gotK, n, k)
	}
	got, want := in.output(3*n), in.output(3*n)
	dev.MatMul(got, x, m, 3, false)
	clear(w) // Pack must have copied
	dev.MatMul(want, x, fresh, 3, false)
	sameBits(t, "matmul after repack", got, want)
}
