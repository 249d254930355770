package op

import (
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
	norm           vector
	gate, up, down linear
	y, dx          []float32 // (T, C)
	rows           int       // of the batch

	// Used by the last layer only.
	targets  int // index of the input; 0: it is not the last
	selected selection
	xq, dyq  []float32 // (T, C) of the selected rows
}

// SwiGLU is the MLP block: x + Down(silu(Gate(h)) · Up(h)) with h = RMSNorm(x). layer chooses the memory
// for the activations.
func SwiGLU(name string, c *Context, layer int, b Batch, x *G.Node, p SwiGLUParams) (*G.Node, error) {
	var s inputs
	y, dx := zeros(c.T, c.C), c.gradient()
	s.fixed(b.Cu, x)
	s.grads = append(s.grads, Grad{1, dx})
	m := &swiglu{c: c, s: c.work.swiglu[min(layer, len(c.work.swiglu)-1)], y: Floats(y), dx: Floats(dx)}
	m.norm = newVector(p.Norm, &s)
	m.gate, m.up, m.down = newLinear(p.Gate, &s), newLinear(p.Up, &s), newLinear(p.Down, &s)
	if p.Last {
		m.targets = len(s.nodes)
		s.fixed(b.Targets)
		m.xq, m.dyq = make([]float32, c.T*c.C), make([]float32, c.T*c.C)
	}
	return Apply(Fused{Name: name, Inputs: s.nodes, Out: y, Forward: m.forward, Backward: m.backward, Grads: s.grads})
}

func (m *swiglu) forward(in []G.Value) error {
	x, n, err := m.load(in, true)
	if err != nil {
		return err
	}
	c := m.c
	m.activate(x, n)
	if m.targets == 0 {
		copy(m.y[:n*c.C], x)
		m.down.addTo(c.Device, m.y, m.s.act, m.s.xa[2], n)
		return nil
	}
	m.down.addTo(c.Device, x, m.s.act, m.s.xa[2], n)
	m.selected.scatter(m.y, x, c.C)
	return nil
}

// activate computes the activations, up to the gated product.
func (m *swiglu) activate(x []float32, n int) {
	c, s := m.c, m.s
	s.holder = m
	c.Device.RMSNorm(s.h, s.rstd, x, m.norm.w, n, c.C, c.Eps)
	c.work.forward(c.Device, s.h, n, linearOut{&m.gate, s.gate, s.xa[0]}, linearOut{&m.up, s.up, s.xa[1]})
	c.Device.SwiGLU(s.act, s.gate, s.up, n*c.F)
}

func (m *swiglu) backward(in []G.Value, grad G.Value) error {
	x, n, err := m.load(in, false)
	if err != nil {
		return err
	}
	c, s, w := m.c, m.s, m.c.work
	dev, dy := c.Device, Floats(grad)
	carry(m.dx[:m.rows*c.C], dy)
	dx := m.dx
	if m.targets != 0 { // the other rows have no gradient
		m.selected.gather(m.dyq, dy, c.C)
		dx, dy = m.dyq, m.dyq
	}
	if s.holder != m { // another layer has used the memory: compute the activations again
		m.activate(x, n)
		if m.down.a != nil {
			dev.Gemm(false, true, n, m.down.Rank, m.down.K, 1, s.act, m.down.a, false, s.xa[2])
		}
	}
	m.down.backward(dev, w.dact, dy, s.act, s.xa[2], w.g, n, false)
	dev.SwiGLUBackward(w.dgate, w.dup, w.dact, s.gate, s.up, n*c.F)
	m.gate.backward(dev, w.dh, w.dgate, s.h, s.xa[0], w.g, n, false)
	m.up.backward(dev, w.dh, w.dup, s.h, s.xa[1], w.g, n, true)
	dev.RMSNormBackward(dx, m.norm.dw, w.dh, x, m.norm.w, s.rstd, n, c.C)
	if m.targets != 0 {
		m.selected.scatter(m.dx, dx, c.C)
	}
	return nil
}

// load returns the rows to compute. In the last layer they are a copy of the selected rows.
func (m *swiglu) load(in []G.Value, repack bool) (x []float32, n int, err error) {
	cu, err := segments(ints(in[0]), m.c.T)
	if err != nil {
		return nil, 0, err
	}
	m.norm.load(in)
	for _, l := range []*linear{&m.gate, &m.up, &m.down} {
		l.load(m.c.Device, in, repack)
	}
	n, x = int(cu[len(cu)-1]), Floats(in[1])
	m.rows = n
	if m.targets != 0 {
		m.selected.find(ints(in[m.targets]), cu)
		n = len(m.selected.rows)
		m.selected.gather(m.xq, x, m.c.C)
		x = m.xq
	}
	return x[:n*m.c.C], n, nil
}
