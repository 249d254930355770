package ref_test

import (
	"math"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/kerneltest"
	"itool/stages/policy/kernel/ref"
)

// TestByHand compares the reference with values that are small enough to check by hand.
func TestByHand(t *testing.T) {
	dev := kerneltest.On(ref.New())
	ln := func(x float64) float32 { return float32(math.Log(x)) }
	cases := map[string]struct {
		run  func(got []float32)
		want []float32
	}{
		"gemm": {func(y []float32) {
			dev.Gemm(false, false, 2, 2, 2, 1, []float32{1, 2, 3, 4}, []float32{5, 6, 7, 8}, false, y)
		}, []float32{19, 22, 43, 50}},
		"gemm aᵀ bᵀ, alpha and add": {func(y []float32) {
			copy(y, []float32{1, 1, 1, 1})
			dev.Gemm(true, true, 2, 2, 2, 2, []float32{1, 3, 2, 4}, []float32{5, 7, 6, 8}, true, y)
		}, []float32{39, 45, 87, 101}},
		"matmul is x·wᵀ": {func(y []float32) {
			dev.MatMul(y, []float32{1, 2}, dev.Pack([]float32{1, 0, 0, 1, 3, 4}, 3, 2), 1, false)
		}, []float32{1, 2, 11}},
		"rmsnorm": {func(y []float32) {
			dev.RMSNorm(y, make([]float32, 1), []float32{3, 4}, []float32{1, 2}, 1, 2, 0)
		}, []float32{3 / float32(math.Sqrt(12.5)), 8 / float32(math.Sqrt(12.5))}},
		"rope by a quarter turn": {func(y []float32) {
			copy(y, []float32{1, 0})
			dev.RoPE(y, []float32{1, 0}, []float32{0, 1}, []int32{1}, 1, 1, 2, false)
		}, []float32{0, 1}},
		"swiglu": {func(y []float32) {
			dev.SwiGLU(y, []float32{0, ln(3)}, []float32{5, 4}, 2)
		}, []float32{0, 3 * ln(3)}},
		"attention averages equal keys, and starts again in each segment": {func(y []float32) {
			dev.Attention(y, make([]float32, 3), make([]float32, 3), make([]float32, 3), []float32{2, 4, 7},
				[]int32{0, 2, 3}, nil, nil, 1, 1, 1)
		}, []float32{2, 3, 7}},
		"paths follow the tree": {func(y []float32) {
			dev.AttendPaths(y, make([]float32, 3), make([]float32, 3), []float32{2, 4, 9},
				[][]int32{{0, 2}, {1}, {}}, 1, 1, 1)
		}, []float32{5.5, 4, 0}},
		"logprobs, negative target skipped": {func(y []float32) {
			w := dev.Pack([]float32{0, ln(3)}, 2, 1)
			dev.LogProbs(y, make([]float32, 2), []float32{1, 1}, w, []int32{1, -1}, 2)
		}, []float32{ln(0.75), 0}},
		"first adamw step is rate·sign, plus decay": {func(y []float32) {
			copy(y, []float32{1, 1})
			dev.AdamW(y, make([]float32, 2), make([]float32, 2), []float32{4, -4}, 2,
				kernel.AdamW{Rate: 0.25, Beta1: 0.5, Beta2: 0.5, Decay: 0.5, GradScale: 2, C1: 0.5, C2: 0.5})
		}, []float32{0.625, 1.125}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := make([]float32, len(c.want))
			c.run(got)
			for i := range got {
				if math.Abs(float64(got[i]-c.want[i])) > 1e-6 {
					t.Fatalf("got %v, want %v", got, c.want)
				}
			}
		})
	}
	if got := dev.SumSquares([]float32{3, 4}); got != 25 {
		t.Errorf("SumSquares = %v, want 25", got)
	}
}
