package ptx

import "math"

// Approximate instructions. The PTX manual bounds their errors; the interpreter makes an error within
// that bound, a different one for every operand, so that a kernel that needs more accuracy fails its test.

// approximation is a function of one operand with the error that hardware may make.
type approximation struct {
	f func(float64) float64
	// relative is the bound relative to the result, absolute the one that is added to it.
	relative, absolute float64
	exact              func(float64) bool // operands whose result the manual gives exactly
}

func rsqrt(x float64) float64 { return 1 / math.Sqrt(x) }
func isZero(x float64) bool   { return x == 0 }
func isSquare(x float64) bool { return x == 0 || x == 1 }

// approximations are the bounds of .f32 from the manual's tables. lg2's holds near 1, where it is
// absolute, and relative elsewhere; sin's and cos's within ±π.
var approximations = map[string]approximation{
	"ex2":   {math.Exp2, 0x1p-22, 0, isZero},
	"lg2":   {math.Log2, 0x1p-22, 0x1p-22, func(x float64) bool { return x == 1 }},
	"rcp":   {func(x float64) float64 { return 1 / x }, 0x1p-23, 0, func(x float64) bool { return x == 1 }},
	"rsqrt": {rsqrt, 0x1.1p-23, 0, func(x float64) bool { return x == 1 }},
	"sqrt":  {math.Sqrt, 0x1p-23, 0, isSquare},
	"sin":   {math.Sin, 0, 0x1.6p-21, isZero},
	"cos":   {math.Cos, 0, 0x1.6p-21, func(float64) bool { return false }},
	"tanh":  {math.Tanh, 0x1p-11, 0, isZero},
}

// divisionError is that of div.approx and div.full: two units in the last place.
const divisionError = 0x1p-22

// noise is a number in −1..1 that depends on the operands only.
func noise(a, b float64) float64 {
	h := math.Float64bits(a)*0x9e3779b97f4a7c15 ^ math.Float64bits(b)*0xc2b2ae3d27d4eb4f
	h ^= h >> 31
	h *= 0xbf58476d1ce4e5b9
	return float64(int64(h)) / (1 << 63)
}

// of gives the result with an error. Not finite results stay what they are.
func (a approximation) of(x float64) float64 {
	y := a.f(x)
	if a.exact(x) || math.IsNaN(y) || math.IsInf(y, 0) || y == 0 && a.absolute == 0 {
		return y
	}
	e := math.Max(a.relative*math.Abs(y), a.absolute)
	// The bound includes the rounding of the result, which takes up to half a unit in the last place.
	return y + noise(x, 0)*(e-math.Min(e, math.Abs(y)*0x1p-24))
}

// roughReciprocal is rcp.approx.ftz.f64: of the high halves only, with zeros in the low half.
func roughReciprocal(a uint64) uint64 {
	const high = 0xffffffff << 32
	x := math.Float64frombits(a & high)
	if math.Abs(x) < 0x1p-1022 {
		x = math.Copysign(0, x)
	}
	return math.Float64bits(1/x) & high
}
