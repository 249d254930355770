package ptx

import (
	"fmt"
	"slices"
)

// exec runs one instruction for the active lanes.
type exec = func(w *warp, active uint32) error

// compiler makes a function of one instruction. Every operand is a register: immediates and addresses
// of variables have registers of their own, which are filled when a warp is made.
type compiler struct {
	k  *Kernel
	in *instruction
}

var errUnknown = fmt.Errorf("the interpreter does not know this instruction")

func (c *compiler) fail(format string, args ...any) { panic(parseError{fmt.Errorf(format, args...)}) }

func compile(k *Kernel, in *instruction) (err error) {
	if in.flow != flowNext {
		return nil
	}
	defer catch(&err)
	c := &compiler{k, in}
	if in.run = c.compile(); in.run == nil && in.flow == flowNext {
		return errUnknown
	}
	return nil
}

// compile returns nil for what it does not know, and for a barrier of the block, which has no run.
func (c *compiler) compile() exec {
	switch c.in.parts[0] {
	case "bar", "barrier":
		return c.barrier()
	case "ld", "ldu":
		return c.load()
	case "st":
		return c.store()
	case "atom", "red":
		return c.atomic()
	case "mov":
		return c.move()
	case "cvta":
		return c.convertAddress()
	case "cvt":
		return c.convert()
	case "setp":
		return c.setPredicate()
	case "shfl", "vote", "activemask", "redux":
		return c.warpWide()
	case "mma":
		return c.multiplyTile()
	case "ldmatrix":
		return c.loadTile()
	case "cp":
		return c.copyAsync()
	case "membar", "fence", "nanosleep", "prefetch":
		return func(*warp, uint32) error { return nil }
	case "trap":
		return func(*warp, uint32) error { return fault(Trap, -1, "the kernel gave up") }
	}
	return c.arithmetic()
}

// barrier knows barrier 0 of the whole block, and the barrier of a warp.
func (c *compiler) barrier() exec {
	switch c.in.op {
	case "bar.warp.sync":
		return c.warpBarrier()
	case "bar.sync", "barrier.sync", "barrier.sync.aligned", "bar.cta.sync", "barrier.cta.sync.aligned":
		if len(c.in.args) != 1 || c.in.args[0].kind != immOperand || c.in.args[0].imm != 0 {
			c.fail("only barrier 0 of the whole block is supported")
		}
		c.in.flow = flowBarrier
	}
	return nil
}

func (c *compiler) has(part string) bool { return slices.Contains(c.in.parts, part) }

// modifiers are the parts between the name and the type.
func (c *compiler) modifiers() []string {
	if len(c.in.parts) < 2 {
		c.fail("the type is missing")
	}
	return c.in.parts[1 : len(c.in.parts)-1]
}

// typ is the last part: the type of the operands.
func (c *compiler) typ() string { return c.in.parts[len(c.in.parts)-1] }

func (c *compiler) part(i int) string {
	if i >= len(c.in.parts) {
		return ""
	}
	return c.in.parts[i]
}

func (c *compiler) arg(i int) operand {
	if i >= len(c.in.args) {
		c.fail("operand %d is missing", i+1)
	}
	return c.in.args[i]
}

func (c *compiler) reg(o operand) int {
	switch o.kind {
	case regOperand:
		return o.reg
	case immOperand:
		return c.k.constant(o.imm)
	case symOperand:
		offset := o.sym.offset
		if o.sym.space == "shared" && o.sym.size == 0 { // the dynamic part begins behind the static one
			offset = uint64(alignUp(c.k.sharedBytes, 16))
		}
		return c.k.constant(offset + uint64(o.off))
	}
	c.fail("an operand is no register, number or variable")
	return 0
}

func (c *compiler) src(i int) int {
	if c.arg(i).not {
		c.fail("operand %d: ! is not supported here", i+1)
	}
	return c.reg(c.arg(i))
}

// predicate is an operand that may stand behind !.
func (c *compiler) predicate(i int) (reg int, not bool) {
	o := c.arg(i)
	return c.reg(o), o.not
}

func (c *compiler) dst(i int) int {
	o := c.arg(i)
	if o.kind != regOperand {
		c.fail("operand %d is no register to write to", i+1)
	}
	return o.reg
}

// pair is the destination d or d|p; p is −1 where it is missing or _.
func (c *compiler) pair(i int) (d, p int) {
	o := c.arg(i)
	if o.kind != pairOperand {
		return c.dst(i), -1
	}
	d, p = -1, -1
	if o.vec[0].kind == regOperand {
		d = o.vec[0].reg
	}
	if o.vec[1].kind == regOperand {
		p = o.vec[1].reg
	}
	if d < 0 {
		c.fail("operand %d is no register to write to", i+1)
	}
	return d, p
}

// vec are the registers of {a, b, …} or of a single operand, n of them.
func (c *compiler) vec(i, n int) (regs []int) {
	o := c.arg(i)
	if o.kind != vecOperand {
		regs = []int{c.reg(o)}
	}
	for _, e := range o.vec {
		regs = append(regs, c.reg(e))
	}
	if len(regs) != n {
		c.fail("operand %d has %d registers, want %d", i+1, len(regs), n)
	}
	return regs
}

// dstVec is vec for registers that are written to.
func (c *compiler) dstVec(i, n int) []int {
	o := c.arg(i)
	if o.kind != vecOperand {
		o = operand{vec: []operand{o}}
	}
	for _, e := range o.vec {
		if e.kind != regOperand {
			c.fail("operand %d is no register to write to", i+1)
		}
	}
	return c.vec(i, n)
}

func (c *compiler) mem(i int) (base int, off uint64) {
	o := c.arg(i)
	if o.kind != memOperand {
		c.fail("operand %d is no address", i+1)
	}
	return c.reg(o.vec[0]), uint64(o.off)
}

// Loops over lanes.

func fill(w *warp, active uint32, d int, v uint64) error {
	for l := range 32 {
		if active>>l&1 != 0 {
			w.regs[d][l] = v
		}
	}
	return nil
}

func lanes1(d, a int, f func(a uint64) uint64) exec {
	return func(w *warp, active uint32) error {
		D, A := &w.regs[d], &w.regs[a]
		for l := range 32 {
			if active>>l&1 != 0 {
				D[l] = f(A[l])
			}
		}
		return nil
	}
}

func lanes2(d, a, b int, f func(a, b uint64) uint64) exec {
	return func(w *warp, active uint32) error {
		D, A, B := &w.regs[d], &w.regs[a], &w.regs[b]
		for l := range 32 {
			if active>>l&1 != 0 {
				D[l] = f(A[l], B[l])
			}
		}
		return nil
	}
}

func lanes3(d, a, b, c int, f func(a, b, c uint64) uint64) exec {
	return func(w *warp, active uint32) error {
		D, A, B, C := &w.regs[d], &w.regs[a], &w.regs[b], &w.regs[c]
		for l := range 32 {
			if active>>l&1 != 0 {
				D[l] = f(A[l], B[l], C[l])
			}
		}
		return nil
	}
}

func signExtend(v uint64, n int) int64 { return int64(v<<(64-n)) >> (64 - n) }

func truncate(v uint64, n int) uint64 {
	if n >= 64 {
		return v
	}
	return v & (1<<n - 1)
}

func boolBit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
