package op

import (
	"itool/stages/policy/kernel"
	"itool/stages/policy/layer"

	G "gorgonia.org/gorgonia"
)

// AttentionParams are the weights of an attention block.
type AttentionParams struct {
	Norm         Vector
	Q, K, V, O   Linear
	QNorm, KNorm Vector // (D), of each head before the rotation; only with Shape.HeadNorm
	NoRope       bool   // the layer does not rotate q and k
	Last         bool   // the last layer: in the result only the selected rows are valid
}

type attention struct {
	c          *Context
	s          *attentionState
	layer      layer.Layer // the weights of the running pass
	norm       vector
	q, k, v, o linear
	qn, kn     vector
	y, dx      kernel.Floats // (T, C)

	// Used by the last layer only.
	last   bool
	hq, xq kernel.Floats // (T, C) h of the selected rows; their x or a gradient
}

// Attention is the attention block: x + O(attend(rope(Q(h)), rope(K(h)), V(h))) with h = RMSNorm(x). With
// Shape.HeadNorm each head of Q(h) and K(h) is normalised before rope. The heads of Q are multiplied by
// Scales.Query after it. layer chooses the memory for the activations.
func Attention(name string, c *Context, layer int, b Batch, x *G.Node, p AttentionParams) (*G.Node, error) {
	s := inputs{c: c}
	y, dx := c.zeros(c.T, c.C), c.gradient()
	s.fixed(b.node, x)
	s.grads = append(s.grads, Grad{1, dx})
	a := &attention{c: c, s: c.work.attention[min(layer, len(c.work.attention)-1)], y: y.Floats, dx: dx.Floats,
		last: p.Last}
	a.layer.NoRope = p.NoRope
	a.norm = newVector(p.Norm, &s)
	a.q, a.k, a.v, a.o = newLinear(p.Q, &s), newLinear(p.K, &s), newLinear(p.V, &s), newLinear(p.O, &s)
	a.qn, a.kn = newVector(p.QNorm, &s), newVector(p.KNorm, &s)
	if p.Last {
		a.hq, a.xq = c.Device.Floats(c.T*c.C), c.Device.Floats(c.T*c.C)
	}
	return Apply(Fused{Name: name, Inputs: s.nodes, Out: y, Forward: a.forward, Backward: a.backward, Grads: s.grads})
}

func (a *attention) forward(in []G.Value) error {
	b, x := a.load(in, true)
	c, dev := a.c, a.c.Device
	a.activate(b, x)
	if !a.last {
		dev.Copy(a.y, x.Slice(0, b.n*c.C))
		a.o.AddTo(dev, a.y, a.s.Out, a.s.XA[3], b.n)
		return nil
	}
	dev.GatherRows(a.xq, x, b.selected.Rows, c.C)
	a.o.AddTo(dev, a.xq, a.s.Out, a.s.XA[3], len(b.selected.Rows.Host))
	dev.ScatterRows(a.y, a.xq, b.selected.Rows, c.C)
	return nil
}

// activate computes the activations, up to the outputs of the heads.
func (a *attention) activate(b *packed, x kernel.Floats) {
	a.s.holder = a
	a.s.HQ = a.hq
	_, segments, selected := a.queries(b)
	a.layer.Project(&a.c.pass, &a.s.Activations, x, b.positions, selected)
	a.c.Device.Attention(a.s.Attended(), segments, a.c.pass.Heads)
}

// queries are the positions of the rows that have a query, the segments with them, and nil unless they are
// the selected rows.
func (a *attention) queries(b *packed) (kernel.Ints, kernel.Segments, *layer.Selected) {
	if a.last {
		return b.selected.Positions, b.last, &b.selected
	}
	return b.positions, b.segments, nil
}

func (a *attention) backward(in []G.Value, grad G.Value) error {
	b, x := a.load(in, false)
	c, s, w := a.c, a.s, a.c.work
	dev, h, dy := c.Device, c.pass.Heads, Floats(grad)
	positions, segments, _ := a.queries(b)
	rows, dyq := len(positions.Host), dy
	if a.last {
		dyq = a.xq
		dev.GatherRows(dyq, dy, b.selected.Rows, c.C)
	}
	if s.holder != a { // another layer has used the memory: compute the activations again
		a.activate(b, x)
		a.o.Again(dev, s.Out, s.XA[3], rows)
	}
	a.o.backward(dev, w.dout, dyq, pass{s.Out, s.XA[3], rows}, w.g, false)
	dev.AttentionBackward(kernel.AttentionGrad{DQ: w.dq, DK: w.dk, DV: w.dv}, w.dout, s.Attended(), segments, h)
	c.pass.Scale(w.dq.Slice(0, rows*c.H*c.D), c.Scales.Query)
	if !a.layer.NoRope {
		dev.RoPE(w.dq, c.pass.Cos, c.pass.Sin, positions, rows, c.H, c.D, true)
		dev.RoPE(w.dk, c.pass.Cos, c.pass.Sin, b.positions, b.n, c.G, c.D, true)
	}
	dq, dk := w.dq, w.dk
	if c.HeadNorm {
		dq, dk = w.dq0.Slice(0, rows*c.H*c.D), w.dk0.Slice(0, b.n*c.G*c.D)
		dev.Clear(dq)
		dev.Clear(dk)
		dev.RMSNormBackward(dq, a.qn.dw, w.dq, s.Q0, a.qn.w, s.QRSTD, rows*c.H, c.D)
		dev.RMSNormBackward(dk, a.kn.dw, w.dk, s.K0, a.kn.w, s.KRSTD, b.n*c.G, c.D)
	}
	if a.last {
		a.q.backward(dev, a.xq, dq, pass{a.hq, s.XA[0], rows}, w.g, false)
		dev.Clear(w.dh.Slice(0, b.n*c.C))
		dev.ScatterRows(w.dh, a.xq, b.selected.Rows, c.C)
	} else {
		a.q.backward(dev, w.dh, dq, pass{s.H, s.XA[0], b.n}, w.g, false)
	}
	a.k.backward(dev, w.dh, dk, pass{s.H, s.XA[1], b.n}, w.g, true)
	a.v.backward(dev, w.dh, w.dv, pass{s.H, s.XA[2], b.n}, w.g, true)
	carry(dev, a.dx, dy, b.n*c.C)
	dev.RMSNormBackward(a.dx, a.norm.dw, w.dh, x, a.norm.w, s.RSTD, b.n, c.C)
	return nil
}

// load takes the values of a run.
func (a *attention) load(in []G.Value, repack bool) (*packed, kernel.Floats) {
	l, dev := &a.layer, a.c.Device
	l.InputNorm, l.QNorm, l.KNorm = a.norm.load(in), a.qn.load(in), a.kn.load(in)
	l.Q, l.K, l.V = a.q.load(dev, in, repack), a.k.load(dev, in, repack), a.v.load(dev, in, repack)
	l.O = a.o.load(dev, in, repack)
	return in[0].(*packed), Floats(in[1])
}
