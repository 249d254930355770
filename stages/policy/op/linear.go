package op

import (
	"itool/stages/policy/kernel"

	G "gorgonia.org/gorgonia"
)

// Linear has the parameters of a linear layer with LoRA: y = x·Wᵀ + Bias + Scale·(x·Aᵀ)·Bᵀ. A frozen weight
// is a field. A trained weight, A and B are inputs of the graph.
type Linear struct {
	N, K    int
	W       []float32     // (N, K) frozen weight; not read when Weight or Wrapped is set
	Wrapped kernel.Weight // (N, K) frozen weight, read in its own type, instead of W
	M       kernel.Matrix // W packed; with Weight: overwritten by every forward pass
	Weight  *G.Node       // (N, K) trained weight; nil = frozen
	Bias    Vector        // (N); none if neither W nor Node is set
	A, B    *G.Node       // (R, K), (N, R); nil = no LoRA
	Rank    int
	Scale   float32
}

// Vector is the weight of an RMSNorm (C or D), or a bias (N).
type Vector struct {
	W    []float32 // frozen
	Node *G.Node   // trained; nil = frozen
}

// inputs collects an operation's inputs and the gradients of the trained ones.
type inputs struct {
	nodes G.Nodes
	grads []Grad
}

// fixed adds an input without a gradient.
func (s *inputs) fixed(nodes ...*G.Node) { s.nodes = append(s.nodes, nodes...) }

// param adds a trained input and returns its index and its gradient; nil adds nothing.
func (s *inputs) param(n *G.Node) (at int, grad []float32) {
	if n == nil {
		return -1, nil
	}
	at, value := len(s.nodes), zeros(n.Shape()...)
	s.nodes, s.grads = append(s.nodes, n), append(s.grads, Grad{at, value})
	return at, Floats(value)
}

// value is the value of an input in this run, or the frozen value.
func value(in []G.Value, at int, frozen []float32) []float32 {
	if at < 0 {
		return frozen
	}
	return Floats(in[at])
}

// vector is a Vector inside an operation.
type vector struct {
	w  []float32 // nil = none
	at int
	dw []float32 // nil = frozen
}

func newVector(v Vector, s *inputs) vector {
	at, dw := s.param(v.Node)
	return vector{w: v.W, at: at, dw: dw}
}

func (v *vector) load(in []G.Value) { v.w = value(in, v.at, v.w) }

// linear is a Linear inside an operation, with the values of the running pass.
type linear struct {
	Linear
	wAt, aAt, bAt int
	dW, dA, dB    []float32 // added to; nil = not trained
	w, a, b       []float32
	bias          vector
}

func newLinear(p Linear, s *inputs) linear {
	l := linear{Linear: p, w: p.W}
	l.wAt, l.dW = s.param(p.Weight)
	l.bias = newVector(p.Bias, s)
	l.aAt, l.dA = s.param(p.A)
	l.bAt, l.dB = s.param(p.B)
	return l
}

// load takes the values of this run. If repack is set, a trained weight is packed again: training then
// multiplies with the same kernel as inference, and gets the same bits.
func (l *linear) load(dev kernel.Device, in []G.Value, repack bool) {
	l.w, l.a, l.b = value(in, l.wAt, l.w), value(in, l.aAt, nil), value(in, l.bAt, nil)
	l.bias.load(in)
	if repack && l.Weight != nil {
		dev.Repack(l.M, l.w)
	}
}

// addTo adds the linear layer of x (n, K), which has no bias, to y (n, N). xa (n, R) gets x·Aᵀ.
func (l *linear) addTo(dev kernel.Device, y, x, xa []float32, n int) {
	dev.MatMul(y, x, l.M, n, true)
	l.adapt(dev, y, x, xa, n)
}

// begin writes the bias into y (n, N), and tells whether the layer has one.
func (l *linear) begin(y []float32, n int) bool {
	bias := l.bias.w
	for i := 0; bias != nil && i < n; i++ {
		copy(y[i*l.N:(i+1)*l.N], bias)
	}
	return bias != nil
}

// adapt adds the adapter's part to y (n, N).
func (l *linear) adapt(dev kernel.Device, y, x, xa []float32, n int) {
	if l.a != nil {
		dev.Gemm(false, true, n, l.Rank, l.K, 1, x, l.a, false, xa)
		dev.Gemm(false, true, n, l.N, l.Rank, l.Scale, xa, l.b, true, y)
	}
}

// linearOut is a linear layer, y (n, N), where its result goes, and xa (n, R), which gets x·Aᵀ.
type linearOut struct {
	of    *linear
	y, xa []float32
}

// forward computes several linear layers of one x (n, K).
func (w *workspace) forward(dev kernel.Device, x []float32, n int, outs ...linearOut) {
	w.outs = w.outs[:0]
	for _, i := range outs {
		w.outs = append(w.outs, kernel.Out{Y: i.y, W: i.of.M, Add: i.of.begin(i.y, n)})
	}
	dev.MatMuls(w.outs, x, n)
	for _, i := range outs {
		i.of.adapt(dev, i.y, x, i.xa, n)
	}
}

// backward sets dx (n, K) to the gradient of x, or adds it if add is set. It adds to the gradients of the
// trained parameters. xa is as forward left it; g (n, R) is scratch.
func (l *linear) backward(dev kernel.Device, dx, dy, x, xa, g []float32, n int, add bool) {
	if l.Wrapped != nil {
		dev.MatMulRows(dx, dy, l.Wrapped, n, add)
	} else {
		dev.Gemm(false, false, n, l.K, l.N, 1, dy, l.w, add, dx)
	}
	for i := 0; l.bias.dw != nil && i < n; i++ {
		for j, d := range dy[i*l.N : (i+1)*l.N] {
			l.bias.dw[j] += d
		}
	}
	if l.dW != nil {
		dev.Gemm(true, false, l.N, l.K, n, 1, dy, x, true, l.dW)
	}
	if l.a != nil {
		dev.Gemm(true, false, l.N, l.Rank, n, l.Scale, dy, xa, true, l.dB)
		dev.Gemm(false, false, n, l.Rank, l.N, l.Scale, dy, l.b, false, g)
		dev.Gemm(true, false, l.Rank, l.K, n, 1, g, x, true, l.dA)
		dev.Gemm(false, false, n, l.K, l.Rank, 1, g, l.a, true, dx)
	}
}
