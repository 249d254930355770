package cpu_test

import (
	"fmt"

	"itool/stages/policy/kernel/cpu"
)

// A weight is packed once and multiplied with many inputs: y (T, N) = x (T, K) · Wᵀ.
func ExampleNew() {
	dev, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	const t, n, k = 1, 2, 2
	w := dev.Pack([]float32{1, 2, 3, 4}, n, k) // (N, K)
	y := make([]float32, t*n)
	dev.MatMul(y, []float32{10, 1}, w, t, false)
	fmt.Println(y)
	// Output: [12 34]
}
