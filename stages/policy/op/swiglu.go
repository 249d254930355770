package op

import (
	"itool/stages/policy/kernel"
	"itool/stages/policy/layer"

	G "gorgonia.org/gorgonia"
)

// SwiGLUParams are the weights of a SwiGLU block.
type SwiGLUParams struct {
	Norm           Vector
	Gate, Up, Down Linear
	Last           bool // as in AttentionParams
}

type swiglu struct {
	c              *Context
	s              *swigluState
	layer          layer.Layer // the weights of the running pass
	norm           vector
	gate, up, down linear
	y, dx          kernel.Floats // (T, C)

	// Used by the last layer only.
	last    bool
	xq, dyq kernel.Floats // (T, C) of the selected rows
}

// SwiGLU is the MLP block: x + Down(silu(Gate(h)) · Up(h)) with h = RMSNorm(x). layer chooses the memory
// for the activations.
func SwiGLU(name string, c *Context, layer int, b Batch, x *G.Node, p SwiGLUParams) (*G.Node, error) {
	s := inputs{c: c}
	y, dx := c.zeros(c.T, c.C), c.gradient()
	s.fixed(b.node, x)
	s.grads = append(s.grads, Grad{1, dx})
	m := &swiglu{c: c, s: c.work.swiglu[min(layer, len(c.work.swiglu)-1)], y: y.Floats, dx: dx.Floats, last: p.Last}
	m.norm = newVector(p.Norm, &s)
	m.gate, m.up, m.down = newLinear(p.Gate, &s), newLinear(p.Up, &s), newLinear(p.Down, &s)
	if p.Last {
		m.xq, m.dyq = c.Device.Floats(c.T*c.C), c.Device.Floats(c.T*c.C)
	}
	return Apply(Fused{Name: name, Inputs: s.nodes, Out: y, Forward: m.forward, Backward: m.backward, Grads: s.grads})
}

func (m *swiglu) forward(in []G.Value) error {
	b, x, n := m.load(in, true)
	c, dev := m.c, m.c.Device
	m.activate(x, n)
	if !m.last {
		dev.Copy(m.y, x.Slice(0, n*c.C))
		m.down.AddTo(dev, m.y, m.s.Act, m.s.XA[2], n)
		return nil
	}
	m.down.AddTo(dev, x, m.s.Act, m.s.XA[2], n)
	dev.ScatterRows(m.y, x, b.selected.Rows, c.C)
	return nil
}

// activate computes the activations, up to the gated product.
func (m *swiglu) activate(x kernel.Floats, n int) {
	c, s := m.c, m.s
	s.holder = m
	c.Device.RMSNorm(s.h, s.rstd, x, m.norm.w, n, c.C, c.Eps)
	m.layer.Gated(&c.pass, &s.Gates, s.h, n)
}

func (m *swiglu) backward(in []G.Value, grad G.Value) error {
	b, x, n := m.load(in, false)
	c, s, w := m.c, m.s, m.c.work
	dev, dy := c.Device, Floats(grad)
	carry(dev, m.dx, dy, b.n*c.C)
	dx := m.dx
	if m.last { // the other rows have no gradient
		dev.GatherRows(m.dyq, dy, b.selected.Rows, c.C)
		dx, dy = m.dyq, m.dyq
	}
	if s.holder != m { // another layer has used the memory: compute the activations again
		m.activate(x, n)
		m.down.Again(dev, s.Act, s.XA[2], n)
	}
	m.down.backward(dev, w.dact, dy, pass{s.Act, s.XA[2], n}, w.g, false)
	dev.SwiGLUBackward(w.dgate, w.dup, w.dact, s.Gate, s.Up, n*c.F)
	m.gate.backward(dev, w.dh, w.dgate, pass{s.h, s.XA[0], n}, w.g, false)
	m.up.backward(dev, w.dh, w.dup, pass{s.h, s.XA[1], n}, w.g, true)
	dev.RMSNormBackward(dx, m.norm.dw, w.dh, x, m.norm.w, s.rstd, n, c.C)
	if m.last {
		dev.ScatterRows(m.dx, dx, b.selected.Rows, c.C)
	}
	return nil
}

// load takes the values of a run: x are the rows to compute. In the last layer they are a copy of the selected
// rows.
func (m *swiglu) load(in []G.Value, repack bool) (b *packed, x kernel.Floats, n int) {
	l, dev := &m.layer, m.c.Device
	m.norm.load(in)
	l.Gate, l.Up, l.Down = m.gate.load(dev, in, repack), m.up.load(dev, in, repack), m.down.load(dev, in, repack)
	b, x = in[0].(*packed), Floats(in[1])
	if !m.last {
		return b, x, b.n
	}
	dev.GatherRows(m.xq, x, b.selected.Rows, m.c.C)
	return b, m.xq, len(b.selected.Rows.Host)
}
