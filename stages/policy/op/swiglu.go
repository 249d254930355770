package op

import (
	G "gorgonia.org/gorgonia"
)

// SwiGLUParams are the weights of a SwiGLU block.
type SwiGLUParams struct {
	Norm           Vector
	Gate, Up, Down Linear
}

type swiglu struct {
	c              *Context
	s              *swigluState
	norm           vector
	gate, up, down linear
	y, dx          []float32 // (T, C)
}

// SwiGLU is x + Down(silu(Gate(h)) · Up(h)) with h = RMSNorm(x); layer chooses the
// memory for its activations.
func SwiGLU(name string, c *Context, layer int, b Batch, x *G.Node, p SwiGLUParams) (*G.Node, error) {
	var s inputs
	y, dx := zeros(c.T, c.C), c.gradient()
	s.fixed(b.Cu, x)
	s.grads = append(s.grads, Grad{1, dx})
	m := &swiglu{c: c, s: c.work.swiglu[min(layer, len(c.work.swiglu)-1)], y: floats(y), dx: floats(dx)}
	m.norm = newVector(p.Norm, &s)
	m.gate, m.up, m.down = newLinear(p.Gate, &s), newLinear(p.Up, &s), newLinear(p.Down, &s)
	return Apply(Fused{Name: name, Inputs: s.nodes, Out: y, Forward: m.forward, Backward: m.backward, Grads: s.grads})
}

func (m *swiglu) forward(in []G.Value) error {
	x, n, err := m.load(in, true)
	if err != nil {
		return err
	}
	m.activate(x, n)
	copy(m.y[:n*m.c.C], x)
	m.down.addTo(m.c.Device, m.y, m.s.act, m.s.xa[2], n)
	return nil
}

// activate computes everything up to the gated product into the state.
func (m *swiglu) activate(x []float32, n int) {
	c, s := m.c, m.s
	s.holder = m
	c.Device.RMSNorm(s.h, s.rstd, x, m.norm.w, n, c.C, c.Eps)
	c.work.forward(c.Device, s.h, n, image{&m.gate, s.gate, s.xa[0]}, image{&m.up, s.up, s.xa[1]})
	c.Device.SwiGLU(s.act, s.gate, s.up, n*c.F)
}

func (m *swiglu) backward(in []G.Value, grad G.Value) error {
	x, n, err := m.load(in, false)
	if err != nil {
		return err
	}
	c, s, w := m.c, m.s, m.c.work
	dev, dy := c.Device, floats(grad)
	if s.holder != m { // another layer has used the memory since
		m.activate(x, n)
		if m.down.a != nil {
			dev.Gemm(false, true, n, m.down.Rank, m.down.K, 1, s.act, m.down.a, false, s.xa[2])
		}
	}
	m.down.backward(dev, w.dact, dy, s.act, s.xa[2], w.g, n, false)
	dev.SwiGLUBackward(w.dgate, w.dup, w.dact, s.gate, s.up, n*c.F)
	m.gate.backward(dev, w.dh, w.dgate, s.h, s.xa[0], w.g, n, false)
	m.up.backward(dev, w.dh, w.dup, s.h, s.xa[1], w.g, n, true)
	carry(m.dx[:n*c.C], dy)
	dev.RMSNormBackward(m.dx, m.norm.dw, w.dh, x, m.norm.w, s.rstd, n, c.C)
	return nil
}

func (m *swiglu) load(in []G.Value, repack bool) (x []float32, n int, err error) {
	cu, err := segments(ints(in[0]), m.c.T)
	if err != nil {
		return nil, 0, err
	}
	m.norm.load(in)
	for _, l := range []*linear{&m.gate, &m.up, &m.down} {
		l.load(m.c.Device, in, repack)
	}
	n = int(cu[len(cu)-1])
	return floats(in[1])[:n*m.c.C], n, nil
}
