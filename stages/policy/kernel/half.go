package kernel

import "math"

// FromHalf converts an IEEE half to float32: sign, 5 bits of exponent, 10 of fraction.
func FromHalf(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exp {
	case 0: // zero and subnormals: frac · 2⁻²⁴
		v := float32(frac) / (1 << 24)
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31: // infinities and NaN
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// ToHalf rounds to the nearest IEEE half, ties to even. Values from 65520 on become infinite.
func ToHalf(v float32) uint16 {
	bits := math.Float32bits(v)
	sign := uint16(bits >> 16 & 0x8000)
	switch a := math.Abs(float64(v)); {
	case a != a:
		return sign | 0x7e00
	case a >= 65520:
		return sign | 0x7c00
	case a < 1.0/(1<<14): // subnormal, in steps of 2⁻²⁴; 2⁻¹⁴ itself is the smallest normal half
		return sign | uint16(math.RoundToEven(a*(1<<24)))
	}
	bits &= 0x7fffffff
	return sign | uint16((bits+0xfff+bits>>13&1)>>13-(127-15)<<10)
}
