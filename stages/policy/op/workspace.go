package op

import (
	"itool/stages/policy/kernel"
	"itool/stages/policy/layer"
)

// workspace is the memory that the layers of a graph share. It implements gradient recomputation
// (activation checkpointing): there are as many states as layers may keep their activations. The first
// layers have one each. The others share the last one, and compute their activations again in the backward
// pass if another layer has used the state since.
type workspace struct {
	attention []*attentionState
	swiglu    []*swigluState

	// Scratch of the backward pass; one operation at a time uses it.
	dh               kernel.Floats // (T, C)
	dq, dout         kernel.Floats // (T, H·D)
	dk, dv           kernel.Floats // (T, G·D)
	dq0, dk0         kernel.Floats // as dq and dk, under the norm of the heads; empty without
	dgate, dup, dact kernel.Floats // (T, F)
	g                kernel.Floats // (T, R)
}

// attentionState are the activations of one attention block.
type attentionState struct {
	holder *attention // the layer that has computed them
	layer.Activations
}

// swigluState are the activations of one SwiGLU block.
type swigluState struct {
	holder  *swiglu
	h, rstd kernel.Floats // (T, C), (T)
	layer.Gates
}

func newWorkspace(s Shape, dev kernel.Device, keep int) *workspace {
	make := func(n int) kernel.Floats { return dev.Floats(s.T * n) }
	w := &workspace{
		dh: make(s.C), dq: make(s.H * s.D), dout: make(s.H * s.D), dk: make(s.G * s.D), dv: make(s.G * s.D),
		dgate: make(s.F), dup: make(s.F), dact: make(s.F), g: make(s.R),
	}
	heads := 0 // 1: the norm of the heads needs memory
	if s.HeadNorm {
		heads = 1
	}
	w.dq0, w.dk0 = make(heads*s.H*s.D), make(heads*s.G*s.D)
	for range keep {
		a := &attentionState{Activations: layer.Activations{
			H: make(s.C), RSTD: make(1), Q: make(s.H * s.D), Out: make(s.H * s.D), K: make(s.G * s.D),
			V: make(s.G * s.D), LSE: make(s.H), Q0: make(heads * s.H * s.D), K0: make(heads * s.G * s.D),
			QRSTD: make(heads * s.H), KRSTD: make(heads * s.G),
		}}
		m := &swigluState{h: make(s.C), rstd: make(1),
			Gates: layer.Gates{Gate: make(s.F), Up: make(s.F), Act: make(s.F)}}
		for i := range a.XA {
			a.XA[i] = make(s.R)
		}
		for i := range m.XA {
			m.XA[i] = make(s.R)
		}
		w.attention, w.swiglu = append(w.attention, a), append(w.swiglu, m)
	}
	return w
}

// LayerBytes is the memory in bytes that keeping one layer's activations takes.
func (s Shape) LayerBytes() int {
	row := 2*s.C + 2 + 2*s.H*s.D + 2*s.G*s.D + s.H + 3*s.F + 7*s.R
	if s.HeadNorm {
		row += (s.H + s.G) * (s.D + 1)
	}
	return 4 * s.T * row
}

// GraphBytes is the memory in bytes of all activations of a graph with that many layers, of which keep keep theirs:
// what NewContext and the operations reserve, gradients of parameters excepted.
func (s Shape) GraphBytes(layers, keep int) int64 {
	scratch := s.C + 2*s.H*s.D + 2*s.G*s.D + 3*s.F + s.R
	if s.HeadNorm {
		scratch += (s.H + s.G) * s.D
	}
	results := (2*layers + 1) * s.C // of the embedding, attention and MLP
	last := 4*s.C + 4*s.C + 3 + 1   // of the last layer and the head
	return int64(keep)*int64(s.LayerBytes()) + 4*int64(s.T)*int64(scratch+results+last+s.C)
}

// carry copies the gradient of the residual stream, unless dst and src are the same memory.
func carry(dev kernel.Device, dst, src kernel.Floats, n int) {
	if !dst.Same(src) {
		dev.Copy(dst, src.Slice(0, n))
	}
}
