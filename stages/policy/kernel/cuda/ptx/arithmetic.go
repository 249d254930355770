package ptx

import (
	"math"
	"math/bits"
	"strings"
)

// arithmetic chooses by type and operands.
func (c *compiler) arithmetic() exec {
	t := c.typ()
	if n := typeBits[t]; n == 0 || n > 64 || len(c.in.parts) < 2 {
		return nil
	}
	if run := c.fast(); run != nil {
		return run
	}
	if run := c.bitwise(); run != nil {
		return run
	}
	isFloat := strings.HasPrefix(t, "f") || strings.HasPrefix(t, "bf")
	switch n := len(c.in.args); {
	case isFloat && n == 2:
		return c.float1()
	case isFloat && n == 3:
		return c.float2()
	case isFloat && n == 4:
		return c.float3()
	case c.in.parts[0] == "mul" || c.in.parts[0] == "mad":
		return c.multiply()
	case n == 2 && len(c.in.parts) <= 3:
		if f := unary(c.in.parts[0], t, c.has("shiftamt")); f != nil {
			return lanes1(c.dst(0), c.src(1), f)
		}
	case n == 3 && len(c.in.parts) == 2:
		if f := binary2(c.in.parts[0], t); f != nil {
			return lanes2(c.dst(0), c.src(1), c.src(2), f)
		}
	}
	return nil
}

// bitwise are the operations on bits with more than two operands.
func (c *compiler) bitwise() exec {
	n := typeBits[c.typ()]
	switch c.in.parts[0] {
	case "selp":
		return lanes3(c.dst(0), c.src(1), c.src(2), c.src(3), func(a, b, p uint64) uint64 {
			if p != 0 {
				return truncate(a, n)
			}
			return truncate(b, n)
		})
	case "bfe":
		return lanes3(c.dst(0), c.src(1), c.src(2), c.src(3), extract(c.typ()))
	case "bfi":
		return c.insert()
	case "prmt":
		if len(c.in.parts) == 2 {
			return lanes3(c.dst(0), c.src(1), c.src(2), c.src(3), permute)
		}
	case "lop3":
		if len(c.in.parts) == 2 && c.arg(4).kind == immOperand {
			return lanes3(c.dst(0), c.src(1), c.src(2), c.src(3), lookup3(c.arg(4).imm))
		}
	case "shf":
		if left, wrap := c.part(1), c.part(2); (left == "l" || left == "r") && (wrap == "wrap" || wrap == "clamp") {
			return lanes3(c.dst(0), c.src(1), c.src(2), c.src(3), funnel(left == "l", wrap == "wrap"))
		}
	}
	return nil
}

// extract is bfe: len bits of a from pos on.
func extract(t string) func(a, pos, length uint64) uint64 {
	n := typeBits[t]
	return func(a, pos, length uint64) uint64 {
		p, l := int(pos&255), int(length&255)
		if t[0] != 's' {
			return truncate(truncate(a, n)>>p, l)
		}
		if l == 0 {
			return 0
		}
		v := uint64(signExtend(a, n) >> min(p, n-1))
		return truncate(uint64(signExtend(v, min(l, n))), n)
	}
}

// insert is bfi: the low bits of a replace bits of b.
func (c *compiler) insert() exec {
	n := typeBits[c.typ()]
	d, a, b, pos, length := c.dst(0), c.src(1), c.src(2), c.src(3), c.src(4)
	return func(w *warp, active uint32) error {
		for l := range 32 {
			if active>>l&1 != 0 {
				p := w.regs[pos][l] & 255
				mask := truncate(math.MaxUint64, int(w.regs[length][l]&255)) << p
				w.regs[d][l] = truncate(w.regs[b][l]&^mask|w.regs[a][l]<<p&mask, n)
			}
		}
		return nil
	}
}

// permute is prmt: four of the eight bytes of a and b, or the signs of them.
func permute(a, b, selector uint64) uint64 {
	all, r := a&0xffffffff|b<<32, uint64(0)
	for i := range 4 {
		s := selector >> (4 * i) & 15
		v := all >> (8 * (s & 7)) & 255
		if s&8 != 0 {
			v = uint64(signExtend(v, 8)>>7) & 255
		}
		r |= v << (8 * i)
	}
	return r
}

// lookup3 is lop3: bit by bit, the table's bit number 4a + 2b + c.
func lookup3(table uint64) func(a, b, c uint64) uint64 {
	return func(a, b, c uint64) uint64 {
		r := uint64(0)
		for i := range 8 {
			if table>>i&1 == 0 {
				continue
			}
			term := uint64(math.MaxUint64)
			for bit, v := range [3]uint64{c, b, a} {
				if i>>bit&1 == 0 {
					v = ^v
				}
				term &= v
			}
			r |= term
		}
		return truncate(r, 32)
	}
}

// funnel is shf: a shift of the 64 bits of b and a, of which 32 are left.
func funnel(left, wrap bool) func(a, b, shift uint64) uint64 {
	return func(a, b, shift uint64) uint64 {
		v, k := a&0xffffffff|b<<32, min(shift&0xffffffff, 32)
		if wrap {
			k = shift & 31
		}
		if left {
			return v << k >> 32
		}
		return truncate(v>>k, 32)
	}
}

// multiply is mul and mad of integers.
func (c *compiler) multiply() exec {
	part, n := c.part(1), typeBits[c.typ()]
	f := integerProduct(part, c.typ())
	if f == nil || len(c.in.parts) != 3 {
		return nil
	}
	if part == "wide" {
		n *= 2
	}
	if c.in.parts[0] == "mul" {
		return lanes2(c.dst(0), c.src(1), c.src(2), f)
	}
	return lanes3(c.dst(0), c.src(1), c.src(2), c.src(3), func(a, b, c uint64) uint64 { return truncate(f(a, b)+c, n) })
}

func integerProduct(part, t string) func(a, b uint64) uint64 {
	n, signed := typeBits[t], t[0] == 's'
	value := func(v uint64) uint64 {
		if signed {
			return uint64(signExtend(v, n))
		}
		return truncate(v, n)
	}
	switch {
	case part == "lo":
		return func(a, b uint64) uint64 { return truncate(a*b, n) }
	case part == "wide" && n <= 32:
		return func(a, b uint64) uint64 { return truncate(value(a)*value(b), 2*n) }
	case part == "hi" && n <= 32:
		return func(a, b uint64) uint64 { return truncate(value(a)*value(b)>>n, n) }
	case part == "hi":
		return func(a, b uint64) uint64 { return highProduct(a, b, signed) }
	}
	return nil
}

func highProduct(a, b uint64, signed bool) uint64 {
	high, _ := bits.Mul64(a, b)
	if signed && int64(a) < 0 {
		high -= b
	}
	if signed && int64(b) < 0 {
		high -= a
	}
	return high
}

func unary(op, t string, shiftAmount bool) func(uint64) uint64 {
	n := typeBits[t]
	switch op {
	case "not":
		return func(a uint64) uint64 { return truncate(^a, n) } // of a predicate too: one bit
	case "cnot":
		return func(a uint64) uint64 { return boolBit(truncate(a, n) == 0) }
	case "neg":
		return func(a uint64) uint64 { return truncate(-a, n) }
	case "abs":
		return func(a uint64) uint64 {
			if signExtend(a, n) < 0 {
				a = -a
			}
			return truncate(a, n)
		}
	case "popc":
		return func(a uint64) uint64 { return uint64(bits.OnesCount64(truncate(a, n))) }
	case "clz":
		return func(a uint64) uint64 { return uint64(bits.LeadingZeros64(truncate(a, n)) - (64 - n)) }
	case "brev":
		return func(a uint64) uint64 { return bits.Reverse64(truncate(a, n)) >> (64 - n) }
	case "bfind":
		return func(a uint64) uint64 {
			if t[0] == 's' && signExtend(a, n) < 0 {
				a = ^a
			}
			i := bits.Len64(truncate(a, n)) - 1
			if i >= 0 && shiftAmount {
				i = n - 1 - i
			}
			return uint64(uint32(i))
		}
	}
	return nil
}

// binary2 are the operations of two integers; atomics use them as well, and add.f32.
func binary2(op, t string) func(a, b uint64) uint64 {
	n := typeBits[t]
	switch {
	case (t == "u16x2" || t == "s16x2") && (op == "add" || op == "min" || op == "max"):
		f := binary2(op, t[:3])
		return func(a, b uint64) uint64 { return f(a, b) | f(a>>16, b>>16)<<16 }
	case t == "f32" && op == "add":
		return func(a, b uint64) uint64 { return b32(f32(a) + f32(b)) }
	case strings.Contains(t, "x2") || strings.HasPrefix(t, "f") || strings.HasPrefix(t, "bf"):
		return nil
	}
	switch op {
	case "add":
		return func(a, b uint64) uint64 { return truncate(a+b, n) }
	case "sub":
		return func(a, b uint64) uint64 { return truncate(a-b, n) }
	case "and":
		return func(a, b uint64) uint64 { return truncate(a&b, n) }
	case "or":
		return func(a, b uint64) uint64 { return truncate(a|b, n) }
	case "xor":
		return func(a, b uint64) uint64 { return truncate(a^b, n) }
	case "shl":
		return func(a, b uint64) uint64 { return truncate(a<<min(b&0xffffffff, 64), n) }
	}
	if t[0] == 's' {
		return signed2(op, n)
	}
	return unsigned2(op, n)
}

func signed2(op string, n int) func(a, b uint64) uint64 {
	switch op {
	case "shr":
		return func(a, b uint64) uint64 { return truncate(uint64(signExtend(a, n)>>min(b&0xffffffff, 63)), n) }
	case "div":
		return func(a, b uint64) uint64 {
			if truncate(b, n) == 0 {
				return truncate(math.MaxUint64, n)
			}
			return truncate(uint64(signExtend(a, n)/signExtend(b, n)), n)
		}
	case "rem":
		return func(a, b uint64) uint64 {
			if truncate(b, n) == 0 {
				return truncate(a, n)
			}
			return truncate(uint64(signExtend(a, n)%signExtend(b, n)), n)
		}
	case "min":
		return func(a, b uint64) uint64 { return truncate(uint64(min(signExtend(a, n), signExtend(b, n))), n) }
	case "max":
		return func(a, b uint64) uint64 { return truncate(uint64(max(signExtend(a, n), signExtend(b, n))), n) }
	}
	return nil
}

func unsigned2(op string, n int) func(a, b uint64) uint64 {
	switch op {
	case "shr":
		return func(a, b uint64) uint64 { return truncate(a, n) >> min(b&0xffffffff, 64) }
	case "div":
		return func(a, b uint64) uint64 {
			if truncate(b, n) == 0 {
				return truncate(math.MaxUint64, n)
			}
			return truncate(a, n) / truncate(b, n)
		}
	case "rem":
		return func(a, b uint64) uint64 {
			if truncate(b, n) == 0 {
				return truncate(a, n)
			}
			return truncate(a, n) % truncate(b, n)
		}
	case "min":
		return func(a, b uint64) uint64 { return min(truncate(a, n), truncate(b, n)) }
	case "max":
		return func(a, b uint64) uint64 { return max(truncate(a, n), truncate(b, n)) }
	}
	return nil
}
