// Package op is the transformer as four fused gorgonia operations: the embedding, the attention block, the
// SwiGLU block and the head. Each has a hand-written gradient and owns its buffers, so that a run of a
// Program allocates nothing. The package knows no checkpoint, no loss and no optimiser.
//
// All operations work on a packed batch (sequence packing): the token rows of several sequences, one
// sequence behind the other without padding, with cu_seqlens as the bounds. T is a capacity. Rows after the
// last bound are not read and have no effect.
//
//	x, tied, err := op.Embed("embed", ctx, batch, table)
//	x, err = op.Attention("layers.0.attention", ctx, 0, batch, x, params)
//	logp, err := op.Head("head", ctx, batch, x, head)
//
// The standard technique of each file:
//
//	linear.go     linear layers with LoRA, frozen or trained
//	workspace.go  gradient recomputation (activation checkpointing), layer by layer
//	head.go       log-probabilities fused with the head: the (T, V) logits are never in memory
//	selected.go   the last layer computes only the rows whose output is read
package op

import (
	"fmt"

	"itool/stages/policy/kernel"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
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
	Device   kernel.Device
	Cos, Sin []float32 // (positions, D/2)

	// Gradients says that a backward pass follows. The head of a frozen weight then computes its gradient
	// already in the forward pass, where it has the logits.
	Gradients bool

	work *workspace
	dx   []float32 // (T, C)
}

// gradient is the tensor for the gradient of an operation's input x. All operations share its memory: the
// residual stream is one chain, so each operation adds its own part, in place, to the gradient of its
// output.
func (c *Context) gradient() *tensor.Dense {
	return tensor.New(tensor.WithShape(c.T, c.C), tensor.WithBacking(c.dx))
}

// NewContext allocates the working memory of graphs of this shape. keep, at least 1, is the number of
// layers that keep their activations for the backward pass. The other layers compute theirs again, with
// the same bits (activation checkpointing).
func NewContext(s Shape, dev kernel.Device, cos, sin []float32, keep int) *Context {
	return &Context{
		Shape: s, Device: dev, Cos: cos, Sin: sin, work: newWorkspace(s, max(keep, 1)), dx: make([]float32, s.T*s.C),
	}
}

// Batch has the integer inputs of a graph.
type Batch struct {
	IDs       *G.Node // (T) int32, token ids
	Targets   *G.Node // (T) int32, the id that this row predicts, or −1
	Positions *G.Node // (T) int32, from 0 in every segment
	Cu        *G.Node // (T + 1) int32: 0, then the end of each segment; the last end repeats to the end
	// Mask (2·T) int32 is the shared-prefix mask, two rows for each segment: see kernel.Device.Attention.
	Mask *G.Node
}

// NewBatch adds the inputs for packed batches of up to t tokens to a graph. It returns the slices of their
// values too, which the caller fills before each run.
func NewBatch(g *G.ExprGraph, t int) (Batch, Rows) {
	ints := func(n int) []int32 { return make([]int32, n) }
	r := Rows{IDs: ints(t), Targets: ints(t), Positions: ints(t), Cu: ints(t + 1), Mask: ints(2 * t)}
	input := func(name string, data []int32) *G.Node {
		return G.NewVector(g, tensor.Int32, G.WithName(name), G.WithShape(len(data)),
			G.WithValue(tensor.New(tensor.WithShape(len(data)), tensor.WithBacking(data))))
	}
	b := Batch{
		IDs: input("ids", r.IDs), Targets: input("targets", r.Targets), Positions: input("positions", r.Positions),
		Cu: input("cu_seqlens", r.Cu), Mask: input("mask", r.Mask),
	}
	return b, r
}

// Rows are the values of a Batch. Call Reset, then Add or AddPair for each sequence.
type Rows struct {
	IDs, Targets, Positions []int32 // (T)
	Cu                      []int32 // (T + 1)
	Mask                    []int32 // (2·T)
}

// Reset empties the batch.
func (r Rows) Reset() { clear(r.Cu) }

// Len is the number of rows that are in use.
func (r Rows) Len() int { return int(r.Cu[len(r.Cu)-1]) }

// Add appends a prompt and an answer as one sequence. It returns the sequence's first row, or −1 if it does
// not fit. The row before a token of the answer has that token as its target; all other rows have −1.
func (r Rows) Add(prompt, answer []int32) int {
	at, n := r.Len(), len(prompt)+len(answer)
	if n == 0 || at+n > len(r.IDs) {
		return -1
	}
	r.write(at, 0, prompt, answer)
	r.close(at+n, at+n, at+n)
	return at
}

// AddPair appends two answers that share one prompt. The rows of the prompt, except its last, are there
// once, and the shared-prefix mask hides the first answer from the second. The results have the same bits
// as with Add for each answer. AddPair returns the first row of all and the first row of the second
// answer's sequence, or −1 and −1 if they do not fit.
func (r Rows) AddPair(prompt, one, other []int32) (at, fork int) {
	at = r.Len()
	fork = at + len(prompt) + len(one)
	n := PairRows(len(prompt), len(one), len(other))
	if n == 0 || at+n > len(r.IDs) {
		return -1, -1
	}
	shared := max(0, len(prompt)-1) // the last token is there twice, since it predicts two different tokens
	r.write(at, 0, prompt, one)
	r.write(fork, shared, prompt[shared:], other)
	r.close(at+n, at+shared, fork)
	return at, fork
}

// PairRows is the number of rows that AddPair needs for these numbers of tokens.
func PairRows(prompt, one, other int) int { return prompt + one + min(1, prompt) + other }

// write fills the rows of a sequence. position is the position of the prompt's first token.
func (r Rows) write(at, position int, prompt, answer []int32) {
	copy(r.IDs[at:], prompt)
	copy(r.IDs[at+len(prompt):], answer)
	n := len(prompt) + len(answer)
	for i := range n {
		r.Positions[at+i], r.Targets[at+i] = int32(position+i), -1
		if i+1 >= len(prompt) && i+1 < n {
			r.Targets[at+i] = r.IDs[at+i+1]
		}
	}
}

// close writes the end and the mask of a segment.
func (r Rows) close(end, from, to int) {
	segment := 1
	for r.Cu[segment] > r.Cu[segment-1] {
		segment++
	}
	for i := segment; i < len(r.Cu); i++ {
		r.Cu[i] = int32(end)
	}
	r.Mask[2*segment-2], r.Mask[2*segment-1] = int32(from), int32(to)
}

// segments returns cu without the repeated end, and checks the bounds.
func segments(cu []int32, t int) ([]int32, error) {
	if cu[0] != 0 {
		return nil, fmt.Errorf("cu_seqlens begins with %d, not 0", cu[0])
	}
	n := 1
	for n < len(cu) && cu[n] > cu[n-1] {
		n++
	}
	for i, end := range cu[n:] {
		if end != cu[n-1] {
			return nil, fmt.Errorf("cu_seqlens: entry %d is %d, after the last end %d", n+i, end, cu[n-1])
		}
	}
	if int(cu[n-1]) > t {
		return nil, fmt.Errorf("cu_seqlens ends at %d, the capacity is %d", cu[n-1], t)
	}
	return cu[:n], nil
}

// checkMask refuses a mask that is not within its segment.
func checkMask(mask, cu []int32) error {
	for s := 0; s+1 < len(cu); s++ {
		if from, to := mask[2*s], mask[2*s+1]; from < cu[s] || to < from || cu[s+1] < to {
			return fmt.Errorf("mask %d..%d is not within segment %d, rows %d..%d", from, to, s, cu[s], cu[s+1])
		}
	}
	return nil
}

// within refuses ids outside [low, high).
func within(what string, ids []int32, low, high int) error {
	for i, id := range ids {
		if int(id) < low || int(id) >= high {
			return fmt.Errorf("row %d: %s %d is not within %d..%d", i, what, id, low, high-1)
		}
	}
	return nil
}
