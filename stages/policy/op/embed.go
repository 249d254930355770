package op

import (
	"cmp"

	"itool/stages/policy/kernel"

	G "gorgonia.org/gorgonia"
)

// Table is the embedding (V, C): a frozen field, or a trained input of the graph.
type Table struct {
	W       []float32
	Wrapped kernel.Weight // frozen, read in its own type, instead of W
	Node    *G.Node       // nil = frozen
}

type embed struct {
	c       *Context
	w       []float32
	wrapped kernel.Weight
	at      int
	dw      []float32
	out     []float32 // (T, C)
}

// Embed looks up the rows of the ids and multiplies them by Scales.Embed: x (T, C). It also returns the
// memory of a trained table's gradient, to which a tied head adds (HeadParams.TiedGrad).
func Embed(name string, c *Context, b Batch, t Table) (x *G.Node, grad []float32, err error) {
	var s inputs
	s.fixed(b.IDs, b.Cu)
	out := zeros(c.T, c.C)
	o := &embed{c: c, w: t.W, wrapped: t.Wrapped, out: Floats(out)}
	o.at, o.dw = s.param(t.Node)
	x, err = Apply(Fused{
		Name: name, Inputs: s.nodes, Out: out, Forward: o.forward, Backward: o.backward, Grads: s.grads,
	})
	return x, o.dw, err
}

func (o *embed) forward(in []G.Value) error {
	ids, err := o.rows(in)
	if err != nil {
		return err
	}
	w, c := value(in, o.at, o.w), o.c.C
	for t, id := range ids {
		if row := o.out[t*c : (t+1)*c]; o.wrapped != nil {
			o.wrapped.Rows(row, int(id), int(id)+1)
		} else {
			copy(row, w[int(id)*c:])
		}
	}
	scale(o.out[:len(ids)*c], o.c.Scales.Embed)
	return nil
}

// backward adds the rows in token order, in one goroutine: the sum must not depend on the number of threads.
func (o *embed) backward(in []G.Value, dy G.Value) error {
	ids, err := o.rows(in)
	if err != nil {
		return err
	}
	c, g, by := o.c.C, Floats(dy), cmp.Or(o.c.Scales.Embed, 1)
	for t, id := range ids {
		dw := o.dw[int(id)*c : (int(id)+1)*c]
		for i, v := range g[t*c : (t+1)*c] {
			dw[i] += by * v
		}
	}
	return nil
}

func (o *embed) rows(in []G.Value) ([]int32, error) {
	cu, err := segments(ints(in[1]), o.c.T)
	if err != nil {
		return nil, err
	}
	ids := ints(in[0])[:cu[len(cu)-1]]
	return ids, within("token id", ids, 0, o.c.V)
}
