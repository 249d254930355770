package ref

import (
	"math"

	"itool/stages/policy/kernel"
)

// AdamW computes each element in float64 and rounds the results to float32.
func (Device) AdamW(w, m, v, g kernel.Floats, n int, s kernel.AdamW) {
	b1, b2 := float64(s.Beta1), float64(s.Beta2)
	for i := range n {
		grad := float64(g.Host[i]) * float64(s.GradScale)
		first := b1*float64(m.Host[i]) + (1-b1)*grad
		second := b2*float64(v.Host[i]) + (1-b2)*grad*grad
		m.Host[i], v.Host[i] = float32(first), float32(second)
		step := first / float64(s.C1) / (math.Sqrt(second/float64(s.C2)) + float64(s.Eps))
		w.Host[i] = float32(float64(w.Host[i]) - float64(s.Rate)*(float64(s.Decay)*float64(w.Host[i])+step))
	}
}

// SumSquares returns Σ x².
func (Device) SumSquares(xs []kernel.Floats) (sum float64) {
	for _, x := range xs {
		sum += dot(x.Host, x.Host)
	}
	return sum
}
