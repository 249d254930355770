// Package ref is the reference device: plain loops that sum in float64, against which every other device
// is tested. It is written to be checked by reading, against the formulas in package kernel.
//
// It has no threads and no blocking, and it is slow. Use it in tests:
//
//	dev := ref.New()
//	w := dev.Pack(weights, n, k)
//	dev.MatMul(y, x, w, t, false)
package ref

import "itool/stages/policy/kernel"

var _ kernel.Device = Device{}

// Device is the reference. It has no state.
type Device struct{}

// New returns the reference device.
func New() kernel.Device { return Device{} }

// Name is "ref".
func (Device) Name() string { return "ref" }

// matrix has the weight in float32, row by row.
type matrix struct {
	n, k    int
	w       []float32 // (N, K)
	wrapped bool      // made by Wrap, not by Pack
}

func (m *matrix) Shape() (n, k int) { return m.n, m.k }

// Pack copies w.
func (Device) Pack(w kernel.Floats, n, k int) kernel.Matrix {
	return &matrix{n: n, k: k, w: append([]float32(nil), w.Host[:n*k]...)}
}

// Wrap converts all of w to float32.
func (Device) Wrap(w kernel.Weight) kernel.Matrix {
	n, k := w.Shape()
	return &matrix{n: n, k: k, w: kernel.Widened(w), wrapped: true}
}

// Repack copies w over m.
func (Device) Repack(m kernel.Matrix, w kernel.Floats) {
	p := m.(*matrix)
	copy(p.w, w.Host[:p.n*p.k])
}

// MatMul: y (T, N) = x (T, K) · Wᵀ.
func (d Device) MatMul(y, x kernel.Floats, w kernel.Matrix, t int, add bool) {
	m := w.(*matrix)
	d.Gemm(false, true, t, m.n, m.k, 1, x, kernel.Host(m.w), add, y)
}

// MatMuls is MatMul for each of outs.
func (d Device) MatMuls(outs []kernel.Out, x kernel.Floats, t int) {
	for _, o := range outs {
		n, _ := o.W.Shape()
		for i := 0; i < t && !o.Bias.None(); i++ {
			copy(o.Y.Host[i*n:(i+1)*n], o.Bias.Host)
		}
		d.MatMul(o.Y, x, o.W, t, o.Add || !o.Bias.None())
	}
}

// MatMulRows: dx (T, K) = dy (T, N) · W.
func (d Device) MatMulRows(dx, dy kernel.Floats, w kernel.Matrix, t int, add bool) {
	m := w.(*matrix)
	d.Gemm(false, false, t, m.k, m.n, 1, dy, kernel.Host(m.w), add, dx)
}

// Gemm is three loops.
func (Device) Gemm(transA, transB bool, m, n, k int, alpha float32, a, b kernel.Floats, add bool, c kernel.Floats) {
	aRow, aCol := k, 1 // strides of op(a.Host)
	if transA {
		aRow, aCol = 1, m
	}
	bRow, bCol := n, 1
	if transB {
		bRow, bCol = 1, k
	}
	for i := range m {
		for j := range n {
			var sum float64
			for p := range k {
				sum += float64(a.Host[i*aRow+p*aCol]) * float64(b.Host[p*bRow+j*bCol])
			}
			sum *= float64(alpha)
			if add {
				sum += float64(c.Host[i*n+j])
			}
			c.Host[i*n+j] = float32(sum)
		}
	}
}

// dot is Σ a·b in float64.
func dot(a, b []float32) float64 {
	var sum float64
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}
