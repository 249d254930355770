package op

import (
	"cmp"

	"itool/stages/policy/kernel"

	G "gorgonia.org/gorgonia"
)

// Table is the embedding (V, C): a frozen field, or a trained input of the graph.
type Table struct {
	W       kernel.Floats
	Wrapped kernel.Matrix // frozen, read in its own type, instead of W
	Node    *G.Node       // nil = frozen
}

type embed struct {
	c   *Context
	t   Table
	at  int
	dw  kernel.Floats
	out kernel.Floats // (T, C)
}

// Embed looks up the rows of the ids and multiplies them by Scales.Embed: x (T, C). It also returns the
// memory of a trained table's gradient, to which a tied head adds (HeadParams.TiedGrad).
func Embed(name string, c *Context, b Batch, t Table) (x *G.Node, grad kernel.Floats, err error) {
	s := inputs{c: c}
	s.fixed(b.node)
	out := c.zeros(c.T, c.C)
	o := &embed{c: c, t: t, out: out.Floats}
	o.at, o.dw = s.param(t.Node)
	x, err = Apply(Fused{
		Name: name, Inputs: s.nodes, Out: out, Forward: o.forward, Backward: o.backward, Grads: s.grads,
	})
	return x, o.dw, err
}

func (o *embed) forward(in []G.Value) error {
	b, c := in[0].(*packed), o.c
	if o.t.Wrapped != nil {
		c.Device.Embed(o.out, o.t.Wrapped, b.ids)
	} else {
		c.Device.GatherRows(o.out, value(in, o.at, o.t.W), b.ids, c.C)
	}
	c.pass.Scale(o.out.Slice(0, b.n*c.C), c.Scales.Embed)
	return nil
}

func (o *embed) backward(in []G.Value, dy G.Value) error {
	o.c.Device.EmbedBackward(o.dw, Floats(dy), in[0].(*packed).ids, o.c.C, cmp.Or(o.c.Scales.Embed, 1))
	return nil
}
