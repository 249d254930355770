package op

import (
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
	norm       vector
	q, k, v, o linear
	qn, kn     vector
	noRope     bool
	y, dx      []float32 // (T, C)

	// Used by the last layer only.
	targets  int // index of the input; 0: it is not the last
	selected selection
	queryPos []int32   // positions of the selected rows
	hq, xq   []float32 // (T, C) h of the selected rows; their x or a gradient
}

// Attention is the attention block: x + O(attend(rope(Q(h)), rope(K(h)), V(h))) with h = RMSNorm(x). With
// Shape.HeadNorm each head of Q(h) and K(h) is normalised before rope. The heads of Q are multiplied by
// Scales.Query after it. layer chooses the memory for the activations.
func Attention(name string, c *Context, layer int, b Batch, x *G.Node, p AttentionParams) (*G.Node, error) {
	var s inputs
	y, dx := zeros(c.T, c.C), c.gradient()
	s.fixed(b.Positions, b.Cu, b.Mask, x)
	s.grads = append(s.grads, Grad{3, dx})
	a := &attention{c: c, s: c.work.attention[min(layer, len(c.work.attention)-1)], y: Floats(y), dx: Floats(dx)}
	a.noRope = p.NoRope
	a.norm = newVector(p.Norm, &s)
	a.q, a.k, a.v, a.o = newLinear(p.Q, &s), newLinear(p.K, &s), newLinear(p.V, &s), newLinear(p.O, &s)
	a.qn, a.kn = newVector(p.QNorm, &s), newVector(p.KNorm, &s)
	if p.Last {
		a.targets = len(s.nodes)
		s.fixed(b.Targets)
		a.hq, a.xq = make([]float32, c.T*c.C), make([]float32, c.T*c.C)
	}
	return Apply(Fused{Name: name, Inputs: s.nodes, Out: y, Forward: a.forward, Backward: a.backward, Grads: s.grads})
}

func (a *attention) forward(in []G.Value) error {
	r, x, err := a.load(in, true)
	if err != nil {
		return err
	}
	c, n := a.c, len(r.Positions)
	a.activate(r, x)
	if a.targets == 0 {
		copy(a.y[:n*c.C], x)
		a.o.addTo(c.Device, a.y, a.s.out, a.s.xa[3], n)
		return nil
	}
	a.selected.gather(a.xq, x, c.C)
	a.o.addTo(c.Device, a.xq, a.s.out, a.s.xa[3], len(a.selected.rows))
	a.selected.scatter(a.y, a.xq, c.C)
	return nil
}

// activate computes the activations, up to the outputs of the heads.
func (a *attention) activate(r Rows, x []float32) {
	c, s, pos := a.c, a.s, r.Positions
	n := len(pos)
	dev := c.Device
	s.holder = a
	dev.RMSNorm(s.h, s.rstd, x, a.norm.w, n, c.C, c.Eps)
	q, k := s.q, s.k
	if c.HeadNorm {
		q, k = s.q0, s.k0
	}
	queryPos, first := a.queries(pos)
	rows := len(queryPos)
	if a.targets == 0 {
		c.work.forward(dev, s.h, n,
			linearOut{&a.q, q, s.xa[0]}, linearOut{&a.k, k, s.xa[1]}, linearOut{&a.v, s.v, s.xa[2]})
	} else {
		a.selected.gather(a.hq, s.h, c.C)
		c.work.forward(dev, a.hq, rows, linearOut{&a.q, q, s.xa[0]})
		c.work.forward(dev, s.h, n, linearOut{&a.k, k, s.xa[1]}, linearOut{&a.v, s.v, s.xa[2]})
	}
	if c.HeadNorm {
		dev.RMSNorm(s.q, s.qrstd, q, a.qn.w, rows*c.H, c.D, c.Eps)
		dev.RMSNorm(s.k, s.krstd, k, a.kn.w, n*c.G, c.D, c.Eps)
	}
	if !a.noRope {
		dev.RoPE(s.q, c.Cos, c.Sin, queryPos, rows, c.H, c.D, false)
		dev.RoPE(s.k, c.Cos, c.Sin, pos, n, c.G, c.D, false)
	}
	scale(s.q[:rows*c.H*c.D], c.Scales.Query)
	dev.Attention(s.out, s.lse, s.q, s.k, s.v, r.Cu, r.Mask, first, c.H, c.G, c.D)
}

// queries returns the positions of the rows that have a query, and the first of them in each segment, as
// kernel.Device.Attention wants it. pos are the positions of all rows.
func (a *attention) queries(pos []int32) (queryPos, first []int32) {
	if a.targets == 0 {
		return pos, nil
	}
	return a.queryPos, a.selected.first
}

func (a *attention) backward(in []G.Value, grad G.Value) error {
	r, x, err := a.load(in, false)
	if err != nil {
		return err
	}
	c, s, w, pos := a.c, a.s, a.c.work, r.Positions
	n := len(pos)
	dev, dy := c.Device, Floats(grad)
	queryPos, first := a.queries(pos)
	rows, dyq := len(queryPos), dy
	if a.targets != 0 {
		dyq = a.xq
		a.selected.gather(dyq, dy, c.C)
	}
	if s.holder != a { // another layer has used the memory: compute the activations again
		a.activate(r, x)
		if a.o.a != nil {
			dev.Gemm(false, true, rows, a.o.Rank, a.o.K, 1, s.out, a.o.a, false, s.xa[3])
		}
	}
	a.o.backward(dev, w.dout, dyq, s.out, s.xa[3], w.g, rows, false)
	dev.AttentionBackward(w.dq, w.dk, w.dv, w.dout, s.out, s.lse, s.q, s.k, s.v, r.Cu, r.Mask, first, c.H, c.G, c.D)
	scale(w.dq[:rows*c.H*c.D], c.Scales.Query)
	if !a.noRope {
		dev.RoPE(w.dq, c.Cos, c.Sin, queryPos, rows, c.H, c.D, true)
		dev.RoPE(w.dk, c.Cos, c.Sin, pos, n, c.G, c.D, true)
	}
	dq, dk := w.dq, w.dk
	if c.HeadNorm {
		dq, dk = w.dq0[:rows*c.H*c.D], w.dk0[:n*c.G*c.D]
		clear(dq)
		clear(dk)
		dev.RMSNormBackward(dq, a.qn.dw, w.dq, s.q0, a.qn.w, s.qrstd, rows*c.H, c.D)
		dev.RMSNormBackward(dk, a.kn.dw, w.dk, s.k0, a.kn.w, s.krstd, n*c.G, c.D)
	}
	if a.targets == 0 {
		a.q.backward(dev, w.dh, dq, s.h, s.xa[0], w.g, n, false)
	} else {
		a.q.backward(dev, a.xq, dq, a.hq, s.xa[0], w.g, rows, false)
		clear(w.dh[:n*c.C])
		a.selected.scatter(w.dh, a.xq, c.C)
	}
	a.k.backward(dev, w.dh, dk, s.h, s.xa[1], w.g, n, true)
	a.v.backward(dev, w.dh, w.dv, s.h, s.xa[2], w.g, n, true)
	carry(a.dx[:n*c.C], dy)
	dev.RMSNormBackward(a.dx, a.norm.dw, w.dh, x, a.norm.w, s.rstd, n, c.C)
	return nil
}

// load reads and checks the inputs of a run: of r the positions, the segments and their masks.
func (a *attention) load(in []G.Value, repack bool) (r Rows, x []float32, err error) {
	if r.Cu, err = segments(ints(in[1]), a.c.T); err != nil {
		return r, nil, err
	}
	r.Positions, r.Mask = ints(in[0])[:r.Cu[len(r.Cu)-1]], ints(in[2])[:2*len(r.Cu)-2]
	if err := within("position", r.Positions, 0, len(a.c.Cos)/(a.c.D/2)); err != nil {
		return r, nil, err
	}
	if err := checkMask(r.Mask, r.Cu); err != nil {
		return r, nil, err
	}
	for _, v := range []*vector{&a.norm, &a.qn, &a.kn} {
		v.load(in)
	}
	for _, l := range []*linear{&a.q, &a.k, &a.v, &a.o} {
		l.load(a.c.Device, in, repack)
	}
	if a.targets != 0 {
		a.selected.find(ints(in[a.targets]), r.Cu)
		a.queryPos = a.queryPos[:0]
		for _, row := range a.selected.rows {
			a.queryPos = append(a.queryPos, r.Positions[row])
		}
	}
	return r, Floats(in[3])[:len(r.Positions)*a.c.C], nil
}
