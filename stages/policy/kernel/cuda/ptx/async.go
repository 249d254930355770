package ptx

import "strings"

// asyncCopy is a cp.async under way. Its bytes are read when it is issued, and arrive in shared memory as
// late as is allowed: when its thread waits for its group. Until then no thread may touch the destination.
type asyncCopy struct {
	dst  int
	data []byte
}

func (c *compiler) copyAsync() exec {
	switch c.in.op {
	case "cp.async.commit_group":
		return c.waitAsync(true, -1)
	case "cp.async.wait_all":
		return c.waitAsync(true, 0)
	case "cp.async.wait_group":
		if c.arg(0).kind != immOperand {
			return nil
		}
		return c.waitAsync(false, int(c.arg(0).imm))
	}
	if c.part(1) == "async" && len(c.in.parts) >= 5 {
		return c.issueAsync()
	}
	return nil
}

// waitAsync closes the open group if commit is set, and then lets all but keep groups arrive; −1: none.
func (c *compiler) waitAsync(commit bool, keep int) exec {
	return func(w *warp, active uint32) error {
		for l := range 32 {
			if active>>l&1 == 0 {
				continue
			}
			if len(w.async[l]) == 0 {
				w.async[l] = [][]asyncCopy{nil}
			}
			if commit {
				w.async[l] = append(w.async[l], nil)
			}
			for keep >= 0 && len(w.async[l])-1 > keep {
				if err := w.arrive(l, w.async[l][0]); err != nil {
					return err
				}
				w.async[l] = w.async[l][1:]
			}
		}
		return nil
	}
}

// issueAsync is cp.async.{ca,cg}.shared.global [dst], [src], size {, bytes to read}; the rest becomes zero.
func (c *compiler) issueAsync() exec {
	p := c.in.parts
	if p[2] != "ca" && p[2] != "cg" || p[3] != "shared" && p[3] != "shared::cta" || p[4] != "global" {
		return nil
	}
	for _, x := range p[5:] {
		if !strings.HasPrefix(x, "L2::") {
			return nil
		}
	}
	dst, dstOff := c.mem(0)
	src, srcOff := c.mem(1)
	n := int(c.arg(2).imm)
	if n != 16 && (p[2] == "cg" || n != 4 && n != 8) {
		c.fail("a copy of %d bytes", n)
	}
	count := -1
	if len(c.in.args) > 3 {
		count = c.src(3)
	}
	return func(w *warp, active uint32) error {
		w.profile(shared, active, &w.regs[dst], dstOff, n)
		w.profile(global, active, &w.regs[src], srcOff, n)
		for l := range 32 {
			if active>>l&1 == 0 {
				continue
			}
			read := n
			if count >= 0 {
				read = int(int32(w.regs[count][l]))
			}
			if err := w.issue(l, w.regs[src][l]+srcOff, w.regs[dst][l]+dstOff, n, read); err != nil {
				return err
			}
		}
		return nil
	}
}

// issue begins a copy of n bytes, of which read are read.
func (w *warp) issue(lane int, from, to uint64, n, read int) error {
	if read < 0 || read > n {
		return fault(OutOfBounds, lane, "cp.async reads %d bytes of %d", read, n)
	}
	if from%uint64(n) != 0 {
		return fault(Misaligned, lane, "cp.async of %d bytes from %#x", n, from)
	}
	step := 1
	if read == n {
		step = n
	}
	data := make([]byte, n)
	for i := 0; i < read; i += step {
		b, err := w.globalAccess(lane, from+uint64(i), step, readAccess)
		if err != nil {
			return err
		}
		copy(data[i:], b)
	}
	s := w.block.shared
	if _, err := s.access(w, lane, to, n, writeAccess); err != nil {
		return err
	}
	clear(s.written[to : to+uint64(n)])
	for i := to / 4; i < (to+uint64(n))/4; i++ {
		s.pending[i] = int32(w.id*32+lane) + 1
	}
	if len(w.async[lane]) == 0 {
		w.async[lane] = [][]asyncCopy{nil}
	}
	open := len(w.async[lane]) - 1
	w.async[lane][open] = append(w.async[lane][open], asyncCopy{int(to), data})
	return nil
}

// arrive writes the copies of a group.
func (w *warp) arrive(lane int, group []asyncCopy) error {
	s := w.block.shared
	for _, cp := range group {
		clear(s.pending[cp.dst/4 : (cp.dst+len(cp.data))/4])
		b, err := s.access(w, lane, uint64(cp.dst), len(cp.data), writeAccess)
		if err != nil {
			return err
		}
		copy(b, cp.data)
	}
	return nil
}
