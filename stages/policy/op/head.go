package op

import (
	"errors"

	"itool/stages/policy/kernel"

	G "gorgonia.org/gorgonia"
)

// HeadParams are the weights of the head.
type HeadParams struct {
	Norm Vector
	W    []float32     // (V, C) frozen; not read when Weight is set, or when M wraps a weight
	M    kernel.Matrix // W packed; with Weight: overwritten by every forward pass

	// Weight is the trained head (V, C). If it is tied, so that it is the embedding's node, then TiedGrad is
	// the gradient that Embed has returned. Both operations add to it, and gorgonia sees one gradient.
	Weight   *G.Node
	TiedGrad []float32
}

type head struct {
	c    *Context
	p    HeadParams
	norm vector
	w    []float32
	at   int
	dw   []float32

	// Only the rows with a target are computed. rows lists them; the other slices have only these rows.
	rows    []int32
	targets []int32
	x, h    []float32 // (rows, C)
	rstd    []float32 // (rows)
	dense   []float32 // (rows) log-probabilities, then their gradient
	lse     []float32 // (rows)
	dh, dxr []float32 // (rows, C); with a frozen head, dh is first the gradient of each log-probability

	logp, dx []float32 // (T), (T, C)
}

// Head is the final norm, times Scales.Head, the head and the log-softmax in one operation: the
// log-probability of each row's target in nats (T), and 0 for a row without a target. The (T, V) logits are
// never in memory as a whole.
func Head(name string, c *Context, b Batch, x *G.Node, p HeadParams) (*G.Node, error) {
	var s inputs
	logp, dx := zeros(c.T), c.gradient()
	s.fixed(b.Targets, b.Cu, x)
	s.grads = append(s.grads, Grad{2, dx})
	o := &head{c: c, p: p, w: p.W, logp: Floats(logp), dx: Floats(dx)}
	o.norm = newVector(p.Norm, &s)
	switch {
	case p.TiedGrad != nil:
		o.at, o.dw = len(s.nodes), p.TiedGrad
		s.fixed(p.Weight)
	default:
		o.at, o.dw = s.param(p.Weight)
	}
	make := func(n int) []float32 { return make([]float32, c.T*n) }
	o.x, o.h, o.dh, o.dxr = make(c.C), make(c.C), make(c.C), make(c.C)
	o.rstd, o.dense, o.lse = make(1), make(1), make(1)
	return Apply(Fused{
		Name: name, Inputs: s.nodes, Out: logp, Forward: o.forward, Backward: o.backward, Grads: s.grads,
	})
}

func (o *head) forward(in []G.Value) error {
	x, err := o.load(in)
	if err != nil {
		return err
	}
	c, n := o.c, len(o.rows)
	if o.p.Weight != nil {
		c.Device.Repack(o.p.M, o.w)
	}
	for i, r := range o.rows {
		copy(o.x[i*c.C:(i+1)*c.C], x[int(r)*c.C:])
	}
	clear(o.logp)
	if n == 0 {
		return nil
	}
	c.Device.RMSNorm(o.h, o.rstd, o.x, o.norm.w, n, c.C, c.Eps)
	scale(o.h[:n*c.C], c.Scales.Head)
	if o.dw == nil && c.Gradients {
		c.Device.LogProbsGrad(o.dh, o.dense, o.lse, o.h, o.p.M, o.w, o.targets, n)
	} else {
		c.Device.LogProbs(o.dense, o.lse, o.h, o.p.M, o.targets, n)
	}
	for i, r := range o.rows {
		o.logp[r] = o.dense[i]
	}
	return nil
}

// backward uses the buffers as forward has left them: no other operation runs between the two.
func (o *head) backward(in []G.Value, grad G.Value) error {
	c, n, dlogp := o.c, len(o.rows), Floats(grad)
	clear(o.dx)
	if n == 0 {
		return nil
	}
	if o.dw == nil {
		if !c.Gradients {
			return errors.New("the forward pass ran without Context.Gradients")
		}
		for i, r := range o.rows {
			for j := range c.C {
				o.dh[i*c.C+j] *= dlogp[r]
			}
		}
	} else {
		for i, r := range o.rows {
			o.dense[i] = dlogp[r]
		}
		clear(o.dh[:n*c.C])
		c.Device.LogProbsBackward(o.dh, o.dw, o.dense, o.lse, o.h, o.p.M, o.w, o.targets, n)
	}
	scale(o.dh[:n*c.C], c.Scales.Head)
	clear(o.dxr[:n*c.C])
	c.Device.RMSNormBackward(o.dxr, o.norm.dw, o.dh, o.x, o.norm.w, o.rstd, n, c.C)
	for i, r := range o.rows {
		copy(o.dx[int(r)*c.C:(int(r)+1)*c.C], o.dxr[i*c.C:])
	}
	return nil
}

// load lists the rows that have a target.
func (o *head) load(in []G.Value) (x []float32, err error) {
	cu, err := segments(ints(in[1]), o.c.T)
	if err != nil {
		return nil, err
	}
	targets := ints(in[0])[:cu[len(cu)-1]]
	if err := within("target", targets, -1, o.c.V); err != nil {
		return nil, err
	}
	o.rows, o.targets = o.rows[:0], o.targets[:0]
	for r, id := range targets {
		if id >= 0 {
			o.rows, o.targets = append(o.rows, int32(r)), append(o.targets, id)
		}
	}
	o.norm.load(in)
	o.w = value(in, o.at, o.w)
	return Floats(in[2]), nil
}
