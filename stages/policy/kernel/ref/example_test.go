package ref_test

import (
	"fmt"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/ref"
)

// A product and a norm, as a test computes what another device must give.
func Example() {
	dev := ref.New()
	const t, n, k = 1, 3, 2
	w := dev.Pack(kernel.Host([]float32{1, 0, 0, 1, 3, 4}), n, k) // (N, K)
	y := dev.Floats(t * n)
	dev.MatMul(y, kernel.Host([]float32{1, 2}), w, t, false) // y (T, N) = x (T, K) · Wᵀ
	fmt.Println(dev.Name(), y.Host)

	norm, rstd := dev.Floats(t*k), dev.Floats(t)
	dev.RMSNorm(norm, rstd, kernel.Host([]float32{1, -7}), kernel.Host([]float32{5, 5}), t, k, 0)
	fmt.Println(norm.Host, rstd.Host)
	// Output:
	// ref [1 2 11]
	// [1 -7] [0.2]
}
