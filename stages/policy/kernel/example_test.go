package kernel_test

import (
	"fmt"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/ref"
)

// A weight in eight bits is wrapped: the product reads its codes and needs no copy in float32.
func ExampleToInt8() {
	weight := &kernel.Dense{N: 2, K: 3, Data: []float32{1, 2, 127, 0, -64, 127}}
	eight, err := kernel.ToInt8(weight)
	if err != nil {
		fmt.Println(err)
		return
	}
	dev := ref.New()
	y := dev.Floats(2)
	dev.MatMul(y, kernel.Host([]float32{1, 1, 1}), dev.Wrap(eight), 1, false)
	fmt.Println(y.Host)
	// Output: [130 63]
}
