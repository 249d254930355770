package python

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// maxBits limits the ints that arithmetic makes. It is beyond what can be printed.
const maxBits = 1 << 16

var (
	errZero     = &Error{"ZeroDivisionError", "division by zero"}
	errTooLarge = &Error{"OverflowError", "int too large to convert to float"}
	errRange    = &Error{"OverflowError", "(34, 'Numerical result out of range')"}
)

// Add is a + b.
func Add(a, b Value) (Value, error) {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return joined(x, y)
		}
		return nil, &Error{"TypeError", "can only concatenate str (not \"" + TypeName(b) + "\") to str"}
	case *List:
		if y, ok := b.(*List); ok {
			items, err := appended(x.Items, y.Items)
			return &List{items}, err
		}
		return nil, &Error{"TypeError", "can only concatenate list (not \"" + TypeName(b) + "\") to list"}
	case *Tuple:
		if y, ok := b.(*Tuple); ok {
			items, err := appended(x.Items, y.Items)
			return &Tuple{items}, err
		}
		return nil, &Error{"TypeError", "can only concatenate tuple (not \"" + TypeName(b) + "\") to tuple"}
	}
	return numeric("+", a, b, (*big.Int).Add, func(x, y float64) float64 { return x + y })
}

func joined(a, b string) (Value, error) {
	if len(a)+len(b) > MaxBytes {
		return nil, errLarge
	}
	return a + b, nil
}

func appended(a, b []Value) ([]Value, error) {
	if len(a)+len(b) > maxNodes {
		return nil, errLarge
	}
	return append(append([]Value(nil), a...), b...), nil
}

// Sub is a - b.
func Sub(a, b Value) (Value, error) {
	return numeric("-", a, b, (*big.Int).Sub, func(x, y float64) float64 { return x - y })
}

// Mul is a * b of two numbers, or a text or list repeated.
func Mul(a, b Value) (Value, error) {
	if n, ok := wholeOf(b); ok && !isNumber(a) {
		return repeat(a, n, b)
	}
	if n, ok := wholeOf(a); ok && !isNumber(b) {
		return repeat(b, n, a)
	}
	for _, pair := range [][2]Value{{a, b}, {b, a}} {
		if isSequence(pair[0]) {
			return nil, &Error{"TypeError", "can't multiply sequence by non-int of type '" + TypeName(pair[1]) + "'"}
		}
	}
	return numeric("*", a, b, (*big.Int).Mul, func(x, y float64) float64 { return x * y })
}

func isSequence(v Value) bool {
	switch v.(type) {
	case string, *List, *Tuple:
		return true
	}
	return false
}

func repeat(v Value, n *big.Int, times Value) (Value, error) {
	count := 0
	if n.Sign() > 0 {
		if !n.IsInt64() || n.Int64() > MaxBytes {
			return nil, errLarge
		}
		count = int(n.Int64())
	}
	switch x := v.(type) {
	case string:
		if count*len(x) > MaxBytes {
			return nil, errLarge
		}
		return strings.Repeat(x, count), nil
	case *List:
		if count*len(x.Items) > maxNodes {
			return nil, errLarge
		}
		l := &List{}
		for range count {
			l.Items = append(l.Items, x.Items...)
		}
		return l, nil
	}
	return nil, unsupported("*", v, times)
}

// Div is a / b.
func Div(a, b Value) (Value, error) {
	if !isNumber(a) || !isNumber(b) {
		return nil, unsupported("/", a, b)
	}
	x, aInt := wholeOf(a)
	y, bInt := wholeOf(b)
	if aInt && bInt {
		if y.Sign() == 0 {
			return nil, errZero
		}
		f, _ := new(big.Rat).SetFrac(x, y).Float64()
		if math.IsInf(f, 0) {
			return nil, &Error{"OverflowError", "integer division result too large for a float"}
		}
		return f, nil
	}
	f, err := Float(a)
	if err != nil {
		return nil, err
	}
	g, err := Float(b)
	if err != nil {
		return nil, err
	}
	if g == 0 {
		return nil, &Error{"ZeroDivisionError", "float division by zero"}
	}
	return f / g, nil
}

// Float is float(v) of a number.
func Float(v Value) (float64, error) {
	if f, ok := v.(float64); ok {
		return f, nil
	}
	n, ok := wholeOf(v)
	if !ok {
		return 0, &Error{"TypeError", "must be real number, not " + TypeName(v)}
	}
	f, _ := new(big.Rat).SetInt(n).Float64()
	if math.IsInf(f, 0) {
		return 0, errTooLarge
	}
	return f, nil
}

// ToFloat is float(v): also of a text that holds a number.
func ToFloat(v Value) (float64, error) {
	text, ok := v.(string)
	if !ok {
		if !isNumber(v) {
			return 0, &Error{"TypeError", "float() argument must be a string or a real number, not '" +
				TypeName(v) + "'"}
		}
		return Float(v)
	}
	f, err := strconv.ParseFloat(strings.TrimFunc(text, IsSpace), 64)
	if errors.Is(err, strconv.ErrRange) {
		return f, nil // an infinity, as in Python
	}
	if err != nil || strings.ContainsAny(text, "xXpP_") {
		quoted, _ := Repr(text)
		return 0, &Error{"ValueError", "could not convert string to float: " + quoted}
	}
	return f, nil
}

// Mod is a % b of two floats: it has the sign of b, which is not 0.
func Mod(a, b float64) float64 {
	rest := math.Mod(a, b)
	if rest != 0 && (b < 0) != (rest < 0) {
		rest += b
	}
	return rest
}

// Pow is a ** b. A negative number to a broken power is complex; that comes back
// opaque.
func Pow(a, b Value) (Value, error) {
	if !isNumber(a) || !isNumber(b) {
		return nil, unsupported("** or pow()", a, b)
	}
	x, aInt := wholeOf(a)
	y, bInt := wholeOf(b)
	if aInt && bInt && y.Sign() >= 0 {
		return wholePower(x, y)
	}
	f, err := Float(a)
	if err != nil {
		return nil, err
	}
	g, err := Float(b)
	if err != nil {
		return nil, err
	}
	if f == 0 && g < 0 {
		return nil, &Error{"ZeroDivisionError", "0.0 cannot be raised to a negative power"}
	}
	if f < 0 && g != math.Trunc(g) && !math.IsInf(f, 0) {
		return complexPower(f, g)
	}
	p := power(f, g)
	if math.IsInf(p, 0) && !math.IsInf(f, 0) && !math.IsInf(g, 0) {
		return nil, errRange
	}
	return p, nil
}

// power is rounded correctly, as it nearly always is in C: Go's own Pow can be off by a digit.
func power(f, g float64) float64 {
	rough := math.Pow(f, g)
	if rough == 0 || math.IsInf(rough, 0) || math.IsNaN(rough) || f == 1 || g == 0 || f < 0 && f == -1 {
		return rough
	}
	const bits = 256
	exponent := new(big.Float).SetPrec(bits).Mul(ln(big.NewFloat(math.Abs(f)), bits), big.NewFloat(g))
	p, _ := exp(exponent, bits).Float64()
	return math.Copysign(p, rough)
}

func wholePower(x, y *big.Int) (Value, error) {
	if x.BitLen() > 1 && (!y.IsInt64() || y.Int64() > maxBits || int64(x.BitLen()-1)*y.Int64() > maxBits) {
		return nil, errDigits // Python computes it, and then cannot print it
	}
	if x.BitLen() <= 1 { // 0, 1, -1: only the parity of y counts
		if y.Sign() == 0 {
			return Int(1), nil
		}
		y = big.NewInt(2 - int64(y.Bit(0)))
	}
	return new(big.Int).Exp(x, y, nil), nil
}

func complexPower(f, g float64) (Value, error) {
	size, phase := power(-f, g), math.Pi*g // as C computes it
	if math.IsInf(size, 0) {
		return nil, &Error{"OverflowError", "complex exponentiation"}
	}
	sin, cos := sinCos(phase)
	c := complex(size*cos, size*sin)
	sign := "+"
	if imag(c) < 0 || math.Signbit(imag(c)) {
		sign = ""
	}
	short := func(x float64) string { return strings.TrimSuffix(FloatRepr(x), ".0") }
	return Opaque{"complex", "(" + short(real(c)) + sign + short(imag(c)) + "j)"}, nil
}

// Round is round(v, digits) with two arguments: an int stays an int.
func Round(v, digits Value) (Value, error) {
	n, ok := wholeOf(digits)
	if !ok {
		return nil, &Error{"TypeError", "'" + TypeName(digits) + "' object cannot be interpreted as an integer"}
	}
	if f, ok := v.(float64); ok {
		return roundFloat(f, n), nil
	}
	x, ok := wholeOf(v)
	if !ok {
		return nil, &Error{"TypeError", "type " + TypeName(v) + " doesn't define __round__ method"}
	}
	if n.Sign() >= 0 {
		return x, nil
	}
	if !n.IsInt64() || -n.Int64() > maxDigits {
		return Int(0), nil
	}
	unit := new(big.Int).Exp(big.NewInt(10), new(big.Int).Neg(n), nil)
	return roundWhole(x, unit), nil
}

// roundWhole rounds x to a multiple of unit, ties to the even multiple.
func roundWhole(x, unit *big.Int) *big.Int {
	quotient, rest := new(big.Int).DivMod(x, unit, new(big.Int)) // 0 <= rest < unit
	switch twice := new(big.Int).Lsh(rest, 1); {
	case twice.Cmp(unit) > 0, twice.Cmp(unit) == 0 && quotient.Bit(0) == 1:
		quotient.Add(quotient, big.NewInt(1))
	}
	return quotient.Mul(quotient, unit)
}

// roundFloat rounds the exact value of f to n digits, ties to even.
func roundFloat(f float64, n *big.Int) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) || f == 0 || !n.IsInt64() || n.Int64() > 350 {
		if n.Sign() < 0 && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return math.Copysign(0, f)
		}
		return f
	}
	digits := n.Int64()
	if digits < -310 {
		return math.Copysign(0, f)
	}
	exact := new(big.Rat).SetFloat64(f)
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(max(digits, -digits)), nil))
	if digits < 0 {
		scale.Inv(scale)
	}
	exact.Mul(exact, scale)
	whole := roundWhole(exact.Num(), exact.Denom()) // a multiple of the denominator
	rounded := new(big.Rat).SetFrac(whole, exact.Denom())
	result, _ := rounded.Quo(rounded, scale).Float64()
	if result == 0 {
		return math.Copysign(0, f)
	}
	return result
}

// numeric is an operation of two numbers: of ints exactly, otherwise of floats.
func numeric(
	op string, a, b Value, ints func(z, x, y *big.Int) *big.Int, floats func(x, y float64) float64,
) (Value, error) {
	if !isNumber(a) || !isNumber(b) {
		return nil, unsupported(op, a, b)
	}
	x, aInt := wholeOf(a)
	y, bInt := wholeOf(b)
	if aInt && bInt {
		if x.BitLen()+y.BitLen() > 2*maxBits {
			return nil, errDigits
		}
		return ints(new(big.Int), x, y), nil
	}
	f, err := Float(a)
	if err != nil {
		return nil, err
	}
	g, err := Float(b)
	if err != nil {
		return nil, err
	}
	return floats(f, g), nil
}

func unsupported(op string, a, b Value) error {
	return &Error{"TypeError", "unsupported operand type(s) for " + op + ": '" + TypeName(a) +
		"' and '" + TypeName(b) + "'"}
}
