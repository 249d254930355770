package ptx

import "math"

// Floating point as PTX has it. Values travel as bits in the low part of a uint64.

func f32(v uint64) float32 { return math.Float32frombits(uint32(v)) }
func b32(f float32) uint64 { return uint64(math.Float32bits(f)) }

// fmaOdd is a·b + c rounded to odd: unless the sum is exact, it is the one of the two doubles around it
// whose last bit is one. Rounding that once more, to float32 or less and in any mode, gives the correctly
// rounded result (Boldo and Melquiond, 2008). a·b must be exact in a double, as it is for float32 factors.
func fmaOdd(a, b, c float64) float64 {
	p := a * b
	s := p + c
	if math.IsInf(s, 0) || math.IsNaN(s) {
		return s
	}
	t := s - p
	e := (p - (s - t)) + (c - t) // what s misses (Knuth's two-sum)
	u := math.Float64bits(s)
	if e != 0 && u&1 == 0 {
		if (e > 0) == (s > 0) {
			u++
		} else {
			u--
		}
	}
	return math.Float64frombits(u)
}

// roundF32 rounds to nearest (rn), to zero (rz), down (rm) or up (rp).
func roundF32(v float64, mode string) float32 {
	f := float32(v)
	if mode == "rn" || math.IsNaN(v) || math.IsInf(v, 0) {
		return f
	}
	down := mode == "rm" || mode == "rz" && v > 0
	up := mode == "rp" || mode == "rz" && v < 0
	if down && float64(f) > v {
		f = math.Nextafter32(f, float32(math.Inf(-1)))
	} else if up && float64(f) < v {
		f = math.Nextafter32(f, float32(math.Inf(1)))
	}
	return f
}

// half is one of the formats of 16 bits.
type half struct {
	mantissa int // bits of the fraction
	least    int // exponent of the smallest normal value; the largest is 1 − least
}

var (
	halfF16  = half{10, -14}
	halfBF16 = half{7, -126}
)

// pair decodes two values, the low one first.
func (h half) pair(v uint64) (float64, float64) { return h.decode(v), h.decode(v >> 16) }

func (h half) decode(v uint64) float64 {
	if h == halfBF16 {
		return float64(math.Float32frombits(uint32(v&0xffff) << 16))
	}
	sign, e, m := 1.0, int(v>>10&31), float64(v&1023)
	if v&0x8000 != 0 {
		sign = -1
	}
	switch e {
	case 0:
		return sign * m * 0x1p-24
	case 31:
		if m != 0 {
			return math.NaN()
		}
		return sign * math.Inf(1)
	}
	return sign * math.Ldexp(1024+m, e-25)
}

func (h half) encode(v float64, mode string) uint64 {
	sign := uint64(0)
	if math.Signbit(v) {
		sign = 0x8000
	}
	infinity := uint64(0x7fff) >> h.mantissa << h.mantissa
	switch {
	case math.IsNaN(v):
		return 0x7fff
	case math.IsInf(v, 0):
		return sign | infinity
	case v == 0:
		return sign
	}
	e := max(math.Ilogb(v), h.least)
	a := math.Abs(roundInt(math.Ldexp(v, h.mantissa-e), mode)) // in units of the last place
	if a >= float64(int(2)<<h.mantissa) {
		a, e = a/2, e+1
	}
	if e > 1-h.least {
		if mode == "rz" || mode == "rm" && v > 0 || mode == "rp" && v < 0 {
			return sign | infinity - 1
		}
		return sign | infinity
	}
	// The sum is right for normal values, whose leading bit adds one to the exponent, and for subnormal ones.
	return sign | uint64(e-h.least)<<h.mantissa + uint64(a)
}

func roundInt(v float64, mode string) float64 {
	switch mode[:2] {
	case "rz":
		return math.Trunc(v)
	case "rm":
		return math.Floor(v)
	case "rp":
		return math.Ceil(v)
	}
	return math.RoundToEven(v)
}

// flush replaces a subnormal value by zero with its sign, as .ftz does.
func flush(f float32) float32 {
	if math.Float32bits(f)&0x7f800000 == 0 {
		return math.Float32frombits(math.Float32bits(f) & 0x80000000)
	}
	return f
}

// saturate clamps to 0..1; NaN becomes 0.
func saturate(f float64) float64 {
	if !(f > 0) {
		return 0
	}
	return min(f, 1)
}

// fmin and fmax return the other operand when one is NaN, and hold −0 below +0.
func fmin(a, b float64) float64 {
	if math.IsNaN(a) {
		return b
	}
	if math.IsNaN(b) {
		return a
	}
	return math.Min(a, b)
}

func fmax(a, b float64) float64 {
	if math.IsNaN(a) {
		return b
	}
	if math.IsNaN(b) {
		return a
	}
	return math.Max(a, b)
}

func halfOf(t string) *half {
	switch t {
	case "f16", "f16x2":
		return &halfF16
	case "bf16", "bf16x2":
		return &halfBF16
	}
	return nil
}

// decoder gives the value of a float type's bits; nil for other types.
func decoder(t string, ftz bool) func(uint64) float64 {
	switch t {
	case "f32":
		if ftz {
			return func(v uint64) float64 { return float64(flush(f32(v))) }
		}
		return func(v uint64) float64 { return float64(f32(v)) }
	case "f64":
		return math.Float64frombits
	case "f16", "bf16":
		return halfOf(t).decode
	}
	return nil
}

// encoder rounds a value to a float type; nil for other types.
func encoder(t, mode string, ftz bool) func(float64) uint64 {
	if mode == "" {
		mode = "rn"
	}
	mode = mode[:2]
	switch t {
	case "f32":
		return func(v float64) uint64 {
			f := roundF32(v, mode)
			if ftz {
				f = flush(f)
			}
			return b32(f)
		}
	case "f64":
		return math.Float64bits
	case "f16", "bf16":
		h := halfOf(t)
		return func(v float64) uint64 { return h.encode(v, mode) }
	}
	return nil
}
