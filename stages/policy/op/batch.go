package op

import (
	"fmt"

	"itool/stages/policy/kernel"
	"itool/stages/policy/layer"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Batch is a packed batch in a graph: an operation that checks its integers, once in a run, and sends them to
// the device.
type Batch struct{ node *G.Node }

// NewBatch adds the inputs for packed batches of up to c.T tokens to a graph. It returns the slices of their
// values too, which the caller fills before each run.
func NewBatch(g *G.ExprGraph, c *Context) (Batch, Rows, error) {
	ints := func(n int) []int32 { return make([]int32, n) }
	r := Rows{IDs: ints(c.T), Targets: ints(c.T), Positions: ints(c.T), Cu: ints(c.T + 1), Mask: ints(2 * c.T)}
	input := func(name string, data []int32) *G.Node {
		return G.NewVector(g, tensor.Int32, G.WithName(name), G.WithShape(len(data)),
			G.WithValue(tensor.New(tensor.WithShape(len(data)), tensor.WithBacking(data))))
	}
	p := &packed{c: c}
	inputs := G.Nodes{input("ids", r.IDs), input("targets", r.Targets), input("positions", r.Positions),
		input("cu_seqlens", r.Cu), input("mask", r.Mask)}
	node, err := Apply(Fused{Name: "batch", Out: p, Forward: p.load, Inputs: inputs})
	return Batch{node}, r, err
}

// Rows are the values of a Batch. Call Reset, then Add or AddPair for each sequence.
type Rows struct {
	IDs       []int32 // (T) token ids
	Targets   []int32 // (T) the id that this row predicts, or −1
	Positions []int32 // (T) from 0 in every segment
	Cu        []int32 // (T + 1) 0, then the end of each segment; the last end repeats to the end
	Mask      []int32 // (2·T) the shared-prefix mask, two rows for each segment: see kernel.Segments
}

// packed is a batch on the device.
type packed struct {
	c              *Context
	n              int // rows in use
	ids, positions kernel.Ints
	segments       kernel.Segments

	// The last layer computes only the selected rows: in each segment, those from the first target on. Of it
	// only their output is read, besides all keys and values. After long prompts they are few.
	selected layer.Selected
	last     kernel.Segments // segments with Selected

	// The head computes only the rows with a target.
	targetRows, targets kernel.Ints
}

var _ G.Value = (*packed)(nil)

// load checks the integers of a run.
func (p *packed) load(in []G.Value) error {
	r := Rows{ints(in[0]), ints(in[1]), ints(in[2]), ints(in[3]), ints(in[4])}
	cu, err := segments(r.Cu, p.c.T)
	if err != nil {
		return err
	}
	p.n = int(cu[len(cu)-1])
	r.IDs, r.Targets, r.Positions, r.Mask = r.IDs[:p.n], r.Targets[:p.n], r.Positions[:p.n], r.Mask[:2*len(cu)-2]
	for _, err := range []error{
		within("token id", r.IDs, 0, p.c.V), within("target", r.Targets, -1, p.c.V),
		within("position", r.Positions, 0, p.c.pass.Cos.Len()/max(1, p.c.D/2)), checkMask(r.Mask, cu),
	} {
		if err != nil {
			return err
		}
	}
	p.ids.Host, p.positions.Host, p.segments.Cu.Host, p.segments.Mask.Host = r.IDs, r.Positions, cu, r.Mask
	p.find(r.Targets, cu)
	p.send()
	return nil
}

// find lists the selected rows and those that have a target.
func (p *packed) find(targets, cu []int32) {
	s, first := &p.selected, &p.last.Selected
	s.Rows.Host, s.Positions.Host, first.Host = s.Rows.Host[:0], s.Positions.Host[:0], first.Host[:0]
	p.targetRows.Host, p.targets.Host = p.targetRows.Host[:0], p.targets.Host[:0]
	for segment := range len(cu) - 1 {
		row := cu[segment]
		for row < cu[segment+1] && targets[row] < 0 {
			row++
		}
		first.Host = append(first.Host, row)
		for ; row < cu[segment+1]; row++ {
			s.Rows.Host, s.Positions.Host = append(s.Rows.Host, row), append(s.Positions.Host, p.positions.Host[row])
			if targets[row] >= 0 {
				p.targetRows.Host, p.targets.Host = append(p.targetRows.Host, row), append(p.targets.Host, targets[row])
			}
		}
	}
}

func (p *packed) send() {
	for _, i := range []*kernel.Ints{&p.ids, &p.positions, &p.segments.Cu, &p.segments.Mask, &p.selected.Rows,
		&p.selected.Positions, &p.last.Selected, &p.targetRows, &p.targets} {
		p.c.Device.Send(i)
	}
	p.last.Cu, p.last.Mask = p.segments.Cu, p.segments.Mask
}

// Shape and the other methods are what gorgonia asks of a value.
func (p *packed) Shape() tensor.Shape        { return tensor.Shape{p.c.T} }
func (p *packed) Size() int                  { return p.c.T }
func (p *packed) Data() any                  { return p.ids.Host }
func (p *packed) Dtype() tensor.Dtype        { return tensor.Int32 }
func (p *packed) Type() hm.Type              { return G.TensorType{Dims: 1, Of: tensor.Int32} }
func (p *packed) Uintptr() uintptr           { return 0 }
func (p *packed) MemSize() uintptr           { return 4 * uintptr(p.c.T) }
func (p *packed) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "batch of %d rows", p.n) }

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
