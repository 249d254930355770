package op

import (
	"fmt"
	"hash"
	"hash/fnv"
	"strconv"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Fused describes one differentiable operation to Apply.
type Fused struct {
	Name   string // unique in its graph: gorgonia merges nodes of equal hash
	Inputs G.Nodes
	Out    G.Value // the operation's own output, filled by Forward in every run

	Forward  func(in []G.Value) error
	Backward func(in []G.Value, dy G.Value) error // fills every Grads value

	// Grads are the inputs that have a gradient, with the values that hold it. The gradient of a parameter
	// adds up over runs, until the optimiser clears it.
	Grads []Grad
}

// Grad is the gradient of one input.
type Grad struct {
	Input int // index into Inputs
	Value *Array
}

// Apply adds the operation to its inputs' graph.
func Apply(f Fused) (*G.Node, error) {
	return G.ApplyOp(&forward{node: newNode(f.Name, f.Out, f.Inputs, f.Forward), fused: f}, f.Inputs...)
}

// node is a gorgonia operation that always returns the same value, which it owns.
type node struct {
	name string
	typ  hm.Type
	from G.Nodes
	out  G.Value
	run  func(in []G.Value) error
}

func newNode(name string, out G.Value, inputs G.Nodes, run func([]G.Value) error) *node {
	var types []hm.Type
	for _, n := range inputs {
		types = append(types, n.Type())
	}
	return &node{name: name, typ: hm.NewFnType(append(types, typeOf(out))...), from: inputs, out: out, run: run}
}

func typeOf(v G.Value) hm.Type {
	if dims := v.Shape().Dims(); dims > 0 {
		return G.TensorType{Dims: dims, Of: v.Dtype()}
	}
	return v.Dtype()
}

// Do is what gorgonia's machines call. Program, which runs the graphs here, does not need it.
func (n *node) Do(in ...G.Value) (G.Value, error) { return n.out, n.run(in) }

func (n *node) Arity() int                                     { return len(n.from) }
func (n *node) Type() hm.Type                                  { return n.typ }
func (n *node) InferShape(...G.DimSizer) (tensor.Shape, error) { return n.out.Shape().Clone(), nil }
func (n *node) ReturnsPtr() bool                               { return false }
func (n *node) CallsExtern() bool                              { return false }
func (n *node) OverwritesInput() int                           { return -1 }
func (n *node) WriteHash(h hash.Hash)                          { h.Write([]byte(n.name)) }
func (n *node) String() string                                 { return n.name }

func (n *node) Hashcode() uint32 {
	h := fnv.New32a()
	n.WriteHash(h)
	return h.Sum32()
}

// forward is a node with a gradient.
type forward struct {
	*node
	fused Fused
}

func (f *forward) DiffWRT(inputs int) []bool {
	wrt := make([]bool, inputs)
	for _, g := range f.fused.Grads {
		wrt[g.Input] = true
	}
	return wrt
}

// SymDiff adds one node that runs Backward and returns the first gradient. The other gradients are nodes
// that depend on it and return the values that it has filled.
func (f *forward) SymDiff(in G.Nodes, _, dy *G.Node) (G.Nodes, error) {
	grads, out := f.fused.Grads, make(G.Nodes, len(in))
	if len(grads) == 0 { // no input of this operation leads to a trained parameter
		return out, nil
	}
	inputs := append(append(G.Nodes{}, in...), dy)
	back := newNode(f.name+"/backward", grads[0].Value, inputs, func(v []G.Value) error {
		return f.fused.Backward(v[:len(in)], v[len(in)])
	})
	first, err := G.ApplyOp(back, inputs...)
	if err != nil {
		return nil, err
	}
	out[grads[0].Input] = first
	for _, g := range grads[1:] {
		side := newNode(f.name+"/gradient."+strconv.Itoa(g.Input), g.Value, G.Nodes{first},
			func([]G.Value) error { return nil })
		if out[g.Input], err = G.ApplyOp(side, first); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Distinct returns an error if two nodes of a graph have the same hash. gorgonia would merge them, although
// they are different operations.
func Distinct(g *G.ExprGraph) error {
	seen := map[uint32]*G.Node{}
	for _, n := range g.AllNodes() {
		if m, ok := seen[n.Hashcode()]; ok {
			return fmt.Errorf("graph: nodes %v and %v have the same hash", m, n)
		}
		seen[n.Hashcode()] = n
	}
	return nil
}
