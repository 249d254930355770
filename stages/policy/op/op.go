// Package op is the transformer as four fused gorgonia operations: the embedding, the attention block, the
// SwiGLU block and the head. Each has a hand-written gradient and owns its buffers, so that a run of a
// Program allocates nothing. The package knows no checkpoint, no loss and no optimiser.
//
// All operations work on a packed batch (sequence packing): the token rows of several sequences, one
// sequence behind the other without padding, with cu_seqlens as the bounds. T is a capacity. Rows after the
// last bound are not read and have no effect. gorgonia orders the operations and differentiates; all numbers
// stay in the memory of the device (value.go).
//
//	batch, rows, err := op.NewBatch(g, ctx)
//	x, tied, err := op.Embed("embed", ctx, batch, table)
//	x, err = op.Attention("layers.0.attention", ctx, 0, batch, x, params)
//	logp, err := op.Head("head", ctx, batch, x, head)
//
// The standard technique of each file:
//
//	batch.go      a packed batch: its integers are checked and sent to the device once in a run
//	linear.go     linear layers with LoRA, frozen or trained
//	workspace.go  gradient recomputation (activation checkpointing), layer by layer
//	head.go       log-probabilities fused with the head: the (T, V) logits are never in memory
package op

import (
	"itool/stages/policy/kernel"
	"itool/stages/policy/layer"
)

// Shape has the sizes that all operations of a graph share.
type Shape struct {
	T int // capacity of a packed batch, in token rows
	C int // channels of the residual stream
	H int // query heads
	G int // key/value heads
	D int // head size
	F int // width of the SwiGLU block
	V int // vocabulary
	R int // largest LoRA rank; 0 without

	Eps      float32 // of RMSNorm
	HeadNorm bool    // RMSNorm of each head of q and k before the rotation
	Scales   Scales
}

// Scales are constant factors, of which 0 stands for 1: of the embedding's rows, of q after the rotation,
// and of the input of the head.
type Scales struct{ Embed, Query, Head float32 }

// Context is what the operations of a graph share, buffers included. The operations of a graph run one at
// a time. Graphs that share a Context must not run at the same time either.
type Context struct {
	Shape
	Device kernel.Device

	// Gradients says that a backward pass follows. The head of a frozen weight then computes its gradient
	// already in the forward pass, where it has the logits.
	Gradients bool

	pass layer.Pass
	work *workspace
	dx   kernel.Floats // (T, C)
}

// gradient is the value for the gradient of an operation's input x. All operations share its memory: the
// residual stream is one chain, so each operation adds its own part, in place, to the gradient of its
// output.
func (c *Context) gradient() *Array { return NewArray(c.Device, c.dx, c.T, c.C) }

// NewContext allocates the working memory of graphs of this shape. cos, sin (positions, D/2) are the angles of
// the rotation. keep, at least 1, is the number of layers that keep their activations for the backward pass.
// The other layers compute theirs again, with the same bits (activation checkpointing).
func NewContext(s Shape, dev kernel.Device, cos, sin kernel.Floats, keep int) *Context {
	pass := layer.Pass{Device: dev, C: s.C, Heads: kernel.Heads{H: s.H, G: s.G, D: s.D}, Eps: s.Eps,
		QueryScale: s.Scales.Query, Cos: cos, Sin: sin}
	return &Context{Shape: s, Device: dev, pass: pass, work: newWorkspace(s, dev, max(keep, 1)),
		dx: dev.Floats(s.T * s.C)}
}
