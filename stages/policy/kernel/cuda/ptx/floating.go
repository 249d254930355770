package ptx

import (
	"math"
	"strings"
)

// Arithmetic on floats.

// rounding are the modifiers of a float operation.
type rounding struct {
	mode             string // rn, rz, rm, rp
	given, ftz, sat  bool
	approximate, nan bool
}

func (c *compiler) rounding() rounding {
	r := rounding{mode: "rn"}
	for _, m := range c.modifiers() {
		switch m {
		case "rn", "rz", "rm", "rp":
			r.mode, r.given = m, true
		case "ftz":
			r.ftz = true
		case "sat":
			r.sat = true
		case "approx", "full":
			r.approximate = true
		case "NaN":
			r.nan = true
		default:
			c.fail("modifier %s is not supported", m)
		}
	}
	return r
}

// lift makes an operation on doubles one on the bits of the instruction's type, on both halves for the x2
// types. The result of f must be exact, rounded to odd, or of no defined rounding.
func (c *compiler) lift(f func(a, b, c float64) float64) func(a, b, c uint64) uint64 {
	r, t := c.rounding(), strings.TrimSuffix(c.typ(), "x2")
	dec, enc := decoder(t, r.ftz), encoder(t, r.mode, r.ftz)
	if dec == nil || t == "f64" && (r.mode != "rn" || r.sat) {
		return nil
	}
	one := func(a, b, c uint64) uint64 {
		v := f(dec(a), dec(b), dec(c))
		if r.sat {
			v = saturate(v)
		}
		return enc(v)
	}
	if t == c.typ() {
		return one
	}
	return func(a, b, c uint64) uint64 {
		return one(a&0xffff, b&0xffff, c&0xffff) | one(a>>16, b>>16, c>>16)<<16
	}
}

func (c *compiler) float3() exec {
	if c.in.parts[0] != "fma" {
		return nil
	}
	f := c.lift(fmaOdd)
	if c.typ() == "f64" {
		f = c.lift(math.FMA)
	}
	if f == nil {
		return nil
	}
	return lanes3(c.dst(0), c.src(1), c.src(2), c.src(3), f)
}

func (c *compiler) float2() exec {
	f := c.floatFunction2()
	if f == nil {
		return nil
	}
	g := c.lift(func(a, b, _ float64) float64 { return f(a, b) })
	if g == nil {
		return nil
	}
	return lanes2(c.dst(0), c.src(1), c.src(2), func(a, b uint64) uint64 { return g(a, b, 0) })
}

func (c *compiler) floatFunction2() func(a, b float64) float64 {
	double, r := c.typ() == "f64", c.rounding()
	switch op := c.in.parts[0]; {
	case op == "add" && double:
		return func(a, b float64) float64 { return a + b }
	case op == "sub" && double:
		return func(a, b float64) float64 { return a - b }
	case op == "add":
		return func(a, b float64) float64 { return fmaOdd(1, a, b) }
	case op == "sub":
		return func(a, b float64) float64 { return fmaOdd(-1, b, a) }
	case op == "mul": // exact in a double for all but f64
		return func(a, b float64) float64 { return a * b }
	case op == "div" && r.approximate:
		return func(a, b float64) float64 {
			q := a / b
			return q + noise(a, b)*math.Min(math.Abs(q), math.MaxFloat32)*(divisionError-0x1p-24)
		}
	case op == "div" && r.mode == "rn": // rounding a quotient twice is harmless: 53 ≥ 2·24 + 2 bits
		return func(a, b float64) float64 { return a / b }
	case (op == "min" || op == "max") && r.nan:
		return withNaN(op)
	case op == "min":
		return fmin
	case op == "max":
		return fmax
	case op == "copysign":
		return func(a, b float64) float64 { return math.Copysign(b, a) }
	}
	return nil
}

// withNaN is min or max whose result is NaN when an operand is.
func withNaN(op string) func(a, b float64) float64 {
	if op == "min" {
		return func(a, b float64) float64 { return min(a, b) } // math.Min prefers −Inf to NaN
	}
	return func(a, b float64) float64 { return max(a, b) }
}

func (c *compiler) float1() exec {
	op, t := c.in.parts[0], c.typ()
	if op == "neg" || op == "abs" { // on the sign bits, whether the value is a number or not
		return c.signs(op == "neg")
	}
	if c.in.op == "rcp.approx.ftz.f64" {
		return lanes1(c.dst(0), c.src(1), roughReciprocal)
	}
	r := c.rounding()
	var f func(float64) float64
	approximate, known := approximations[op]
	switch {
	case known && (r.approximate || op == "ex2" || op == "lg2" || op == "tanh"):
		f = approximate.of
	case (op == "sqrt" || op == "rcp") && r.mode == "rn" && r.given:
		f = approximate.f
	}
	if f == nil || t == "f64" && r.approximate {
		return nil
	}
	g := c.lift(func(a, _, _ float64) float64 { return f(a) })
	if g == nil {
		return nil
	}
	return lanes1(c.dst(0), c.src(1), func(a uint64) uint64 { return g(a, 0, 0) })
}

func (c *compiler) signs(negate bool) exec {
	sign := uint64(1) << (typeBits[c.typ()] - 1)
	if strings.HasSuffix(c.typ(), "x2") {
		sign |= 1 << 15
	}
	if negate {
		return lanes1(c.dst(0), c.src(1), func(a uint64) uint64 { return a ^ sign })
	}
	return lanes1(c.dst(0), c.src(1), func(a uint64) uint64 { return a &^ sign })
}

// fast are loops of their own for the float operations that kernels spend their time in.
func (c *compiler) fast() exec {
	var f func(D, A, B *lanes, active uint32)
	switch c.in.op {
	case "add.f32", "add.rn.f32":
		f = addLanes
	case "sub.f32", "sub.rn.f32":
		f = subLanes
	case "mul.f32", "mul.rn.f32":
		f = mulLanes
	case "fma.rn.f32":
		return c.fastFMA()
	default:
		return nil
	}
	d, a, b := c.dst(0), c.src(1), c.src(2)
	return func(w *warp, active uint32) error {
		f(&w.regs[d], &w.regs[a], &w.regs[b], active)
		return nil
	}
}

func addLanes(D, A, B *lanes, active uint32) {
	for l := range 32 {
		if active>>l&1 != 0 {
			D[l] = b32(f32(A[l]) + f32(B[l]))
		}
	}
}

func subLanes(D, A, B *lanes, active uint32) {
	for l := range 32 {
		if active>>l&1 != 0 {
			D[l] = b32(f32(A[l]) - f32(B[l]))
		}
	}
}

func mulLanes(D, A, B *lanes, active uint32) {
	for l := range 32 {
		if active>>l&1 != 0 {
			D[l] = b32(f32(A[l]) * f32(B[l]))
		}
	}
}

func (c *compiler) fastFMA() exec {
	d, a, b, s := c.dst(0), c.src(1), c.src(2), c.src(3)
	return func(w *warp, active uint32) error {
		D, A, B, C := &w.regs[d], &w.regs[a], &w.regs[b], &w.regs[s]
		for l := range 32 {
			if active>>l&1 != 0 {
				D[l] = b32(float32(fmaOdd(float64(f32(A[l])), float64(f32(B[l])), float64(f32(C[l])))))
			}
		}
		return nil
	}
}
