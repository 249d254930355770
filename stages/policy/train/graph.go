package train

import (
	"fmt"
	"math"

	"itool/stages/policy/kernel"
	"itool/stages/policy/loss"
	"itool/stages/policy/model"
	"itool/stages/policy/op"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// graph is the model and its loss as one gorgonia graph with a fixed capacity in tokens. Two programs run
// it: one the forward pass only, the other the backward pass too.
type graph struct {
	rows    op.Rows
	plan    loss.Plan
	context *op.Context
	logp    *op.Array     // (T) log-probability of each row's target, in nats
	params  []G.ValueGrad // in the order of weights.params
	forward *op.Program
	train   *op.Program // forward and backward
}

// defaultActivationBytes is the default of Config.ActivationBytes.
const defaultActivationBytes = 2 << 30

func newGraph(w *weights, cfg Config) (*graph, error) {
	m := w.base
	shape := cfg.shape(m.Config)
	b := &builder{
		w: w, g: G.NewGraph(), nodes: map[string]*G.Node{},
		c: op.NewContext(shape, m.Device, m.On.Cos, m.On.Sin, cfg.kept(shape, len(m.Layers))),
	}
	var all G.Nodes
	for _, p := range w.params {
		b.nodes[p.name] = input(b.g, m.Device, p)
		all = append(all, b.nodes[p.name])
	}
	g := &graph{context: b.c}
	var err error
	if b.batch, g.rows, err = op.NewBatch(b.g, b.c); err != nil {
		return nil, err
	}
	g.plan.Side = make([]int32, cfg.Tokens)
	logp, err := b.logProbs()
	if err != nil {
		return nil, err
	}
	g.logp = op.Value(logp).(*op.Array)
	cost, err := loss.Node("loss", logp, cfg.lossConfig(), &g.plan)
	if err != nil {
		return nil, err
	}
	grads, err := G.Grad(cost, all...)
	if err != nil {
		return nil, err
	}
	if err := op.Distinct(b.g); err != nil {
		return nil, err
	}
	g.params = op.Trained(all, grads)
	if g.forward, err = op.Compile(cost); err != nil {
		return nil, err
	}
	if g.train, err = op.Compile(append(G.Nodes{cost}, grads...)...); err != nil {
		return nil, err
	}
	return g, nil
}

// input makes a node for a parameter. The node's value is the memory of the parameter itself.
func input(g *G.ExprGraph, dev kernel.Device, p param) *G.Node {
	value := op.NewArray(dev, p.data, p.shape...)
	opts := []G.NodeConsOpt{G.WithName(p.name), G.WithShape(p.shape...), G.WithValue(value)}
	if len(p.shape) == 1 {
		return G.NewVector(g, tensor.Float32, opts...)
	}
	return G.NewMatrix(g, tensor.Float32, opts...)
}

// builder adds the operations of a model to a graph.
type builder struct {
	w     *weights
	g     *G.ExprGraph
	c     *op.Context
	batch op.Batch
	nodes map[string]*G.Node // the trained parameters by name
}

// logProbs adds the whole model: token IDs in, log-probabilities of the targets out.
func (b *builder) logProbs() (*G.Node, error) {
	m := b.w.base
	x, tied, err := op.Embed("embed/op", b.c, b.batch,
		op.Table{W: m.On.Embed, Wrapped: m.On.Table, Node: b.nodes["embed"]})
	if err != nil {
		return nil, err
	}
	for i := range m.Layers {
		l, at := &m.On.Layers[i], fmt.Sprintf("layers.%d.", i)
		lin := func(j model.Module) op.Linear { return b.linear(at, i, j) }
		x, err = op.Attention(at+"attention", b.c, i, b.batch, x, op.AttentionParams{
			Norm: op.Vector{W: l.InputNorm, Node: b.nodes[at+"input_norm"]},
			Q:    lin(model.Q), K: lin(model.K), V: lin(model.V), O: lin(model.O),
			NoRope: l.NoRope, Last: i == len(m.Layers)-1,
			QNorm: op.Vector{W: l.QNorm, Node: b.nodes[at+"q_norm"]},
			KNorm: op.Vector{W: l.KNorm, Node: b.nodes[at+"k_norm"]},
		})
		if err != nil {
			return nil, err
		}
		x, err = op.SwiGLU(at+"swiglu", b.c, i, b.batch, x, op.SwiGLUParams{
			Last: i == len(m.Layers)-1,
			Norm: op.Vector{W: l.PostNorm, Node: b.nodes[at+"post_norm"]},
			Gate: lin(model.Gate), Up: lin(model.Up), Down: lin(model.Down),
		})
		if err != nil {
			return nil, err
		}
	}
	head := op.HeadParams{
		Norm: op.Vector{W: m.On.Norm, Node: b.nodes["norm"]}, W: m.Device.Put(m.HeadW), M: m.Head,
		Weight: b.nodes["head"],
	}
	if m.TieEmbeddings {
		head.Weight, head.TiedGrad = b.nodes["embed"], tied
	}
	return op.Head("head/op", b.c, b.batch, x, head)
}

func (b *builder) linear(at string, layer int, j model.Module) op.Linear {
	m := b.w.base
	l := m.Layers[layer].Linears()[j]
	p := op.Linear{N: l.N, K: l.K, Wrapped: l.Wrapped != nil, M: l.M, Weight: b.nodes[at+j.String()],
		Bias: op.Vector{W: m.On.Layers[layer].Linears()[j].Bias, Node: b.nodes[at+j.String()+".bias"]}}
	if p.Weight == nil {
		p.W = m.Device.Put(l.W)
	}
	if a := b.w.adapter; a != nil && a.Layers[layer][j] != nil {
		p.A, p.B, p.Rank, p.Scale = b.nodes[at+j.String()+".A"], b.nodes[at+j.String()+".B"], a.Rank, float32(a.Scale())
	}
	return p
}

// fill writes the units into the batch. They must fit.
func (g *graph) fill(p *Phase, units []int) {
	g.rows.Reset()
	for i := range g.plan.Side {
		g.plan.Side[i] = -1
	}
	g.plan.Units = g.plan.Units[:0]
	for i, u := range units {
		if len(p.Pairs) > 0 {
			q := &p.Pairs[u]
			g.plan.Units = append(g.plan.Units, loss.Unit{RefChosen: q.RefChosen, RefRejected: q.RefRejected})
			at, fork := g.rows.AddPair(q.Prompt, q.Chosen, q.Rejected)
			g.sides(at, fork, int32(2*i))
			g.sides(fork, g.rows.Len(), int32(2*i+1))
		} else {
			e := &p.Examples[u]
			g.plan.Units = append(g.plan.Units, loss.Unit{})
			at := g.rows.Add(e.Prompt, e.Answer)
			for i := range e.Answer {
				if row := at + len(e.Prompt) + i - 1; row >= at && !e.learns(i) {
					g.rows.Targets[row] = -1
				}
			}
			g.sides(at, g.rows.Len(), int32(2*i))
		}
	}
}

// sides marks the rows that have a target, from first up to last, as rows of a side.
func (g *graph) sides(first, last int, side int32) {
	for row := first; row < last; row++ {
		if g.rows.Targets[row] >= 0 {
			g.plan.Side[row] = side
		}
	}
}

// score runs the forward pass and visits the log-probability of every target, with the index of its
// segment. Of examples, that is their index in the batch.
func (g *graph) score(visit func(segment int, logp float64)) error {
	for i := range g.plan.Side { // the loss node runs too, with no rows
		g.plan.Side[i] = -1
	}
	g.plan.Units, g.plan.Denominator = g.plan.Units[:0], 1
	g.context.Gradients = false
	if err := g.forward.Run(); err != nil {
		return err
	}
	logp, segment := op.Numbers(g.logp), 0
	for row, target := range g.rows.Targets[:g.rows.Len()] {
		if int32(row) >= g.rows.Cu[segment+1] {
			segment++
		}
		if target >= 0 {
			visit(segment, float64(logp[row]))
		}
	}
	return nil
}

// learn runs the forward and the backward pass on the batch.
func (g *graph) learn() error {
	g.context.Gradients = true
	return g.train.Run()
}

// gradients collects the gradients of the parameters.
func (g *graph) gradients() (all []kernel.Floats) {
	for _, p := range g.params {
		v, _ := p.Grad() // op.Trained has no errors
		all = append(all, op.Floats(v))
	}
	return all
}

func (g *graph) clearGradients() {
	for _, v := range g.gradients() {
		g.context.Device.Clear(v)
	}
}

func (g *graph) gradientNorm() float64 { return math.Sqrt(g.context.Device.SumSquares(g.gradients())) }
