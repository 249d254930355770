package ptx

import "fmt"

// Kind is what a check found.
type Kind string

// The kinds of faults.
const (
	OutOfBounds   Kind = "out of bounds"
	Misaligned    Kind = "misaligned"
	Uninitialised Kind = "read of memory that nothing has written"
	Race          Kind = "race"
	Async         Kind = "cp.async not waited for"
	Divergence    Kind = "divergence"
	Timeout       Kind = "timeout"
	Trap          Kind = "trap"
)

// Fault is the first thing that a check found in a launch. It ends the launch.
type Fault struct {
	Kind    Kind
	Message string
	Kernel  string
	Block   [3]int
	Thread  [3]int // in the block; of a fault of a whole warp its first
	Warp    int
	Lane    int    // −1: the whole warp
	Op      string // the instruction
	Line    int    // of the PTX
	Source  string // file:line of the CUDA C
}

// Error gives everything in two lines.
func (f *Fault) Error() string {
	lane := fmt.Sprintf("lane %d", f.Lane)
	if f.Lane < 0 {
		lane = "all lanes"
	}
	return fmt.Sprintf("%s: %s\n  kernel %s at %s (%s, line %d of the PTX), block %v, thread %v, warp %d, %s",
		f.Kind, f.Message, f.Kernel, f.Source, f.Op, f.Line, f.Block, f.Thread, f.Warp, lane)
}

// fault makes one whose place is not known yet; warp.locate completes it.
func fault(kind Kind, lane int, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Message: fmt.Sprintf(format, args...), Lane: lane}
}
