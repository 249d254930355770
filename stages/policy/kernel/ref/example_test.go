package ref_test

import (
	"fmt"

	"itool/stages/policy/kernel/ref"
)

// A product and a norm, as a test computes what another device must give.
func Example() {
	dev := ref.New()
	const t, n, k = 1, 3, 2
	w := dev.Pack([]float32{1, 0, 0, 1, 3, 4}, n, k) // (N, K)
	y := make([]float32, t*n)
	dev.MatMul(y, []float32{1, 2}, w, t, false) // y (T, N) = x (T, K) · Wᵀ
	fmt.Println(dev.Name(), y)

	norm, rstd := make([]float32, t*k), make([]float32, t)
	dev.RMSNorm(norm, rstd, []float32{1, -7}, []float32{5, 5}, t, k, 0)
	fmt.Println(norm, rstd)
	// Output:
	// ref [1 2 11]
	// [1 -7] [0.2]
}
