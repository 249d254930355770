package ptx

import "slices"

// Instructions that move data: ld, st, atom, mov, cvta.

// hints change speed or order only, and are ignored.
var hints = []string{"nc", "ca", "cg", "cs", "lu", "cv", "wb", "wt", "volatile", "relaxed", "acquire", "release",
	"weak", "gpu", "cta", "sys", "L1::no_allocate", "L1::evict_last", "L1::evict_first",
	"L2::64B", "L2::128B", "L2::256B", "unified"}

var spaces = map[string]space{"global": global, "const": global, "shared": shared, "shared::cta": shared,
	"local": local, "param": param}

// shape reads the modifiers of ld and st: state space, elements, bytes of one.
func (c *compiler) shape() (sp space, n, size int) {
	n = 1
	for _, m := range c.modifiers() {
		s, isSpace := spaces[m]
		switch {
		case isSpace:
			sp = s
		case m == "v2":
			n = 2
		case m == "v4":
			n = 4
		case !slices.Contains(hints, m):
			c.fail("modifier %s is not supported", m)
		}
	}
	bits := typeBits[c.typ()]
	if bits < 8 || n*bits > 128 || bits > 64 {
		c.fail("type %s is not supported", c.typ())
	}
	return sp, n, bits / 8
}

func (c *compiler) load() exec {
	sp, n, size := c.shape()
	dst := c.dstVec(0, n)
	base, off := c.mem(1)
	signed := c.typ()[0] == 's'
	width := c.k.regs[dst[0]].bits
	return func(w *warp, active uint32) error {
		A := &w.regs[base]
		w.profile(sp, active, A, off, n*size) // first: the address may be overwritten
		for l := range 32 {
			if active>>l&1 == 0 {
				continue
			}
			b, err := w.access(sp, l, A[l]+off, n*size, readAccess)
			if err != nil {
				return err
			}
			for i, d := range dst {
				v := getLE(b[i*size : (i+1)*size])
				if signed {
					v = truncate(uint64(signExtend(v, size*8)), width)
				}
				w.regs[d][l] = v
			}
		}
		return nil
	}
}

func (c *compiler) store() exec {
	sp, n, size := c.shape()
	base, off := c.mem(0)
	src := c.vec(1, n)
	return func(w *warp, active uint32) error {
		A := &w.regs[base]
		for l := range 32 {
			if active>>l&1 == 0 {
				continue
			}
			b, err := w.access(sp, l, A[l]+off, n*size, writeAccess)
			if err != nil {
				return err
			}
			for i, s := range src {
				putLE(b[i*size:(i+1)*size], w.regs[s][l])
			}
		}
		w.profile(sp, active, A, off, n*size)
		return nil
	}
}

// atomicShape reads the modifiers of atom and red.
func (c *compiler) atomicShape() (sp space, op string) {
	for _, m := range c.modifiers() {
		s, isSpace := spaces[m]
		switch {
		case isSpace:
			sp = s
		case slices.Contains([]string{"add", "min", "max", "and", "or", "xor", "exch", "cas"}, m):
			op = m
		case !slices.Contains(hints, m):
			c.fail("modifier %s is not supported", m)
		}
	}
	return sp, op
}

// atomic lets the lanes act one after the other, in their order.
func (c *compiler) atomic() exec {
	sp, op := c.atomicShape()
	at, d := 0, -1
	if c.in.parts[0] == "atom" {
		at = 1
		if c.arg(0).kind != sinkOperand {
			d = c.dst(0)
		}
	}
	base, off := c.mem(at)
	a := c.src(at + 1)
	b := a
	if op == "cas" {
		b = c.src(at + 2)
	}
	f, bits := exchange(op, c.typ()), typeBits[c.typ()]
	if f == nil || bits < 16 || bits > 64 {
		return nil
	}
	return func(w *warp, active uint32) error {
		for l := range 32 {
			if active>>l&1 == 0 {
				continue
			}
			mem, err := w.access(sp, l, w.regs[base][l]+off, bits/8, atomicAccess)
			if err != nil {
				return err
			}
			old := getLE(mem)
			putLE(mem, f(old, truncate(w.regs[a][l], bits), truncate(w.regs[b][l], bits)))
			if d >= 0 {
				w.regs[d][l] = old
			}
		}
		return nil
	}
}

// exchange gives what an atomic writes, of what was there and its operands.
func exchange(op, t string) func(old, a, b uint64) uint64 {
	switch op {
	case "exch":
		return func(_, a, _ uint64) uint64 { return a }
	case "cas":
		return func(old, a, b uint64) uint64 {
			if old == a {
				return b
			}
			return old
		}
	}
	if f := binary2(op, t); f != nil {
		return func(old, a, _ uint64) uint64 { return f(old, a) }
	}
	return nil
}

func (c *compiler) move() exec {
	bits := typeBits[c.typ()]
	if bits == 0 || bits > 64 || len(c.in.parts) != 2 {
		return nil
	}
	if n := len(c.arg(1).vec); c.arg(1).kind == vecOperand && n > 0 {
		return pack(c.dst(0), c.vec(1, n), bits/n)
	}
	if n := len(c.arg(0).vec); c.arg(0).kind == vecOperand && n > 0 {
		return unpack(c.arg(0).vec, c.src(1), bits/n)
	}
	return lanes1(c.dst(0), c.src(1), func(a uint64) uint64 { return truncate(a, bits) })
}

func pack(d int, src []int, part int) exec {
	return func(w *warp, active uint32) error {
		for l := range 32 {
			if active>>l&1 != 0 {
				v := uint64(0)
				for i, r := range src {
					v |= truncate(w.regs[r][l], part) << (i * part)
				}
				w.regs[d][l] = v
			}
		}
		return nil
	}
}

func unpack(dst []operand, src, part int) exec {
	return func(w *warp, active uint32) error {
		for l := range 32 {
			if active>>l&1 != 0 {
				v := w.regs[src][l]
				for i, o := range dst {
					if o.kind == regOperand {
						w.regs[o.reg][l] = truncate(v>>(i*part), part)
					}
				}
			}
		}
		return nil
	}
}

// convertAddress converts between the addresses of a state space and generic ones. Those of global and
// constant memory are generic already.
func (c *compiler) convertAddress() exec {
	base := uint64(0)
	switch {
	case c.has("shared"):
		base = sharedBase
	case c.has("local"):
		base = localBase
	case !c.has("global") && !c.has("const"):
		return nil
	}
	if c.part(1) == "to" {
		base = -base
	}
	return lanes1(c.dst(0), c.src(1), func(a uint64) uint64 { return a + base })
}
