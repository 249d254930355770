// Package layer computes what inference and training share in a transformer's layer: linear layers with
// LoRA, the queries, keys and values of attention, and the gated product of the MLP. Its weights and
// activations are in the memory of a device. It knows no checkpoint, no cache and no gradient.
//
//	l.Project(pass, activations, x, positions, nil) // a.Q, a.K, a.V
//	dev.Attention(…)                                // a.Out
//	l.O.AddTo(dev, x, a.Out, a.XA[3], t)            // x += O(a.Out)
//	l.Gated(pass, mlp, h, t)                        // mlp.Act
//	l.Down.AddTo(dev, x, mlp.Act, mlp.XA[2], t)
//
// Shape letters are those of package kernel; C is the width of the residual stream, F that of the MLP.
package layer

import "itool/stages/policy/kernel"

// Linear is y = x·Wᵀ + Bias + Scale·(x·Aᵀ)·Bᵀ.
type Linear struct {
	M     kernel.Matrix // W (N, K)
	N, K  int
	Bias  kernel.Floats // (N), or none
	A, B  kernel.Floats // (R, K), (N, R) of an adapter; none without
	Rank  int           // R
	Scale float32
}

// Out is a linear layer, Y (T, N), where its result goes, and XA (T, R), which gets x·Aᵀ if the layer has an
// adapter.
type Out struct {
	Of    *Linear
	Y, XA kernel.Floats
}

// Layer has the weights of one layer.
type Layer struct {
	InputNorm, PostNorm kernel.Floats // (C), before attention and before the MLP
	QNorm, KNorm        kernel.Floats // (D), of each head before the rotation; none in most models
	Q, K, V, O          Linear        // (H·D, C), (G·D, C) twice, (C, H·D)
	Gate, Up, Down      Linear        // (F, C) twice, (C, F)
	NoRope              bool          // q and k are not rotated
}

// Linears lists the linear layers: Q, K, V, O, Gate, Up, Down.
func (l *Layer) Linears() [7]*Linear {
	return [7]*Linear{&l.Q, &l.K, &l.V, &l.O, &l.Gate, &l.Up, &l.Down}
}

// Pass is what all layers of a pass share. It reuses its memory; only one goroutine may use it at a time.
type Pass struct {
	Device     kernel.Device
	C          int
	Heads      kernel.Heads
	Eps        float32       // of RMSNorm
	QueryScale float32       // of q after the rotation
	Cos, Sin   kernel.Floats // (positions, D/2)

	outs []kernel.Out
}

// Activations are those of one attention block for T rows. Q and Out have a row for each query.
type Activations struct {
	H, RSTD      kernel.Floats // (T, C), (T): the normed input, and what RMSNorm has divided by
	Q, Out       kernel.Floats // (T, H, D)
	K, V         kernel.Floats // (T, G, D)
	LSE          kernel.Floats // (T, H)
	XA           [4]kernel.Floats
	HQ           kernel.Floats // (T, C): H of the selected rows; only where rows are selected
	Q0, K0       kernel.Floats // as Q and K, before the norm of the heads; only with that
	QRSTD, KRSTD kernel.Floats // (T, H), (T, G)
}

// Attended are the arguments of attention.
func (a *Activations) Attended() kernel.Attended {
	return kernel.Attended{Out: a.Out, LSE: a.LSE, Q: a.Q, KV: kernel.KV{K: a.K, V: a.V}}
}

// Selected are rows of a pass, in ascending order: the last layer computes queries for no others.
type Selected struct{ Rows, Positions kernel.Ints }

// Project computes q, k and v of x (T, C), ready for attention. selected, unless it is nil, are the rows that
// get a query.
func (l *Layer) Project(p *Pass, a *Activations, x kernel.Floats, positions kernel.Ints, selected *Selected) {
	dev, t := p.Device, len(positions.Host)
	dev.RMSNorm(a.H, a.RSTD, x, l.InputNorm, t, p.C, p.Eps)
	q, k := a.Q, a.K
	if !l.QNorm.None() {
		q, k = a.Q0, a.K0
	}
	queryPositions := positions
	if selected == nil {
		p.Linears(a.H, t, Out{&l.Q, q, a.XA[0]}, Out{&l.K, k, a.XA[1]}, Out{&l.V, a.V, a.XA[2]})
	} else {
		queryPositions = selected.Positions
		dev.GatherRows(a.HQ, a.H, selected.Rows, p.C)
		p.Linears(a.HQ, len(queryPositions.Host), Out{&l.Q, q, a.XA[0]})
		p.Linears(a.H, t, Out{&l.K, k, a.XA[1]}, Out{&l.V, a.V, a.XA[2]})
	}
	h, queries := p.Heads, len(queryPositions.Host)
	if !l.QNorm.None() {
		dev.RMSNorm(a.Q, a.QRSTD, q, l.QNorm, queries*h.H, h.D, p.Eps)
		dev.RMSNorm(a.K, a.KRSTD, k, l.KNorm, t*h.G, h.D, p.Eps)
	}
	if !l.NoRope {
		dev.RoPE(a.Q, p.Cos, p.Sin, queryPositions, queries, h.H, h.D, false)
		dev.RoPE(a.K, p.Cos, p.Sin, positions, t, h.G, h.D, false)
	}
	p.Scale(a.Q.Slice(0, queries*h.H*h.D), p.QueryScale)
}

// Gates are the activations of one MLP for T rows: all (T, F).
type Gates struct {
	Gate, Up, Act kernel.Floats
	XA            [3]kernel.Floats
}

// Gated computes silu(gate(h)) · up(h) of h (T, C), the normed input.
func (l *Layer) Gated(p *Pass, g *Gates, h kernel.Floats, t int) {
	p.Linears(h, t, Out{&l.Gate, g.Gate, g.XA[0]}, Out{&l.Up, g.Up, g.XA[1]})
	p.Device.SwiGLU(g.Act, g.Gate, g.Up, t*l.Gate.N)
}

// Linears computes several linear layers of one x (T, K).
func (p *Pass) Linears(x kernel.Floats, t int, outs ...Out) {
	p.outs = p.outs[:0]
	for _, o := range outs {
		p.outs = append(p.outs, kernel.Out{Y: o.Y, W: o.Of.M, Bias: o.Of.Bias})
	}
	p.Device.MatMuls(p.outs, x, t)
	for _, o := range outs {
		o.Of.adapt(p.Device, o.Y, x, o.XA, t)
	}
}

// Scale multiplies x by a factor, of which 0 stands for 1.
func (p *Pass) Scale(x kernel.Floats, by float32) {
	if by != 0 && by != 1 {
		p.Device.Scale(x, by)
	}
}

// AddTo adds the linear layer of x (T, K), which has no bias, to y (T, N). xa (T, R) gets x·Aᵀ.
func (l *Linear) AddTo(dev kernel.Device, y, x, xa kernel.Floats, t int) {
	dev.MatMul(y, x, l.M, t, true)
	l.adapt(dev, y, x, xa, t)
}

// adapt adds the adapter's part to y (T, N).
func (l *Linear) adapt(dev kernel.Device, y, x, xa kernel.Floats, t int) {
	if !l.A.None() {
		dev.Gemm(false, true, t, l.Rank, l.K, 1, x, l.A, false, xa)
		dev.Gemm(false, true, t, l.N, l.Rank, l.Scale, xa, l.B, true, y)
	}
}

// Again computes x·Aᵀ once more, after another layer has used the memory.
func (l *Linear) Again(dev kernel.Device, x, xa kernel.Floats, t int) {
	if !l.A.None() {
		dev.Gemm(false, true, t, l.Rank, l.K, 1, x, l.A, false, xa)
	}
}
