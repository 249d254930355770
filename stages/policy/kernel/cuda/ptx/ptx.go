// Package ptx runs the PTX that NVRTC writes on the CPU, lane by lane, and checks every step. It is
// support for tests: the kernels that the product ships run here on machines without a GPU. It knows
// neither the kernels nor the driver interface; package cudatest joins them.
//
//	module, err := ptx.Parse(text)          // a syntax error names the line
//	var machine ptx.Machine
//	err = machine.Load(module)              // an unknown instruction is named
//	x, err := machine.Alloc(4 * n)
//	err = machine.CopyIn(x, bytes)
//	err = machine.Launch(module.Kernels["scale"], grid, block, 0, params)
//
// The first thing that is wrong in a launch ends it with a *Fault, which names kernel, line, block and
// thread: accesses out of bounds, misaligned, or of memory that nothing has written; two threads that
// touch one address without a barrier between them; a cp.async that was not waited for; barriers and
// warp operations that lanes miss; launches that do not end.
//
// Approximate instructions (ex2, lg2, rcp, rsqrt, sqrt, sin, cos, tanh, div) get an error of up to the
// bound that the PTX manual states, a different one for each operand: a kernel that counts on more
// fails here. The sums of mma are rounded once, which is more exact than hardware.
//
// It knows these instructions, with the types and modifiers that NVRTC 12.9 gives them for compute_80:
//
//   - ld, st, mov, cvta, atom and red (add, min, max, and, or, xor, exch, cas), in global, constant,
//     shared, local, parameter and generic space; single values, pairs and fours
//   - integers: add, sub, mul, mad, div, rem, min, max, neg, abs, and, or, xor, not, cnot, shl, shr, shf,
//     lop3, prmt, bfe, bfi, bfind, brev, clz, popc
//   - floats in 16, 32 and 64 bits: add, sub, mul, fma, div, min, max, neg, abs, copysign, sqrt, rcp,
//     rsqrt, ex2, lg2, sin, cos, tanh
//   - setp, selp, cvt between all types, with rounding, saturation and relu
//   - bra, brx.idx, ret, exit, trap, bar.sync and barrier.sync 0, bar.warp.sync, membar, fence
//   - shfl, vote, activemask, redux
//   - ldmatrix, mma m16n8k16 of bf16 and fp16, cp.async with its groups
//
// Unknown are wgmma, TMA, clusters, call, named barriers and textures.
package ptx

// Bounds of what Parse accepts. NVRTC's output is far below them.
const (
	maxSource    = 64 << 20 // bytes
	maxRegisters = 1 << 15  // of a kernel
	maxCode      = 1 << 16  // instructions of a kernel
	maxVariable  = 1 << 26  // bytes of one variable
	maxVariables = 1 << 16  // of a module or a kernel
	maxLocal     = 1 << 16  // bytes of local memory of a thread
	maxNesting   = 8        // of operands
)

// Module is a parsed PTX file.
type Module struct {
	Kernels map[string]*Kernel
	files   map[int]string // source files by number, for faults
	vars    []*variable    // .global, .const and .extern .shared
}

// variable is an array or scalar in a state space.
type variable struct {
	space  string // global, const, shared, local, param
	name   string
	align  int
	size   int    // bytes; 0 for .extern .shared x[]
	init   []byte // nil: zeros
	offset uint64 // in its space; for global and const the address once it is loaded
}

// Kernel is one .entry.
type Kernel struct {
	Name string
	// ParamSizes are the bytes of each parameter, and ParamOffsets where each is in the parameter block
	// of ParamBytes.
	ParamSizes, ParamOffsets []int
	ParamBytes               int

	maxThreads              int // of .maxntid; 0: not given
	regs                    []register
	code                    []*instruction
	shared                  []*variable
	labels                  map[string]int
	vars                    map[string]*variable // names that are visible
	files                   map[int]string
	localBytes, sharedBytes int
	consts                  []uint64 // immediates; number i is register len(regs)+i
	constOf                 map[uint64]int
}

// Opcodes lists the spellings of instructions that the module uses, once each, in no order.
func (m *Module) Opcodes() map[string]int {
	used := map[string]int{}
	for _, k := range m.Kernels {
		for _, in := range k.code {
			used[in.op]++
		}
	}
	return used
}

type register struct {
	name string
	bits int // 1 for predicates
}

type operandKind int

const (
	regOperand operandKind = iota
	immOperand
	symOperand   // the address of a variable
	memOperand   // [vec[0] + off]
	vecOperand   // {a, b, …}
	pairOperand  // d|p
	labelOperand // the target of a branch
	sinkOperand  // _
)

type operand struct {
	kind operandKind
	reg  int
	imm  uint64
	sym  *variable
	name string
	off  int64
	vec  []operand // of vecOperand, pairOperand; the base of memOperand
	not  bool      // !p
}

// instruction is one line of PTX, and then what it compiles to.
type instruction struct {
	op       string   // with all dots
	parts    []string // op, split at the dots
	args     []operand
	guard    int // register of the predicate; -1: none
	guardNot bool
	line     int // of the PTX
	file     int // source, from .loc
	source   int

	flow   flow
	target int   // of bra
	table  []int // of brx.idx
	reconv int   // where the lanes of a divergent branch meet again; len(code) for the exit
	run    exec
}

// typeBits are the sizes of PTX's types.
var typeBits = map[string]int{
	"pred": 1, "b8": 8, "u8": 8, "s8": 8, "b16": 16, "u16": 16, "s16": 16, "f16": 16, "bf16": 16,
	"b32": 32, "u32": 32, "s32": 32, "f32": 32, "f16x2": 32, "bf16x2": 32, "u16x2": 32, "s16x2": 32,
	"b64": 64, "u64": 64, "s64": 64, "f64": 64, "b128": 128,
}

func alignUp(n, a int) int { return (n + a - 1) / a * a }
