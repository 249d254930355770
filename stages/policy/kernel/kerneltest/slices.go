package kerneltest

import "itool/stages/policy/kernel"

// Slices calls a device with slices of the host. On a device with memory of its own every argument of a call
// is copied to it, and its results are copied back.
type Slices struct {
	Device kernel.Device
	copies bool
}

// On returns the operations of dev for slices.
func On(dev kernel.Device) Slices { return Slices{dev, dev.Floats(1).Block != nil} }

// in is memory of the device with the numbers of x.
func (s Slices) in(x []float32) kernel.Floats {
	if !s.copies || x == nil {
		return kernel.Host(x)
	}
	f := s.Device.Floats(len(x))
	s.Device.Write(f, x)
	return f
}

// back copies results to where in has found them.
func (s Slices) back(x []float32, f kernel.Floats) {
	if s.copies && x != nil {
		s.Device.Read(x, f)
	}
}

func (s Slices) ints(x []int32) kernel.Ints {
	if !s.copies || x == nil {
		return kernel.Ints{Host: x}
	}
	i := kernel.Ints{Host: x}
	s.Device.Send(&i)
	return i
}

func (s Slices) paths(rows [][]int32) kernel.Paths {
	if !s.copies {
		return kernel.Paths{Rows: rows}
	}
	p := kernel.Paths{Rows: rows}
	s.Device.SendPaths(&p)
	return p
}

// Name is the device's.
func (s Slices) Name() string { return s.Device.Name() }

// Pack is the device's.
func (s Slices) Pack(w []float32, n, k int) kernel.Matrix { return s.Device.Pack(s.in(w), n, k) }

// Repack is the device's.
func (s Slices) Repack(m kernel.Matrix, w []float32) { s.Device.Repack(m, s.in(w)) }

// Wrap is the device's.
func (s Slices) Wrap(w kernel.Weight) kernel.Matrix { return s.Device.Wrap(w) }

// MatMul is the device's.
func (s Slices) MatMul(y, x []float32, w kernel.Matrix, t int, add bool) {
	to := s.in(y)
	s.Device.MatMul(to, s.in(x), w, t, add)
	s.back(y, to)
}

// MatMuls is the device's, for outs in the memory of the host.
func (s Slices) MatMuls(outs []kernel.Out, x []float32, t int) {
	if !s.copies {
		s.Device.MatMuls(outs, kernel.Host(x), t)
		return
	}
	there := make([]kernel.Out, len(outs))
	for i, o := range outs {
		there[i] = o
		there[i].Y, there[i].Bias = s.in(o.Y.Host), s.in(o.Bias.Host)
	}
	s.Device.MatMuls(there, s.in(x), t)
	for i, o := range outs {
		s.back(o.Y.Host, there[i].Y)
	}
}

// MatMulRows is the device's.
func (s Slices) MatMulRows(dx, dy []float32, w kernel.Matrix, t int, add bool) {
	to := s.in(dx)
	s.Device.MatMulRows(to, s.in(dy), w, t, add)
	s.back(dx, to)
}

// Gemm is the device's.
func (s Slices) Gemm(transA, transB bool, m, n, k int, alpha float32, a, b []float32, add bool, c []float32) {
	to := s.in(c)
	s.Device.Gemm(transA, transB, m, n, k, alpha, s.in(a), s.in(b), add, to)
	s.back(c, to)
}

// RMSNorm is the device's.
func (s Slices) RMSNorm(y, rstd, x, w []float32, t, k int, eps float32) {
	to, r := s.in(y), s.in(rstd)
	s.Device.RMSNorm(to, r, s.in(x), s.in(w), t, k, eps)
	s.back(y, to)
	s.back(rstd, r)
}

// RMSNormBackward is the device's.
func (s Slices) RMSNormBackward(dx, dw, dy, x, w, rstd []float32, t, k int) {
	toX, toW := s.in(dx), s.in(dw)
	s.Device.RMSNormBackward(toX, toW, s.in(dy), s.in(x), s.in(w), s.in(rstd), t, k)
	s.back(dx, toX)
	s.back(dw, toW)
}

// RoPE is the device's.
func (s Slices) RoPE(x, cos, sin []float32, pos []int32, t, h, d int, inverse bool) {
	to := s.in(x)
	s.Device.RoPE(to, s.in(cos), s.in(sin), s.ints(pos), t, h, d, inverse)
	s.back(x, to)
}

// SwiGLU is the device's.
func (s Slices) SwiGLU(y, gate, up []float32, n int) {
	to := s.in(y)
	s.Device.SwiGLU(to, s.in(gate), s.in(up), n)
	s.back(y, to)
}

// SwiGLUBackward is the device's.
func (s Slices) SwiGLUBackward(dGate, dUp, dy, gate, up []float32, n int) {
	a, b := s.in(dGate), s.in(dUp)
	s.Device.SwiGLUBackward(a, b, s.in(dy), s.in(gate), s.in(up), n)
	s.back(dGate, a)
	s.back(dUp, b)
}

func (s Slices) segments(cu, mask, selected []int32) kernel.Segments {
	return kernel.Segments{Cu: s.ints(cu), Mask: s.ints(mask), Selected: s.ints(selected)}
}

// Attention is the device's.
func (s Slices) Attention(out, lse, q, k, v []float32, cu, mask, selected []int32, h, g, d int) {
	a := kernel.Attended{Out: s.in(out), LSE: s.in(lse), Q: s.in(q), KV: kernel.KV{K: s.in(k), V: s.in(v)}}
	s.Device.Attention(a, s.segments(cu, mask, selected), kernel.Heads{H: h, G: g, D: d})
	s.back(out, a.Out)
	s.back(lse, a.LSE)
}

// AttentionBackward is the device's.
func (s Slices) AttentionBackward(dq, dk, dv, dout, out, lse, q, k, v []float32,
	cu, mask, selected []int32, h, g, d int) {
	a := kernel.Attended{Out: s.in(out), LSE: s.in(lse), Q: s.in(q), KV: kernel.KV{K: s.in(k), V: s.in(v)}}
	grad := kernel.AttentionGrad{DQ: s.in(dq), DK: s.in(dk), DV: s.in(dv)}
	s.Device.AttentionBackward(grad, s.in(dout), a, s.segments(cu, mask, selected), kernel.Heads{H: h, G: g, D: d})
	s.back(dq, grad.DQ)
	s.back(dk, grad.DK)
	s.back(dv, grad.DV)
}

// AttendPaths is the device's.
func (s Slices) AttendPaths(out, q, k, v []float32, paths [][]int32, h, g, d int) {
	to := s.in(out)
	s.Device.AttendPaths(to, s.in(q), kernel.KV{K: s.in(k), V: s.in(v)}, s.paths(paths),
		kernel.Heads{H: h, G: g, D: d})
	s.back(out, to)
}

// AttendSuffix is the device's.
func (s Slices) AttendSuffix(out, q, k, v []float32, path []int32, r, h, g, d int) {
	to := s.in(out)
	s.Device.AttendSuffix(to, s.in(q), kernel.KV{K: s.in(k), V: s.in(v)}, s.ints(path), r,
		kernel.Heads{H: h, G: g, D: d})
	s.back(out, to)
}

func (s Slices) head(x []float32, w kernel.Matrix, raw []float32, targets []int32, t int) kernel.Head {
	return kernel.Head{X: s.in(x), W: w, Raw: s.in(raw), Targets: s.ints(targets), T: t}
}

// LogProbs is the device's.
func (s Slices) LogProbs(logp, lse, x []float32, w kernel.Matrix, targets []int32, t int) {
	a, b := s.in(logp), s.in(lse)
	s.Device.LogProbs(a, b, s.head(x, w, nil, targets, t))
	s.back(logp, a)
	s.back(lse, b)
}

// LogProbsGrad is the device's; raw is Head.Raw.
func (s Slices) LogProbsGrad(grad, logp, lse, x []float32, w kernel.Matrix, raw []float32, targets []int32, t int) {
	g, a, b := s.in(grad), s.in(logp), s.in(lse)
	s.Device.LogProbsGrad(g, a, b, s.head(x, w, raw, targets, t))
	s.back(grad, g)
	s.back(logp, a)
	s.back(lse, b)
}

// LogProbsBackward is the device's; raw is Head.Raw.
func (s Slices) LogProbsBackward(dx, dw, dlogp, lse, x []float32,
	w kernel.Matrix, raw []float32, targets []int32, t int) {
	a, b := s.in(dx), s.in(dw)
	s.Device.LogProbsBackward(a, b, s.in(dlogp), s.in(lse), s.head(x, w, raw, targets, t))
	s.back(dx, a)
	s.back(dw, b)
}

// Sample is the device's.
func (s Slices) Sample(picks []kernel.Pick, x []float32, w kernel.Matrix) {
	s.Device.Sample(picks, s.in(x), w)
}

// AdamW is the device's.
func (s Slices) AdamW(w, m, v, g []float32, n int, a kernel.AdamW) {
	toW, toM, toV := s.in(w), s.in(m), s.in(v)
	s.Device.AdamW(toW, toM, toV, s.in(g), n, a)
	s.back(w, toW)
	s.back(m, toM)
	s.back(v, toV)
}

// SumSquares is the device's, of one slice.
func (s Slices) SumSquares(x []float32) float64 { return s.Device.SumSquares([]kernel.Floats{s.in(x)}) }
