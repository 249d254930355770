package python

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Sqrt is decimal.Decimal(number).sqrt() with getcontext().prec = precision. The result is
// opaque: Decimal('1.414').
func Sqrt(number, precision Value) (Value, error) {
	n, ok := wholeOf(precision)
	if !ok {
		return nil, &Error{"TypeError", "an integer is required"}
	}
	if n.Sign() <= 0 {
		return nil, &Error{"ValueError", "valid range for prec is [1, MAX_PREC]"}
	}
	if !n.IsInt64() || n.Int64() > MaxPrecision {
		return nil, &Error{"ValueError", "more than " + strconv.Itoa(MaxPrecision) + " digits"}
	}
	if f, ok := number.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 1)) {
		name := "Infinity"
		if math.IsNaN(f) {
			name = "NaN"
		}
		return Opaque{"decimal.Decimal", "Decimal('" + name + "')"}, nil
	}
	d, err := exactDecimal(number)
	if err != nil {
		return nil, err
	}
	if d.digits.Sign() < 0 {
		return nil, &Error{"InvalidOperation", "[<class 'decimal.InvalidOperation'>]"}
	}
	return Opaque{"decimal.Decimal", "Decimal('" + d.sqrt(int(n.Int64())).String() + "')"}, nil
}

// decimal10 is digits · 10^exp, digits >= 0.
type decimal10 struct {
	digits *big.Int
	exp    int
}

// exactDecimal is Decimal(number): a float has its exact value.
func exactDecimal(v Value) (decimal10, error) {
	if n, ok := wholeOf(v); ok {
		if n.BitLen() > maxDigits*10/3 {
			return decimal10{}, errDigits
		}
		return decimal10{new(big.Int).Set(n), 0}, nil
	}
	f, ok := v.(float64)
	if !ok {
		return decimal10{}, &Error{"TypeError", "conversion from " + TypeName(v) + " to Decimal is not supported"}
	}
	r := new(big.Rat).SetFloat64(f)
	if r == nil {
		return decimal10{}, &Error{"OverflowError", "no finite number"}
	}
	halvings := r.Denom().BitLen() - 1
	fives := new(big.Int).Exp(big.NewInt(5), big.NewInt(int64(halvings)), nil)
	return decimal10{fives.Mul(fives, r.Num()), -halvings}, nil
}

// sqrt rounds to half even. An exact root keeps as many places as the half of its exponent.
func (d decimal10) sqrt(precision int) decimal10 {
	if d.digits.Sign() == 0 {
		return decimal10{d.digits, d.exp >> 1}
	}
	exp := d.exp >> 1
	c := new(big.Int).Set(d.digits)
	length := (len(c.String()) + 1) >> 1
	if d.exp&1 == 1 {
		length = len(c.String())>>1 + 1
		c.Mul(c, big.NewInt(10))
	}
	shift := precision + 1 - length
	exact := true
	if shift >= 0 {
		c.Mul(c, tens(2*shift))
	} else {
		rest := new(big.Int)
		c.QuoRem(c, tens(-2*shift), rest)
		exact = rest.Sign() == 0
	}
	exp -= shift
	root := new(big.Int).Sqrt(c)
	switch exact = exact && new(big.Int).Mul(root, root).Cmp(c) == 0; {
	case exact && shift >= 0:
		root.Quo(root, tens(shift))
		exp += shift
	case exact:
		root.Mul(root, tens(-shift))
		exp += shift
	case new(big.Int).Mod(root, big.NewInt(5)).Sign() == 0:
		root.Add(root, big.NewInt(1)) // so that rounding sees that digits follow
	}
	return decimal10{root, exp}.round(precision)
}

func tens(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

func (d decimal10) round(precision int) decimal10 {
	extra := len(d.digits.String()) - precision
	if extra <= 0 {
		return d
	}
	unit := tens(extra)
	d.digits = roundWhole(d.digits, unit)
	d.digits.Quo(d.digits, unit)
	d.exp += extra
	if len(d.digits.String()) > precision { // 999 became 1000
		d.digits.Quo(d.digits, big.NewInt(10))
		d.exp++
	}
	return d
}

// String is str(Decimal): with an exponent from 10^1 on and below 10^-6.
func (d decimal10) String() string {
	text := d.digits.String()
	left := len(text) + d.exp // of the point
	if d.exp <= 0 && left > -6 {
		switch {
		case d.exp == 0:
			return text
		case left > 0:
			return text[:left] + "." + text[left:]
		}
		return "0." + strings.Repeat("0", -left) + text
	}
	sign := "+"
	if left-1 < 0 {
		sign = ""
	}
	if len(text) > 1 {
		text = text[:1] + "." + text[1:]
	}
	return text + "E" + sign + strconv.Itoa(left-1)
}
