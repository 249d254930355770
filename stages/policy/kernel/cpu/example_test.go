package cpu_test

import (
	"fmt"

	"itool/stages/policy/kernel"
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
	w := dev.Pack(kernel.Host([]float32{1, 2, 3, 4}), n, k) // (N, K)
	y := dev.Floats(t * n)
	dev.MatMul(y, kernel.Host([]float32{10, 1}), w, t, false)
	fmt.Println(y.Host)
	// Output: [12 34]
}
