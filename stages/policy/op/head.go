package op

import (
	"errors"

	"itool/stages/policy/kernel"

	G "gorgonia.org/gorgonia"
)

// HeadParams are the weights of the head.
type HeadParams struct {
	Norm Vector
	W    kernel.Floats // (V, C) frozen; not read when Weight is set, or when M wraps a weight
	M    kernel.Matrix // W packed; with Weight: overwritten by every forward pass

	// Weight is the trained head (V, C). If it is tied, so that it is the embedding's node, then TiedGrad is
	// the gradient that Embed has returned. Both operations add to it, and gorgonia sees one gradient.
	Weight   *G.Node
	TiedGrad kernel.Floats
}

type head struct {
	c    *Context
	p    HeadParams
	norm vector
	w    kernel.Floats
	at   int
	dw   kernel.Floats

	// Only the rows with a target are computed; these have only those rows.
	x, h    kernel.Floats // (rows, C)
	rstd    kernel.Floats // (rows)
	dense   kernel.Floats // (rows) log-probabilities, then their gradient
	lse     kernel.Floats // (rows)
	dh, dxr kernel.Floats // (rows, C); with a frozen head, dh is first the gradient of each log-probability

	logp, dx kernel.Floats // (T), (T, C)
}

// Head is the final norm, times Scales.Head, the head and the log-softmax in one operation: the
// log-probability of each row's target in nats (T), and 0 for a row without a target. The (T, V) logits are
// never in memory as a whole.
func Head(name string, c *Context, b Batch, x *G.Node, p HeadParams) (*G.Node, error) {
	s := inputs{c: c}
	logp, dx := c.zeros(c.T), c.gradient()
	s.fixed(b.node, x)
	s.grads = append(s.grads, Grad{1, dx})
	o := &head{c: c, p: p, w: p.W, logp: logp.Floats, dx: dx.Floats}
	o.norm = newVector(p.Norm, &s)
	if p.TiedGrad.None() {
		o.at, o.dw = s.param(p.Weight)
	} else {
		o.at, o.dw = len(s.nodes), p.TiedGrad
		s.fixed(p.Weight)
	}
	make := func(n int) kernel.Floats { return c.Device.Floats(c.T * n) }
	o.x, o.h, o.dh, o.dxr = make(c.C), make(c.C), make(c.C), make(c.C)
	o.rstd, o.dense, o.lse = make(1), make(1), make(1)
	return Apply(Fused{
		Name: name, Inputs: s.nodes, Out: logp, Forward: o.forward, Backward: o.backward, Grads: s.grads,
	})
}

func (o *head) forward(in []G.Value) error {
	b := o.load(in)
	c, dev, n := o.c, o.c.Device, len(b.targets.Host)
	if o.p.Weight != nil {
		dev.Repack(o.p.M, o.w)
	}
	dev.GatherRows(o.x, Floats(in[1]), b.targetRows, c.C)
	dev.Clear(o.logp)
	if n == 0 {
		return nil
	}
	dev.RMSNorm(o.h, o.rstd, o.x, o.norm.w, n, c.C, c.Eps)
	c.pass.Scale(o.h.Slice(0, n*c.C), c.Scales.Head)
	if o.dw.None() && c.Gradients {
		dev.LogProbsGrad(o.dh, o.dense, o.lse, o.rows(b))
	} else {
		dev.LogProbs(o.dense, o.lse, o.rows(b))
	}
	dev.ScatterRows(o.logp, o.dense, b.targetRows, 1)
	return nil
}

// rows are the rows with a target, as they meet the head.
func (o *head) rows(b *packed) kernel.Head {
	return kernel.Head{X: o.h, W: o.p.M, Raw: o.w, Targets: b.targets, T: len(b.targets.Host)}
}

// backward uses the buffers as forward has left them: no other operation runs between the two.
func (o *head) backward(in []G.Value, grad G.Value) error {
	b := in[0].(*packed)
	c, dev, n := o.c, o.c.Device, len(b.targets.Host)
	dev.Clear(o.dx)
	if n == 0 {
		return nil
	}
	dev.GatherRows(o.dense, Floats(grad), b.targetRows, 1)
	switch {
	case !o.dw.None():
		dev.Clear(o.dh.Slice(0, n*c.C))
		dev.LogProbsBackward(o.dh, o.dw, o.dense, o.lse, o.rows(b))
	case !c.Gradients:
		return errors.New("the forward pass ran without Context.Gradients")
	default:
		dev.ScaleRows(o.dh, o.dense, n, c.C)
	}
	c.pass.Scale(o.dh.Slice(0, n*c.C), c.Scales.Head)
	dev.Clear(o.dxr.Slice(0, n*c.C))
	dev.RMSNormBackward(o.dxr, o.norm.dw, o.dh, o.x, o.norm.w, o.rstd, n, c.C)
	dev.ScatterRows(o.dx, o.dxr, b.targetRows, c.C)
	return nil
}

func (o *head) load(in []G.Value) *packed {
	o.norm.load(in)
	o.w = value(in, o.at, o.w)
	return in[0].(*packed)
}
