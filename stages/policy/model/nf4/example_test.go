package nf4_test

import (
	"fmt"

	"itool/stages/policy/kernel"
	"itool/stages/policy/model/nf4"
)

// A weight is rounded to four bits: each value becomes one of sixteen, times the block's scale.
func ExampleQuantize() {
	weight := &kernel.Dense{N: 1, K: 64, Data: make([]float32, 64)}
	copy(weight.Data, []float32{2, -2, 0.9, 0.1})
	w, err := nf4.Quantize(weight, "bfloat16")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(kernel.Widened(w)[:5])
	// Output: [2 -2 0.8828125 0.15917969 0]
}
