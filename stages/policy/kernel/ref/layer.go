package ref

import (
	"math"

	"itool/stages/policy/kernel"
)

// RMSNorm: y[t] = x[t] · rstd[t] · w.
func (Device) RMSNorm(y, rstd, x, w kernel.Floats, t, k int, eps float32) {
	for r := range t {
		row := x.Host[r*k : (r+1)*k]
		s := 1 / math.Sqrt(dot(row, row)/float64(k)+float64(eps))
		rstd.Host[r] = float32(s)
		for i, v := range row {
			y.Host[r*k+i] = float32(float64(v) * s * float64(w.Host[i]))
		}
	}
}

// RMSNormBackward: with x̂ = x·rstd, dx += rstd·(dy·w − x̂·mean(dy·w·x̂)), dw += Σ dy·x̂.
func (Device) RMSNormBackward(dx, dw, dy, x, w, rstd kernel.Floats, t, k int) {
	for r := range t {
		s := float64(rstd.Host[r])
		var mean float64
		for i := range k {
			mean += float64(dy.Host[r*k+i]) * float64(w.Host[i]) * float64(x.Host[r*k+i]) * s
		}
		mean /= float64(k)
		for i := range k {
			xhat := float64(x.Host[r*k+i]) * s
			dx.Host[r*k+i] += float32(s * (float64(dy.Host[r*k+i])*float64(w.Host[i]) - xhat*mean))
		}
	}
	if dw.None() {
		return
	}
	for i := range k {
		var sum float64
		for r := range t {
			sum += float64(dy.Host[r*k+i]) * float64(x.Host[r*k+i]) * float64(rstd.Host[r])
		}
		dw.Host[i] += float32(sum)
	}
}

// RoPE rotates the pairs (i, i + D/2) of every head.
func (Device) RoPE(x, cos, sin kernel.Floats, pos kernel.Ints, t, h, d int, inverse bool) {
	half := d / 2
	for r := range t {
		at := int(pos.Host[r]) * half
		for head := range h {
			v := x.Host[(r*h+head)*d : (r*h+head+1)*d]
			for i := range half {
				c, s := float64(cos.Host[at+i]), float64(sin.Host[at+i])
				if inverse {
					s = -s
				}
				a, b := float64(v[i]), float64(v[i+half])
				v[i], v[i+half] = float32(a*c-b*s), float32(b*c+a*s)
			}
		}
	}
}

// SwiGLU: y = gate·σ(gate)·up.
func (Device) SwiGLU(y, gate, up kernel.Floats, n int) {
	for i := range n {
		g := float64(gate.Host[i])
		y.Host[i] = float32(g * sigmoid(g) * float64(up.Host[i]))
	}
}

// SwiGLUBackward: silu′(g) = σ(g)·(1 + g·(1 − σ(g))).
func (Device) SwiGLUBackward(dGate, dUp, dy, gate, up kernel.Floats, n int) {
	for i := range n {
		g, d := float64(gate.Host[i]), float64(dy.Host[i])
		s := sigmoid(g)
		dGate.Host[i] = float32(d * float64(up.Host[i]) * s * (1 + g*(1-s)))
		dUp.Host[i] = float32(d * g * s)
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
