package cpu

// RMSNorm, RoPE and SwiGLU, forward and backward: elementwise loops and row sums, spread over the threads by
// rows.

import (
	"math"

	"itool/stages/policy/kernel"
)

// RMSNorm: y[t] = x[t] · rstd[t] · w.
func (d *Device) RMSNorm(y, rstd, x, w kernel.Floats, t, k int, eps float32) {
	need("x", x.Host, t*k)
	need("y", y.Host, t*k)
	need("rstd", rstd.Host, t)
	need("w", w.Host, k)
	d.spread(span{work: rmsNorm, n: t, k: k, eps: eps, f: [7][]float32{y.Host, rstd.Host, x.Host, w.Host[:k]}}, 4*k)
}

func rmsNorm(s *span, first, last int) {
	y, rstd, x, w := s.f[0], s.f[1], s.f[2], s.f[3]
	for r := first; r < last; r++ {
		row := x[r*s.k : (r+1)*s.k]
		mean := float64(s.level.dot(row, row)) / float64(s.k)
		rstd[r] = float32(1 / math.Sqrt(mean+float64(s.eps)))
		s.level.norm(y[r*s.k:(r+1)*s.k], row, w, rstd[r])
	}
}

// RMSNormBackward is parallel over rows for dx and over columns for dw, so that one thread sums all rows of
// an element of dw, in order.
func (d *Device) RMSNormBackward(dx, dw, dy, x, w, rstd kernel.Floats, t, k int) {
	need("dx", dx.Host, t*k)
	need("dy", dy.Host, t*k)
	need("x", x.Host, t*k)
	need("w", w.Host, k)
	need("rstd", rstd.Host, t)
	d.spread(span{work: rmsNormGrad, n: t, k: k, f: [7][]float32{dx.Host, dy.Host, x.Host, w.Host[:k], rstd.Host}}, 8*k)
	if !dw.None() {
		need("dw", dw.Host, k)
		const columns = 64
		d.spread(span{work: gainGrad, n: k, k: k, whole: t, grain: columns,
			f: [7][]float32{dw.Host, dy.Host, x.Host, rstd.Host}}, 3*t)
	}
}

func rmsNormGrad(s *span, first, last int) {
	dx, dy, x, w, rstd := s.f[0], s.f[1], s.f[2], s.f[3], s.f[4]
	for r := first; r < last; r++ {
		lo, hi := r*s.k, (r+1)*s.k
		// dx += rstd·dy·w − x·rstd³·mean(dy·w·x)
		mean := s.level.dot3(dy[lo:hi], w, x[lo:hi]) / float32(s.k)
		s.level.normGrad(dx[lo:hi], dy[lo:hi], w, x[lo:hi], rstd[r], rstd[r]*rstd[r]*rstd[r]*mean)
	}
}

func gainGrad(s *span, first, last int) {
	dw, dy, x, rstd := s.f[0], s.f[1], s.f[2], s.f[3]
	for r := range s.whole {
		s.level.mulAdd(dw[first:last], dy[r*s.k+first:r*s.k+last], x[r*s.k+first:r*s.k+last], rstd[r])
	}
}

// RoPE rotates in place.
func (d *Device) RoPE(x, cos, sin kernel.Floats, pos kernel.Ints, t, h, dim int, inverse bool) {
	need("x", x.Host, t*h*dim)
	need("pos", pos.Host, t)
	sign := float32(1)
	if inverse {
		sign = -1
	}
	d.spread(span{work: rope, n: t, h: h, d: dim, sign: sign, pos: pos.Host,
		f: [7][]float32{x.Host, cos.Host, sin.Host}}, 4*h*dim)
}

func rope(s *span, first, last int) {
	x, cos, sin := s.f[0], s.f[1], s.f[2]
	half := s.d / 2
	for r := first; r < last; r++ {
		at := int(s.pos[r]) * half
		for head := range s.h {
			v := x[(r*s.h+head)*s.d : (r*s.h+head+1)*s.d]
			s.level.rope(v[:half], v[half:2*half], cos[at:at+half], sin[at:at+half], s.sign)
		}
	}
}

// SwiGLU: y = silu(gate) · up.
func (d *Device) SwiGLU(y, gate, up kernel.Floats, n int) {
	need("y", y.Host, n)
	need("gate", gate.Host, n)
	need("up", up.Host, n)
	d.spread(span{work: swiGLU, n: n, f: [7][]float32{y.Host, gate.Host, up.Host}}, 30)
}

func swiGLU(s *span, first, last int) {
	s.level.silu(s.f[0][first:last], s.f[1][first:last], s.f[2][first:last])
}

// SwiGLUBackward writes dGate and dUp.
func (d *Device) SwiGLUBackward(dGate, dUp, dy, gate, up kernel.Floats, n int) {
	need("dGate", dGate.Host, n)
	need("dUp", dUp.Host, n)
	need("dy", dy.Host, n)
	need("gate", gate.Host, n)
	need("up", up.Host, n)
	d.spread(span{work: swiGLUGrad, n: n, f: [7][]float32{dGate.Host, dUp.Host, dy.Host, gate.Host, up.Host}}, 40)
}

func swiGLUGrad(s *span, first, last int) {
	s.level.siluGrad(s.f[0][first:last], s.f[1][first:last], s.f[2][first:last], s.f[3][first:last], s.f[4][first:last])
}
