package kerneltest

import (
	"math"
	"slices"
	"testing"

	"itool/stages/policy/kernel"
)

// Between two values of bf16 the gradient of a logit may go to either, as the sums before
// it do: a share of one term of thousands.
const bf16Tolerance = 1e-3

// RunBF16 is Run for a device whose matrix products round both factors to bf16 and
// add in float32. Everything else is held to the tolerances of Run, and so are the
// products: their judge gets factors that are rounded already.
func RunBF16(t *testing.T, dev, judge kernel.Device) {
	for _, c := range checks() {
		if c.op == "logprobs backward" {
			c.tolerance = bf16Tolerance
		}
		t.Run(c.op+"/"+c.name, func(t *testing.T) {
			want := c.outputs(t, rounding{judge})
			for i, got := range c.outputs(t, dev) {
				compare(t, got, want[i], c.tolerance)
			}
		})
	}
	// Finite differences of rounded logits say nothing: the head has its judge alone.
	t.Run("gradients", func(t *testing.T) { elementGradients(t, dev) })
	t.Run("rows", func(t *testing.T) { rows(t, dev) })
	t.Run("repack", func(t *testing.T) { repack(t, dev) })
	t.Run("kept", func(t *testing.T) { kept(t, dev, false) })
	t.Run("not a number", func(t *testing.T) { notANumber(t, dev) })
	t.Run("concurrent", func(t *testing.T) { concurrent(t, dev) })
}

// Rounded is what a device of RunBF16 computes, as d computes it: slow, and on any
// machine. A frozen head must not be kept in its own form.
func Rounded(d kernel.Device) kernel.Device { return rounding{d} }

// rounding is a device that gets the factors of its matrix products rounded.
type rounding struct{ kernel.Device }

func (r rounding) Pack(w []float32, n, k int) kernel.Matrix {
	return r.Device.Pack(rounded(w[:n*k]), n, k)
}
func (r rounding) Keep(w kernel.Weight) kernel.Matrix {
	n, k := w.Shape()
	return r.Pack(kernel.Widened(w), n, k)
}
func (r rounding) Repack(m kernel.Matrix, w []float32) { r.Device.Repack(m, rounded(w)) }

func (r rounding) MatMul(y, x []float32, w kernel.Matrix, t int, add bool) {
	r.Device.MatMul(y, rounded(x), w, t, add)
}

func (r rounding) Gemm(transA, transB bool, m, n, k int, alpha float32, a, b []float32, add bool, c []float32) {
	r.Device.Gemm(transA, transB, m, n, k, alpha, rounded(a), rounded(b), add, c)
}

func (r rounding) MatMulRows(dx, dy []float32, w kernel.Weight, t int, add bool) {
	n, k := w.Shape()
	r.Gemm(false, false, t, k, n, 1, dy, kernel.Widened(w), add, dx)
}

func (r rounding) LogProbs(logp, lse, x []float32, w kernel.Matrix, targets []int32, t int) {
	r.Device.LogProbs(logp, lse, rounded(x), w, targets, t)
}

// LogProbsBackward writes the gradient of the logits down, to round it like every factor.
func (r rounding) LogProbsBackward(dx, dw, dlogp, lse, x []float32, w kernel.Matrix, wRaw []float32, targets []int32, t int) {
	n, k := w.Shape()
	logits := make([]float32, t*n)
	r.Gemm(false, true, t, n, k, 1, x, wRaw, false, logits)
	for i, target := range targets[:t] {
		row := logits[i*n : (i+1)*n]
		if target < 0 {
			clear(row)
			continue
		}
		for v, l := range row {
			row[v] = -dlogp[i] * float32(math.Exp(float64(l-lse[i])))
		}
		row[target] += dlogp[i]
	}
	r.Gemm(false, false, t, k, n, 1, logits, wRaw, true, dx)
	if dw != nil {
		r.Gemm(true, false, n, k, t, 1, logits, x, true, dw)
	}
}

// rounded copies x, each value to the nearest of bf16, ties to even.
func rounded(x []float32) []float32 {
	y := slices.Clone(x)
	for i, v := range y {
		bits := math.Float32bits(v)
		if v == v {
			y[i] = math.Float32frombits((bits + 0x7fff + bits>>16&1) &^ 0xffff)
		}
	}
	return y
}
