package python

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// MaxPrecision limits the digits of Log and Sqrt.
const MaxPrecision = 20_000

// Log is mpmath.log(value) / mpmath.log(base) with mpmath.mp.dps = precision. The result is
// opaque: mpf('2.0'), or mpc(real='2.0', imag='0.0') where a number is negative.
func Log(value, base, precision Value) (Value, error) {
	digits, err := wholeFrom(precision)
	if err != nil {
		return nil, err
	}
	x, err := mpf(value)
	if err != nil {
		return nil, err
	}
	y, err := mpf(base)
	if err != nil {
		return nil, err
	}
	if digits > MaxPrecision {
		return nil, &Error{"ValueError", "more than " + strconv.Itoa(MaxPrecision) + " digits"}
	}
	if x == nil || y == nil {
		return Opaque{"mpf", "mpf('nan')"}, nil
	}
	bits := precisionBits(digits)
	above, below := logarithm(x, bits), logarithm(y, bits)
	if below.re.Sign() == 0 && below.im == nil {
		return nil, &Error{"ZeroDivisionError", ""}
	}
	if above.im != nil || below.im != nil {
		return above.over(below, bits)
	}
	if above.re.IsInf() && below.re.IsInf() {
		return Opaque{"mpf", "mpf('nan')"}, nil
	}
	ratio := new(big.Float).SetPrec(bits).Quo(above.re, below.re)
	return Opaque{"mpf", "mpf('" + mpfText(ratio, reprDigits(bits)) + "')"}, nil
}

// wholeFrom is int(v), or a number beyond MaxPrecision.
func wholeFrom(v Value) (int, error) {
	n, ok := wholeOf(v)
	switch x := v.(type) {
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return 0, &Error{"ValueError", "cannot convert float " + FloatRepr(x) + " to integer"}
		}
		n, _ = big.NewFloat(x).Int(nil)
		ok = true
	case string:
		if n, ok = new(big.Int).SetString(strings.TrimSpace(x), 10); !ok {
			text, _ := Repr(x)
			return 0, &Error{"ValueError", "invalid literal for int() with base 10: " + text}
		}
	}
	if !ok {
		return 0, &Error{"TypeError",
			"int() argument must be a string, a bytes-like object or a real number, not '" + TypeName(v) + "'"}
	}
	if !n.IsInt64() {
		return (MaxPrecision + 1) * n.Sign(), nil
	}
	return int(min(max(n.Int64(), -MaxPrecision), MaxPrecision+1)), nil
}

// bitsPerDigit is log2(10).
const bitsPerDigit = 3.3219280948873626

// precisionBits is mpmath's dps_to_prec, reprDigits its repr_dps.
func precisionBits(digits int) uint {
	return uint(max(1, int(math.RoundToEven(float64(digits+1)*bitsPerDigit))))
}

func reprDigits(bits uint) int {
	digits := max(1, int(math.RoundToEven(float64(bits)/bitsPerDigit)-1))
	if digits == 15 {
		return 17
	}
	return digits + 3
}

// mpf is mpmath's number for v; nil for NaN.
func mpf(v Value) (*big.Float, error) {
	if n, ok := wholeOf(v); ok {
		return new(big.Float).SetInt(n), nil
	}
	if f, ok := v.(float64); ok {
		if math.IsNaN(f) {
			return nil, nil
		}
		return new(big.Float).SetFloat64(f), nil
	}
	text, isText := v.(string)
	if strings.Contains(text, "j") {
		return nil, &Error{"AttributeError", "'NoneType' object has no attribute 'group'"}
	}
	if number, err := strconv.ParseFloat(text, 64); isText && err == nil && !math.IsInf(number, 0) {
		return new(big.Float).SetFloat64(number), nil
	}
	quoted, err := Repr(v)
	if err != nil {
		return nil, err
	}
	return nil, &Error{"TypeError", "cannot create mpf from " + quoted}
}

// ln is the natural logarithm, rounded to bits: x = m·2^e with m near 1, and
// ln x = e·ln 2 + ln m.
func ln(x *big.Float, bits uint) *big.Float {
	result := new(big.Float).SetPrec(bits)
	if x.Sign() == 0 || x.IsInf() {
		return result.SetInf(x.Sign() == 0)
	}
	work := bits + 64
	m := new(big.Float).SetPrec(max(work, x.MinPrec())).Set(x)
	e := m.MantExp(m) // 1/2 <= m < 1
	if m.Cmp(big.NewFloat(math.Sqrt2/2)) < 0 {
		m.SetMantExp(m, 1)
		e--
	}
	sum := lnNearOne(m, work)
	if e != 0 {
		two := lnNearOne(big.NewFloat(2), work)
		sum.Add(sum, two.Mul(two, new(big.Float).SetPrec(work).SetInt64(int64(e))))
	}
	return result.Set(sum)
}

// lnNearOne is ln m = 2^k · ln r with r the square root of m, taken k times: the nearer r is
// to 1, the fewer terms artanh needs. ln r = 2·artanh((r-1)/(r+1)).
func lnNearOne(m *big.Float, work uint) *big.Float {
	one := big.NewFloat(1)
	k := int(math.Sqrt(float64(work) / 8))
	// r - 1 loses about as many bits as there are roots, and those that m has in common with 1.
	distance := new(big.Float).SetPrec(m.Prec()+1).Sub(m, one)
	exact := work + 2*uint(k) + uint(max(0, -distance.MantExp(nil)))
	r := new(big.Float).SetPrec(exact).Set(m)
	for range k {
		r.Sqrt(r)
	}
	above := new(big.Float).SetPrec(exact).Sub(r, one)
	below := new(big.Float).SetPrec(exact).Add(r, one)
	sum := artanh(new(big.Float).SetPrec(work).Quo(above, below), work)
	return sum.SetMantExp(sum, k+1)
}

// artanh is z + z³/3 + z⁵/5 + …, for |z| <= 1/3.
func artanh(z *big.Float, work uint) *big.Float {
	sum := new(big.Float).SetPrec(work)
	if z.Sign() == 0 {
		return sum
	}
	power := new(big.Float).SetPrec(work).Set(z)
	square := new(big.Float).SetPrec(work).Mul(z, z)
	term := new(big.Float).SetPrec(work)
	last := z.MantExp(nil) - int(work)
	for n := int64(1); power.MantExp(nil) >= last; n += 2 {
		sum.Add(sum, term.Quo(power, new(big.Float).SetInt64(n)))
		power.Mul(power, square)
	}
	return sum
}

// exp is e^x for |x| below a thousand: x = k·ln 2 + 2^16·r, and e^r by its series.
func exp(x *big.Float, bits uint) *big.Float {
	const halvings = 16
	work := bits + 64
	two := ln(big.NewFloat(2), work)
	quotient, _ := new(big.Float).Quo(x, two).Float64()
	k := math.Round(quotient)
	r := new(big.Float).SetPrec(work).Mul(two, big.NewFloat(k))
	r.Sub(x, r)
	r.SetMantExp(r, -halvings)
	sum := new(big.Float).SetPrec(work).SetInt64(1)
	term := new(big.Float).SetPrec(work).SetInt64(1)
	for n := int64(1); term.Sign() != 0 && term.MantExp(nil) > -int(work); n++ {
		term.Quo(term.Mul(term, r), new(big.Float).SetInt64(n))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum.SetMantExp(sum, int(k))
}

// mpfText is mpmath's to_str with its defaults: digits are cut and then rounded by the next
// one, and a number near 1 has no exponent.
func mpfText(x *big.Float, digits int) string {
	switch {
	case x.IsInf() && x.Signbit():
		return "-inf"
	case x.IsInf():
		return "+inf"
	case x.Sign() == 0:
		return "0.0"
	}
	sign := ""
	if x.Signbit() {
		sign = "-"
	}
	text, exponent := decimals(new(big.Float).Abs(x), digits)
	split := 1
	if min(-(digits/3), -5) < exponent && exponent < digits {
		if exponent < 0 {
			text = strings.Repeat("0", -exponent) + text
		} else {
			split = exponent + 1
		}
		exponent = 0
	}
	text = strings.TrimRight(text[:split]+"."+text[split:], "0")
	if strings.HasSuffix(text, ".") {
		text += "0"
	}
	switch {
	case exponent > 0:
		text += "e+" + strconv.Itoa(exponent)
	case exponent < 0:
		text += "e" + strconv.Itoa(exponent)
	}
	return sign + text
}

// decimals returns the first digits of x > 0 and the exponent of the first one.
func decimals(x *big.Float, digits int) (string, int) {
	all := x.Text('e', int(x.Prec())+digits) // exact: a digit per bit is enough
	mantissa, tail, _ := strings.Cut(all, "e")
	exponent, _ := strconv.Atoi(tail)
	text := strings.Replace(mantissa, ".", "", 1)
	up := text[digits] >= '5'
	text = text[:digits]
	if !up {
		return text, exponent
	}
	n, _ := new(big.Int).SetString(text, 10)
	rounded := n.Add(n, big.NewInt(1)).String()
	if len(rounded) > digits {
		return rounded[:digits], exponent + 1
	}
	return rounded, exponent
}
