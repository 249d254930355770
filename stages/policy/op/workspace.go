package op

import "itool/stages/policy/kernel"

// workspace is the memory that the layers of a graph share. It implements gradient recomputation
// (activation checkpointing): there are as many states as layers may keep their activations. The first
// layers have one each. The others share the last one, and compute their activations again in the backward
// pass if another layer has used the state since.
type workspace struct {
	attention []*attentionState
	swiglu    []*swigluState
	outs      []kernel.Out // of products with one x

	// Scratch of the backward pass; one operation at a time uses it.
	dh               []float32 // (T, C)
	dq, dout         []float32 // (T, H·D)
	dk, dv           []float32 // (T, G·D)
	dq0, dk0         []float32 // as dq and dk, under the norm of the heads; empty without
	dgate, dup, dact []float32 // (T, F)
	g                []float32 // (T, R)
}

// attentionState are the activations of one attention block.
type attentionState struct {
	holder  *attention   // the layer that has computed them
	h, rstd []float32    // (T, C), (T)
	q, out  []float32    // (T, H·D)
	k, v    []float32    // (T, G·D)
	lse     []float32    // (T, H)
	xa      [4][]float32 // (T, R): x·Aᵀ of Q, K, V, O

	// Used by the norm of the heads; empty without it.
	q0, k0       []float32 // as q and k, before it
	qrstd, krstd []float32 // (T, H), (T, G)
}

// swigluState are the activations of one SwiGLU block.
type swigluState struct {
	holder        *swiglu
	h, rstd       []float32    // (T, C), (T)
	gate, up, act []float32    // (T, F)
	xa            [3][]float32 // (T, R): x·Aᵀ of Gate, Up, Down
}

func newWorkspace(s Shape, keep int) *workspace {
	make := func(n int) []float32 { return make([]float32, s.T*n) }
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
		a := &attentionState{
			h: make(s.C), rstd: make(1), q: make(s.H * s.D), out: make(s.H * s.D),
			k: make(s.G * s.D), v: make(s.G * s.D), lse: make(s.H),
		}
		m := &swigluState{h: make(s.C), rstd: make(1), gate: make(s.F), up: make(s.F), act: make(s.F)}
		a.q0, a.k0, a.qrstd, a.krstd = make(heads*s.H*s.D), make(heads*s.G*s.D), make(heads*s.H), make(heads*s.G)
		for i := range a.xa {
			a.xa[i] = make(s.R)
		}
		for i := range m.xa {
			m.xa[i] = make(s.R)
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

// scale multiplies x by a factor; 0 stands for 1.
func scale(x []float32, by float32) {
	if by == 0 || by == 1 {
		return
	}
	for i := range x {
		x[i] *= by
	}
}

// carry copies the gradient of the residual stream, unless dst and src are the same memory.
func carry(dst, src []float32) {
	if len(dst) > 0 && &dst[0] != &src[0] {
		copy(dst, src)
	}
}
