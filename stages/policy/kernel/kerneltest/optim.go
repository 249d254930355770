package kerneltest

import (
	"fmt"

	"itool/stages/policy/kernel"
)

// One root and one division per element.
const optimTolerance = 3e-6

func optimChecks() []check {
	var all []check
	for _, n := range []int{0, 1, 15, 17, 1000, 70001} {
		all = append(all, check{"adamw", fmt.Sprintf("n=%d", n), optimTolerance,
			func(dev Slices, in *source) []tensor {
				w, m, v, g := in.normal(n, 1), in.normal(n, 0.1), in.normal(n, 0.1), in.normal(n, 1)
				for i := range v {
					v[i] *= v[i]
					if i%5 == 0 { // an element whose gradient has always been zero
						m[i], v[i], g[i] = 0, 0, 0
					}
				}
				dev.AdamW(w, m, v, g, n, kernel.AdamW{Rate: 0.03, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.1,
					GradScale: 0.7, C1: 0.19, C2: 0.002})
				return []tensor{{"w", w}, {"m", m}, {"v", v}}
			}})
		all = append(all, check{"sum of squares", fmt.Sprintf("n=%d", n), optimTolerance,
			func(dev Slices, in *source) []tensor {
				return []tensor{{"sum", []float32{float32(dev.SumSquares(in.normal(n, 1)))}}}
			}})
	}
	return all
}
