package kernel

import (
	"fmt"
	"runtime"
)

// Floats are numbers in the memory of a device: a slice on the CPU, a place in a block on a GPU. It is a
// value; slicing it allocates nothing. The zero value is none. Like a slice, memory lives as long as
// something refers to it.
type Floats struct {
	Host  []float32 // the numbers, on a device that computes in the memory of the host
	Block *Block    // on another device: where they are
	First int       // of the block's elements of four bytes
	N     int
}

// Host are the numbers of a slice, for a device that computes in the memory of the host.
func Host(x []float32) Floats { return Floats{Host: x} }

// Len is the number of numbers.
func (f Floats) Len() int {
	if f.Block == nil {
		return len(f.Host)
	}
	return f.N
}

// None tells whether f is the zero value, which stands for an argument that is left out.
func (f Floats) None() bool { return f.Block == nil && f.Host == nil }

// Slice is f[from:to].
func (f Floats) Slice(from, to int) Floats {
	if f.Block == nil {
		return Floats{Host: f.Host[from:to]}
	}
	if from < 0 || to < from || f.N < to {
		panic(fmt.Sprintf("kernel: numbers %d to %d of %d", from, to, f.N))
	}
	return Floats{Block: f.Block, First: f.First + from, N: to - from}
}

// From is f[at:].
func (f Floats) From(at int) Floats { return f.Slice(at, f.Len()) }

// Same tells whether f and o begin at the same place.
func (f Floats) Same(o Floats) bool {
	if f.Block != nil || o.Block != nil {
		return f.Block == o.Block && f.First == o.First
	}
	return len(f.Host) > 0 && len(o.Host) > 0 && &f.Host[0] == &o.Host[0]
}

// At is the address of the first number, on a device with memory of its own; 0 for none.
func (f Floats) At() uint64 { return f.Block.at(f.First) }

// Ints are integers that the host writes and a device reads, such as token ids: Host is the host's copy.
// After a change of Host, Device.Send copies it to the device, if that has memory of its own.
type Ints struct {
	Host  []int32
	Block *Block
	First int
}

// None tells whether there is no slice, which stands for an argument that is left out.
func (i Ints) None() bool { return i.Host == nil }

// Slice is i[from:to].
func (i Ints) Slice(from, to int) Ints {
	return Ints{Host: i.Host[from:to], Block: i.Block, First: i.First + from}
}

// At is the address of the first integer, on a device with memory of its own; 0 for none.
func (i Ints) At() uint64 {
	if i.None() {
		return 0
	}
	return i.Block.at(i.First)
}

// Block is an allocation in the memory of a device.
type Block struct {
	Address uint64
	Bytes   int64
}

func (b *Block) at(first int) uint64 {
	if b == nil {
		return 0
	}
	return b.Address + 4*uint64(first)
}

// NewBlock describes an allocation. free is called with its address, in another goroutine, once nothing
// refers to the block any more.
func NewBlock(address uint64, bytes int64, free func(address uint64)) *Block {
	b := &Block{Address: address, Bytes: bytes}
	runtime.AddCleanup(b, free, address)
	return b
}

// Paths are the cache slots that each row attends to, in order. After a change of Rows, Device.SendPaths
// copies them to the device, if that has memory of its own.
type Paths struct {
	Rows    [][]int32
	Slots   Ints // of all rows, one behind the other
	Begins  Ints // (rows + 1) of each row in Slots
	Longest int
}

// Segments are the bounds of a packed batch. Segment s is the rows Cu[s] to Cu[s+1]−1; each of its rows sees
// the rows of the segment up to itself. Cu (segments + 1), Cu[0] = 0.
type Segments struct {
	Cu Ints

	// Mask (2 · segments), the shared-prefix mask, lets two sequences share one prefix: a segment is prefix,
	// first ending, second ending. The rows of segment s from Mask[2s+1] on (the second ending) do not see
	// the rows Mask[2s] to Mask[2s+1]−1 (the first ending). Both lie within the segment, in ascending order;
	// both at its end mean no mask, as does none at all. A row's result has the same bits as if the rows
	// that it does not see did not exist.
	Mask Ints

	// Selected (segments), none for all rows: in segment s the rows from Selected[s] to the segment's end are
	// selected. Only they are computed: tensors of queries have only these rows, one segment's behind the
	// other's.
	Selected Ints
}

// Rows is the number of rows in the segments, and Queries that of the selected ones.
func (s Segments) Rows() int {
	if len(s.Cu.Host) == 0 {
		return 0
	}
	return int(s.Cu.Host[len(s.Cu.Host)-1])
}

// Queries is the number of selected rows.
func (s Segments) Queries() int {
	n := s.Rows()
	for i, first := range s.Selected.Host {
		n -= int(first - s.Cu.Host[i])
	}
	return n
}

// Heads are the sizes of attention: H query heads, G heads of keys and values (H is a multiple of G), and D
// values in each. The scale of the scores is 1/√D.
type Heads struct{ H, G, D int }

// KV are keys and values: both (rows or cache slots, G, D).
type KV struct{ K, V Floats }

// Attended are the inputs and results of attention: Q, Out (queries, H, D); LSE (queries, H) is the
// log-sum-exp of the scaled scores.
type Attended struct {
	Out, LSE, Q Floats
	KV
}

// AttentionGrad are the gradients of attention: DQ (queries, H, D); DK, DV (rows, G, D).
type AttentionGrad struct{ DQ, DK, DV Floats }

// Head is a head and the rows that meet it: X (T, K); W (V, K); Targets (T), negative for none.
type Head struct {
	X       Floats
	W       Matrix
	Raw     Floats // (V, K), the weight as rows; not read when Wrap made W
	Targets Ints
	T       int
}

// Failure is what a device panics with when it cannot go on: its memory is full, a kernel has failed, or it
// is gone. A CPU has none. Catch makes an error of it.
type Failure struct{ Err error }

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// Catch, deferred, turns the panic of a device into *err. Other panics go on.
func Catch(err *error) {
	switch r := recover().(type) {
	case nil:
	case *Failure:
		*err = r
	default:
		panic(r)
	}
}
