package python

import (
	"math"
	"math/big"
)

// mpc is mpmath's number re + i·im; im is nil for a real one.
type mpc struct{ re, im *big.Float }

// logarithm is ln |x|, and iπ more for a negative x.
func logarithm(x *big.Float, bits uint) mpc {
	if x.Sign() < 0 {
		return mpc{ln(new(big.Float).Abs(x), bits), new(big.Float).SetPrec(bits).Set(pi(bits + 64))}
	}
	return mpc{ln(x, bits), nil}
}

// over is z / w where one of them is complex, rounded as mpmath does: products exactly, sums to
// ten bits more than the quotients.
func (z mpc) over(w mpc, bits uint) (Value, error) {
	digits := reprDigits(bits)
	text := func(re, im *big.Float) (Value, error) {
		return Opaque{"mpc", "mpc(real='" + mpfText(re, digits) + "', imag='" + mpfText(im, digits) + "')"}, nil
	}
	quotient := func(x, y *big.Float) *big.Float { return new(big.Float).SetPrec(bits).Quo(x, y) }
	switch {
	case z.re.IsInf() || w.im != nil && w.re.IsInf():
		return nil, &Error{"ValueError", "the logarithm of an infinity or of zero by a negative number"}
	case w.im == nil:
		return text(quotient(z.re, w.re), quotient(z.im, w.re))
	case z.im == nil:
		z.im = new(big.Float)
	}
	product := func(x, y *big.Float) *big.Float { return new(big.Float).SetPrec(2*bits).Mul(x, y) }
	sum := func(x, y *big.Float) *big.Float { return new(big.Float).SetPrec(bits+10).Add(x, y) }
	size := sum(product(w.re, w.re), product(w.im, w.im))
	re := sum(product(z.re, w.re), product(z.im, w.im))
	im := sum(product(z.im, w.re), new(big.Float).Neg(product(z.re, w.im)))
	return text(quotient(re, size), quotient(im, size))
}

// pi is Machin's 16·arctan(1/5) − 4·arctan(1/239).
func pi(bits uint) *big.Float {
	work := bits + 32
	a := new(big.Int).Mul(arctan(5, work), big.NewInt(16))
	b := new(big.Int).Mul(arctan(239, work), big.NewInt(4))
	x := new(big.Float).SetPrec(work).SetInt(a.Sub(a, b))
	return new(big.Float).SetPrec(bits).SetMantExp(x, -int(work))
}

// arctan is arctan(1/n) · 2^bits.
func arctan(n int64, bits uint) *big.Int {
	power := new(big.Int).Lsh(big.NewInt(1), bits)
	power.Quo(power, big.NewInt(n))
	sum, term, square := new(big.Int), new(big.Int), big.NewInt(-n*n)
	for k := int64(1); power.Sign() != 0; k += 2 {
		sum.Add(sum, term.Quo(power, big.NewInt(k)))
		power.Quo(power, square)
	}
	return sum
}

// sinCos is rounded correctly, as it nearly always is in C: Go's own functions lose digits near the
// multiples of π/2.
func sinCos(x float64) (sin, cos float64) {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return math.Sincos(x)
	}
	_, exponent := math.Frexp(x)
	bits := uint(max(exponent, 0)) + 192
	half := new(big.Float).SetMantExp(pi(bits), -1)
	exact := new(big.Float).SetPrec(bits).SetFloat64(x)
	turns, _ := new(big.Float).Quo(exact, half).Int(nil) // quarters of a turn
	r := new(big.Float).SetPrec(bits).Mul(half, new(big.Float).SetPrec(bits).SetInt(turns))
	r.Sub(exact, r)
	s, c := taylor(r, 1, bits), taylor(r, 0, bits)
	switch new(big.Int).And(turns, big.NewInt(3)).Int64() {
	case 1:
		s, c = c, -s
	case 2:
		s, c = -s, -c
	case 3:
		s, c = -c, s
	}
	return s, c
}

// taylor sums rᵏ/k! with changing signs over the k that are odd (first 1) or even (first 0).
func taylor(r *big.Float, first int64, bits uint) float64 {
	term := new(big.Float).SetPrec(bits).SetInt64(1)
	if first == 1 {
		term.Set(r)
	}
	sum := new(big.Float).SetPrec(bits)
	square := new(big.Float).SetPrec(bits).Mul(r, r)
	for k := first; term.Sign() != 0 && term.MantExp(nil) > -int(bits); k += 2 {
		sum.Add(sum, term)
		term.Mul(term, square)
		term.Quo(term, new(big.Float).SetInt64(-(k+1)*(k+2)))
	}
	f, _ := sum.Float64()
	return f
}
