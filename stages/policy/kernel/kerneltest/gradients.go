package kerneltest

import (
	"math"
	"slices"
	"testing"
)

// gradients moves each input along a random direction u and compares the slope of
// Σ r·output, by central differences of the device's own forward pass, with
// Σ u·gradient from its backward pass.
func gradients(t *testing.T, dev Slices) {
	elementGradients(t, dev)
	t.Run("attention", func(t *testing.T) { attentionGradient(t, dev) })
	t.Run("logprobs", func(t *testing.T) { headGradient(t, dev) })
}

// elementGradients are those without a matrix product of the device.
func elementGradients(t *testing.T, dev Slices) {
	t.Run("rmsnorm", func(t *testing.T) { normGradient(t, dev) })
	t.Run("swiglu", func(t *testing.T) { swigluGradient(t, dev) })
	t.Run("rope", func(t *testing.T) { ropeGradient(t, dev) })
}

func normGradient(t *testing.T, dev Slices) {
	in := newSource("norm gradient")
	rows, k := 5, 37
	x, w, r := in.normal(rows*k, 1), in.normal(k, 1), in.normal(rows*k, 1)
	forward := func() float64 {
		y, rstd := in.output(rows*k), in.output(rows)
		dev.RMSNorm(y, rstd, x, w, rows, k, 1e-5)
		return dot(y, r)
	}
	dx, dw := make([]float32, rows*k), make([]float32, k)
	dev.RMSNormBackward(dx, dw, r, x, w, rstdOf(x, rows, k), rows, k)
	slope(t, in, "x", forward, x, dx)
	slope(t, in, "w", forward, w, dw)
}

func swigluGradient(t *testing.T, dev Slices) {
	in := newSource("swiglu gradient")
	n := 101
	gate, up, r := in.normal(n, 2), in.normal(n, 1), in.normal(n, 1)
	forward := func() float64 {
		y := in.output(n)
		dev.SwiGLU(y, gate, up, n)
		return dot(y, r)
	}
	dGate, dUp := in.output(n), in.output(n)
	dev.SwiGLUBackward(dGate, dUp, r, gate, up, n)
	slope(t, in, "gate", forward, gate, dGate)
	slope(t, in, "up", forward, up, dUp)
}

func ropeGradient(t *testing.T, dev Slices) {
	in := newSource("rope gradient")
	rows, h, d := 3, 2, 32
	x, r := in.normal(rows*h*d, 1), in.normal(rows*h*d, 1)
	cos, sin := in.normal(rows*d/2, 1), in.normal(rows*d/2, 1)
	pos := []int32{2, 0, 1}
	forward := func() float64 {
		y := slices.Clone(x)
		dev.RoPE(y, cos, sin, pos, rows, h, d, false)
		return dot(y, r)
	}
	dx := slices.Clone(r)
	dev.RoPE(dx, cos, sin, pos, rows, h, d, true)
	slope(t, in, "x", forward, x, dx)
}

func attentionGradient(t *testing.T, dev Slices) {
	in := newSource("attention gradient")
	l := layout{"", []int32{0, 9, 9, 45}, []int32{9, 9, 9, 9, 25, 34}, nil, 45, 4, 2, 32, 1}
	q, k, v := l.tensors(in)
	r := in.normal(len(q), 1)
	out, lse := in.output(len(q)), in.output(l.t*l.h)
	forward := func() float64 {
		dev.Attention(out, lse, q, k, v, l.cu, l.mask, l.selected, l.h, l.g, l.d)
		return dot(out, r)
	}
	forward()
	dq, dk, dv := in.output(len(q)), in.output(len(k)), in.output(len(v))
	dev.AttentionBackward(dq, dk, dv, r, out, lse, q, k, v, l.cu, l.mask, l.selected, l.h, l.g, l.d)
	slope(t, in, "q", forward, q, dq)
	slope(t, in, "k", forward, k, dk)
	slope(t, in, "v", forward, v, dv)
}

func headGradient(t *testing.T, dev Slices) {
	in := newSource("head gradient")
	rows, k, n := 11, 24, 77
	x, w, targets := headInputs(in, rows, k, n)
	r := in.normal(rows, 1)
	logp, lse := in.output(rows), in.output(rows)
	forward := func() float64 {
		dev.LogProbs(logp, lse, x, dev.Pack(w, n, k), targets, rows)
		return dot(logp, r)
	}
	forward()
	dx, dw := make([]float32, rows*k), make([]float32, n*k)
	dev.LogProbsBackward(dx, dw, r, lse, x, dev.Pack(w, n, k), w, targets, rows)
	slope(t, in, "x", forward, x, dx)
	slope(t, in, "w", forward, w, dw)
	dev.LogProbsGrad(dx, logp, lse, x, dev.Pack(w, n, k), w, targets, rows)
	for i := range dx {
		dx[i] *= r[i/k]
	}
	slope(t, in, "x of a frozen head", forward, x, dx)
}

// slope compares along three random directions. The step balances the curvature
// against float32 rounding of the outputs; together they stay below the tolerance.
func slope(t *testing.T, in *source, name string, forward func() float64, x, dx []float32) {
	t.Helper()
	const step, tolerance = 4e-3, 3e-3
	at := slices.Clone(x)
	for range 3 {
		u := in.normal(len(x), 1)
		length := math.Sqrt(dot(u, u))
		value := func(sign float64) float64 {
			for i := range x {
				x[i] = at[i] + float32(sign*step*float64(u[i]))
			}
			return forward()
		}
		want := (value(1) - value(-1)) / (2 * step)
		copy(x, at)
		got := dot(u, dx)
		if scale := length * math.Sqrt(dot(dx, dx)/float64(len(dx))); math.Abs(got-want) > tolerance*scale {
			t.Errorf("d/d%s: gradient says %v, finite differences say %v (scale %v)", name, got, want, scale)
		}
	}
}
