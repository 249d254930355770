package ptx

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

const allLanes = 0xffffffff

// lanes are the values of one register in the 32 lanes of a warp.
type lanes = [32]uint64

// frame is a set of lanes that run together from pc until meet, where they wait for those below.
type frame struct {
	pc, meet int
	mask     uint32
}

type warp struct {
	block     *block
	id        int
	regs      []lanes
	stack     []frame
	live      uint32 // lanes that have not left the kernel
	atBarrier bool
	phase     uint32 // barriers of the warp that it has passed

	local        []byte // localBytes for each lane
	localWritten []byte
	async        [32][][]asyncCopy // of each lane: groups of cp.async, the last one open
}

func newWarp(b *block, id int, grid [3]int) *warp {
	k := b.kernel
	w := &warp{block: b, id: id, regs: make([]lanes, len(k.regs)+len(k.consts)),
		local: make([]byte, 32*k.localBytes), localWritten: make([]byte, 32*k.localBytes)}
	for i, c := range k.consts {
		for l := range 32 {
			w.regs[len(k.regs)+i][l] = c
		}
	}
	for l := range 32 {
		t := w.thread(l)
		for i, v := range []int{t[0], t[1], t[2], b.dim[0], b.dim[1], b.dim[2], 0, 0, 0, grid[0], grid[1], grid[2],
			l, id, 1 << l, 2<<l - 1, 1<<l - 1, allLanes << l & allLanes, allLanes << l << 1 & allLanes, 32} {
			w.regs[i][l] = uint64(v)
		}
	}
	return w
}

// thread is the index in the block of a lane's thread.
func (w *warp) thread(lane int) [3]int {
	t, dim := w.id*32+lane, w.block.dim
	return [3]int{t % dim[0], t / dim[0] % dim[1], t / dim[0] / dim[1]}
}

// reset readies the warp for another block. Registers keep what they held: the compiler writes every
// register before it reads it.
func (w *warp) reset(threads int) {
	w.live = allLanes
	if n := threads - w.id*32; n < 32 {
		w.live = 1<<n - 1
	}
	w.stack = append(w.stack[:0], frame{0, len(w.block.kernel.code), w.live})
	w.atBarrier = false
	clear(w.localWritten)
	for l := range w.async {
		w.async[l] = nil
	}
	for i, v := range w.block.index {
		for l := range 32 {
			w.regs[blockIndex+i][l] = uint64(v)
		}
	}
}

// run executes the warp until a barrier or its end.
func (w *warp) run() error {
	stats, code := &w.block.machine.Stats, w.block.kernel.code
	for len(w.stack) > 0 && !w.atBarrier {
		top := &w.stack[len(w.stack)-1]
		top.mask &= w.live
		if top.pc == top.meet || top.mask == 0 {
			w.stack = w.stack[:len(w.stack)-1]
			continue
		}
		in := code[top.pc]
		active := w.guarded(in, top.mask)
		stats.WarpOps++
		stats.LaneOps += uint64(bits.OnesCount32(active))
		if stats.WarpOps > w.block.budget {
			return w.locate(fault(Timeout, -1, "the launch has run %d instructions", stats.WarpOps), in)
		}
		if err := w.step(top, in, active); err != nil {
			return w.locate(err, in)
		}
	}
	return nil
}

// guarded returns the lanes whose predicate lets the instruction run.
func (w *warp) guarded(in *instruction, mask uint32) uint32 {
	if in.guard < 0 {
		return mask
	}
	g := &w.regs[in.guard]
	for l := range 32 {
		if (g[l] != 0) == in.guardNot {
			mask &^= 1 << l
		}
	}
	return mask
}

func (w *warp) step(top *frame, in *instruction, active uint32) error {
	switch in.flow {
	case flowBranch:
		w.branch(top, in, active)
		return nil
	case flowJump:
		return w.jump(top, in, active)
	case flowExit:
		w.live &^= active
	case flowBarrier:
		if active != w.live {
			return fault(Divergence, -1, "%s by lanes %08x of a warp whose lanes are %08x", in.op, active, w.live)
		}
		w.atBarrier = true
	default:
		if active != 0 {
			if err := in.run(w, active); err != nil {
				return err
			}
		}
	}
	top.pc++
	return nil
}

// branch moves the active lanes to the target and leaves the others at the next instruction. If there
// are both, the frame itself moves to where they meet again, and each side gets a frame above it.
func (w *warp) branch(top *frame, in *instruction, active uint32) {
	rest := top.mask &^ active
	switch {
	case active == 0:
		top.pc++
		return
	case rest == 0:
		top.pc = in.target
		return
	}
	next := top.pc + 1
	w.part(top, in)
	w.push(frame{next, in.reconv, rest})
	w.push(frame{in.target, in.reconv, active})
}

// part moves the top frame to where its lanes meet, or removes it if the frame below waits there already.
func (w *warp) part(top *frame, in *instruction) {
	if top.meet == in.reconv {
		w.stack = w.stack[:len(w.stack)-1]
	} else {
		top.pc = in.reconv
	}
}

func (w *warp) push(f frame) {
	if f.pc != f.meet {
		w.stack = append(w.stack, f)
	}
}

// jump is a branch through a table: each lane has its own target.
func (w *warp) jump(top *frame, in *instruction, active uint32) error {
	byTarget := make([]uint32, len(in.table)+1)
	byTarget[len(in.table)] = top.mask &^ active
	for l, index := range &w.regs[in.args[0].reg] {
		if active>>l&1 == 0 {
			continue
		}
		if index >= uint64(len(in.table)) {
			return fault(OutOfBounds, l, "index %d of a jump table of %d", index, len(in.table))
		}
		byTarget[index] |= 1 << l
	}
	targets := append(slices.Clone(in.table), top.pc+1)
	w.part(top, in)
	for i, mask := range byTarget {
		if mask != 0 {
			w.push(frame{targets[i], in.reconv, mask})
		}
	}
	return nil
}

// locate completes a fault with its place.
func (w *warp) locate(err error, in *instruction) error {
	var f *Fault
	if !errors.As(err, &f) {
		return err
	}
	k := w.block.kernel
	f.Kernel, f.Block, f.Warp, f.Op, f.Line = k.Name, w.block.index, w.id, in.op, in.line
	f.Thread = w.thread(max(f.Lane, 0))
	f.Source = fmt.Sprintf("%s:%d", k.files[in.file], in.source)
	return f
}
