package ptx

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Comparisons and conversions.

func (c *compiler) setPredicate() exec {
	test := comparison(c.part(1), c.typ(), c.has("ftz"))
	if test == nil {
		return nil
	}
	d, q := c.pair(0)
	a, b := c.src(1), c.src(2)
	join, third, not := c.part(2), a, false
	if join == "and" || join == "or" || join == "xor" {
		third, not = c.predicate(3)
	} else {
		join = ""
	}
	return func(w *warp, active uint32) error {
		D, A, B, R := &w.regs[d], &w.regs[a], &w.regs[b], &w.regs[third]
		for l := range 32 {
			if active>>l&1 == 0 {
				continue
			}
			v := test(A[l], B[l])
			p := (R[l] != 0) != not
			D[l] = boolBit(joined(join, v, p))
			if q >= 0 {
				w.regs[q][l] = boolBit(joined(join, !v, p))
			}
		}
		return nil
	}
}

func joined(join string, v, p bool) bool {
	switch join {
	case "and":
		return v && p
	case "or":
		return v || p
	case "xor":
		return v != p
	}
	return v
}

func comparison(op, t string, ftz bool) func(a, b uint64) bool {
	n := typeBits[t]
	if dec := decoder(t, ftz); dec != nil {
		return floatComparison(op, dec)
	}
	if n == 0 || strings.Contains(t, "x2") {
		return nil
	}
	holds := ordering(op)
	if holds == nil {
		return nil
	}
	if t[0] == 's' {
		return func(a, b uint64) bool { return holds(cmp.Compare(signExtend(a, n), signExtend(b, n))) }
	}
	return func(a, b uint64) bool { return holds(cmp.Compare(truncate(a, n), truncate(b, n))) }
}

// ordering tells which results of cmp.Compare a comparison holds for.
func ordering(op string) func(int) bool {
	switch op {
	case "eq":
		return func(c int) bool { return c == 0 }
	case "ne":
		return func(c int) bool { return c != 0 }
	case "lt", "lo":
		return func(c int) bool { return c < 0 }
	case "le", "ls":
		return func(c int) bool { return c <= 0 }
	case "gt", "hi":
		return func(c int) bool { return c > 0 }
	case "ge", "hs":
		return func(c int) bool { return c >= 0 }
	}
	return nil
}

// floatComparison knows the ordered comparisons, which are false with a NaN, and those with a u behind
// them, which are true.
func floatComparison(op string, dec func(uint64) float64) func(a, b uint64) bool {
	isNaN := func(a, b uint64) bool { return math.IsNaN(dec(a)) || math.IsNaN(dec(b)) }
	switch op {
	case "nan":
		return isNaN
	case "num":
		return func(a, b uint64) bool { return !isNaN(a, b) }
	}
	unordered := len(op) == 3 && op[2] == 'u'
	holds := ordering(strings.TrimSuffix(op, "u"))
	if holds == nil {
		return nil
	}
	return func(a, b uint64) bool {
		if isNaN(a, b) {
			return unordered
		}
		return holds(cmp.Compare(dec(a), dec(b)))
	}
}

// conversion is what the parts of a cvt say.
type conversion struct {
	to, from       string
	mode           string // rn … of floats, rni … to integers
	sat, ftz, relu bool
}

func (c *compiler) conversion() (v conversion, ok bool) {
	var types []string
	for _, p := range c.in.parts[1:] {
		switch {
		case typeBits[p] > 0:
			types = append(types, p)
		case p == "sat":
			v.sat = true
		case p == "ftz":
			v.ftz = true
		case p == "relu":
			v.relu = true
		case slices.Contains([]string{"rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi"}, p):
			v.mode = p
		default:
			return v, false
		}
	}
	if len(types) != 2 {
		return v, false
	}
	v.to, v.from = types[0], types[1]
	return v, true
}

func (c *compiler) convert() exec {
	v, ok := c.conversion()
	if !ok {
		return nil
	}
	d, a := c.dst(0), c.src(1)
	if v.to == "bf16x2" || v.to == "f16x2" {
		return c.convertPair(v, d, a)
	}
	width := c.k.regs[d].bits
	fromFloat, toFloat := decoder(v.from, v.ftz), encoder(v.to, v.mode, v.ftz)
	var f func(uint64) uint64
	switch {
	case fromFloat != nil && toFloat != nil:
		f = v.floats(fromFloat, toFloat)
	case fromFloat != nil:
		f = v.toInteger(fromFloat, width)
	case toFloat != nil:
		f = v.fromInteger(toFloat)
	default:
		f = v.integers(width)
	}
	if f == nil {
		return nil
	}
	return lanes1(d, a, f)
}

// convertPair rounds two float32 values to halves, the first one to the upper half.
func (c *compiler) convertPair(v conversion, d, a int) exec {
	h := halfOf(v.to)
	if v.from != "f32" || v.sat || len(v.mode) != 2 {
		return nil
	}
	encode := func(x uint64) uint64 {
		y := float64(f32(x))
		if v.relu {
			y = fmax(y, 0)
		}
		return h.encode(y, v.mode)
	}
	return lanes2(d, a, c.src(2), func(a, b uint64) uint64 { return encode(a)<<16 | encode(b) })
}

func (v conversion) floats(dec func(uint64) float64, enc func(float64) uint64) func(uint64) uint64 {
	return func(a uint64) uint64 {
		x := dec(a)
		if len(v.mode) == 3 {
			x = roundInt(x, v.mode)
		}
		if v.sat {
			x = saturate(x)
		}
		if v.relu {
			x = fmax(x, 0)
		}
		return enc(x)
	}
}

// toInteger clamps to the type's range; NaN becomes 0.
func (v conversion) toInteger(dec func(uint64) float64, width int) func(uint64) uint64 {
	n, signed := typeBits[v.to], v.to[0] == 's'
	if len(v.mode) != 3 {
		return nil
	}
	low, high, most := 0.0, math.Ldexp(1, n), truncate(math.MaxUint64, n)
	if signed {
		low, high, most = -math.Ldexp(1, n-1), math.Ldexp(1, n-1), 1<<(n-1)-1
	}
	return func(a uint64) uint64 {
		x := roundInt(dec(a), v.mode)
		var r uint64
		switch {
		case math.IsNaN(x):
		case x >= high:
			r = most
		case x <= low:
			r = uint64(int64(low))
		case signed:
			r = uint64(int64(x))
		default:
			r = uint64(x)
		}
		return truncate(r, width)
	}
}

func (v conversion) fromInteger(enc func(float64) uint64) func(uint64) uint64 {
	n, signed := typeBits[v.from], v.from[0] == 's'
	switch {
	case v.to == "f32" && v.mode == "rn" && signed: // at once: a double between would round twice
		return func(a uint64) uint64 { return b32(float32(signExtend(a, n))) }
	case v.to == "f32" && v.mode == "rn":
		return func(a uint64) uint64 { return b32(float32(truncate(a, n))) }
	case n == 64 && v.to != "f64":
		return nil
	case signed:
		return func(a uint64) uint64 { return enc(float64(signExtend(a, n))) }
	}
	return func(a uint64) uint64 { return enc(float64(truncate(a, n))) }
}

func (v conversion) integers(width int) func(uint64) uint64 {
	to, from := typeBits[v.to], typeBits[v.from]
	if v.mode != "" || v.sat {
		return nil
	}
	return func(a uint64) uint64 {
		x := truncate(a, from)
		if v.from[0] == 's' {
			x = uint64(signExtend(a, from))
		}
		x = truncate(x, to)
		if v.to[0] == 's' {
			x = truncate(uint64(signExtend(x, to)), width)
		}
		return x
	}
}
