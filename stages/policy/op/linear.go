package op

import (
	"itool/stages/policy/kernel"
	"itool/stages/policy/layer"

	G "gorgonia.org/gorgonia"
)

// Linear has the parameters of a linear layer with LoRA: y = x·Wᵀ + Bias + Scale·(x·Aᵀ)·Bᵀ. A frozen weight
// is a field. A trained weight, A and B are inputs of the graph.
type Linear struct {
	N, K    int
	W       kernel.Floats // (N, K) frozen weight; not read when Weight or Wrapped is set
	Wrapped bool          // M is a frozen weight in its own type
	M       kernel.Matrix // W packed or wrapped; with Weight: overwritten by every forward pass
	Weight  *G.Node       // (N, K) trained weight; nil = frozen
	Bias    Vector        // (N); none if neither W nor Node is set
	A, B    *G.Node       // (R, K), (N, R); nil = no LoRA
	Rank    int
	Scale   float32
}

// Vector is the weight of an RMSNorm (C or D), or a bias (N).
type Vector struct {
	W    kernel.Floats // frozen
	Node *G.Node       // trained; nil = frozen
}

// inputs collects an operation's inputs and the gradients of the trained ones.
type inputs struct {
	c     *Context
	nodes G.Nodes
	grads []Grad
}

// fixed adds an input without a gradient.
func (s *inputs) fixed(nodes ...*G.Node) { s.nodes = append(s.nodes, nodes...) }

// param adds a trained input and returns its index and its gradient; nil adds nothing.
func (s *inputs) param(n *G.Node) (at int, grad kernel.Floats) {
	if n == nil {
		return -1, kernel.Floats{}
	}
	at, value := len(s.nodes), s.c.zeros(n.Shape()...)
	s.nodes, s.grads = append(s.nodes, n), append(s.grads, Grad{at, value})
	return at, value.Floats
}

// value is the value of an input in this run, or the frozen value.
func value(in []G.Value, at int, frozen kernel.Floats) kernel.Floats {
	if at < 0 {
		return frozen
	}
	return Floats(in[at])
}

// vector is a Vector inside an operation.
type vector struct {
	w  kernel.Floats // none: there is no such vector
	at int
	dw kernel.Floats // none: frozen
}

func newVector(v Vector, s *inputs) vector {
	at, dw := s.param(v.Node)
	return vector{w: v.W, at: at, dw: dw}
}

func (v *vector) load(in []G.Value) kernel.Floats {
	v.w = value(in, v.at, v.w)
	return v.w
}

// linear is a Linear inside an operation, with the values of the running pass.
type linear struct {
	layer.Linear
	wrapped, trained bool
	wAt, aAt, bAt    int
	dW, dA, dB       kernel.Floats // added to; none: not trained
	w                kernel.Floats
	bias             vector
}

func newLinear(p Linear, s *inputs) linear {
	l := linear{Linear: layer.Linear{M: p.M, N: p.N, K: p.K, Rank: p.Rank, Scale: p.Scale}, w: p.W,
		wrapped: p.Wrapped, trained: p.Weight != nil}
	l.wAt, l.dW = s.param(p.Weight)
	l.bias = newVector(p.Bias, s)
	l.aAt, l.dA = s.param(p.A)
	l.bAt, l.dB = s.param(p.B)
	return l
}

// load takes the values of this run. If repack is set, a trained weight is packed again: training then
// multiplies with the same kernel as inference, and gets the same bits.
func (l *linear) load(dev kernel.Device, in []G.Value, repack bool) layer.Linear {
	l.w, l.A, l.B = value(in, l.wAt, l.w), value(in, l.aAt, kernel.Floats{}), value(in, l.bAt, kernel.Floats{})
	l.Bias = l.bias.load(in)
	if repack && l.trained {
		dev.Repack(l.M, l.w)
	}
	return l.Linear
}

// pass is the input of a linear layer in its backward pass: X (n, K), and XA (n, R) as the forward pass has
// left it.
type pass struct {
	X, XA kernel.Floats
	n     int
}

// backward sets dx (n, K) to the gradient of x, or adds it if add is set. It adds to the gradients of the
// trained parameters. g (n, R) is scratch.
func (l *linear) backward(dev kernel.Device, dx, dy kernel.Floats, p pass, g kernel.Floats, add bool) {
	if l.wrapped {
		dev.MatMulRows(dx, dy, l.M, p.n, add)
	} else {
		dev.Gemm(false, false, p.n, l.K, l.N, 1, dy, l.w, add, dx)
	}
	if !l.bias.dw.None() {
		dev.SumRows(l.bias.dw, dy, p.n, l.N)
	}
	if !l.dW.None() {
		dev.Gemm(true, false, l.N, l.K, p.n, 1, dy, p.X, true, l.dW)
	}
	if !l.A.None() {
		dev.Gemm(true, false, l.N, l.Rank, p.n, l.Scale, dy, p.XA, true, l.dB)
		dev.Gemm(false, false, p.n, l.Rank, l.N, l.Scale, dy, l.B, false, g)
		dev.Gemm(true, false, l.Rank, l.K, p.n, 1, g, p.X, true, l.dA)
		dev.Gemm(false, false, p.n, l.K, l.Rank, 1, g, l.A, true, dx)
	}
}
