package optim_test

import (
	"fmt"

	"itool/stages/policy/kernel/ref"
	"itool/stages/policy/optim"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Twenty steps of AdamW towards the minimum of (w − 3)², with a falling rate.
func ExampleAdamW() {
	w, g := []float32{0}, []float32{0}
	p := []G.ValueGrad{newParam(tensor.Shape{1}, w, g)}
	s := &optim.AdamW{Device: ref.New(), Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 1}
	for step := range 20 {
		g[0] = 2 * (w[0] - 3)
		s.Rate = 0.3 * optim.Factor(step, 20, 0.1)
		if err := s.Step(p); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Printf("w = %.1f after %d steps\n", w[0], s.State.Step)
	// Output: w = 3.0 after 20 steps
}

// The factor of the learning rate in a phase of 100 steps, the first ten of which are the warm-up.
func ExampleFactor() {
	for _, step := range []int{0, 5, 10, 55, 100} {
		fmt.Printf("step %d: %.2f\n", step, optim.Factor(step, 100, 0.1))
	}
	// Output:
	// step 0: 0.00
	// step 5: 0.50
	// step 10: 1.00
	// step 55: 0.50
	// step 100: 0.00
}
