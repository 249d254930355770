package jinja

import (
	"errors"
	"math"
	"math/big"
	"slices"
	"strconv"
)

func absolute(x *exec, of any, a args) any {
	bind("abs", a)
	if f, ok := of.(float64); ok {
		return math.Abs(f)
	}
	i, ok := integer(of)
	if !ok {
		typeError("bad operand type for abs(): '%s'", typeName(of))
	}
	return normal(new(big.Int).Abs(i))
}

func floatFilter(x *exec, of any, a args) any {
	b := bind("float", a, "default=")
	var v any
	if tryPython(func() { v = toFloat(of) }, "TypeError", "ValueError") {
		return v
	}
	return or(b[0], 0.0)
}

func intFilter(x *exec, of any, a args) any {
	b := bind("int", a, "default=", "base=")
	var v *big.Int
	convert := func() {
		if s, ok := text(of); ok {
			v = parseInt(s, count(or(b[1], 10)))
			return
		}
		v = toInt(of)
	}
	if tryPython(convert, "TypeError", "ValueError") {
		return normal(v)
	}
	if tryPython(func() { v = toInt(toFloat(of)) }, "TypeError", "ValueError", "OverflowError") {
		return normal(v)
	}
	return or(b[0], 0)
}

// tryPython tells whether f ends without raising one of the classes; others go on.
func tryPython(f func(), classes ...string) (ok bool) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if fl, is := p.(fault); is {
			if e, is := errors.AsType[*Error](fl.err); is && slices.Contains(classes, e.Class) {
				return
			}
		}
		panic(p)
	}()
	f()
	return true
}

func round(x *exec, of any, a args) any {
	b := bind("round", a, "precision=", "method=")
	method := or(b[1], "common")
	if m, ok := text(method); !ok || m != "common" && m != "ceil" && m != "floor" {
		raise("FilterArgumentError", "method must be common, ceil or floor")
	}
	precision := or(b[0], 0)
	if precision == nil && method == "common" { // Python's round without a precision returns an int
		v := roundTo(of, 0)
		if f, ok := v.(float64); ok {
			return normal(toInt(f))
		}
		return v
	}
	if method != "common" {
		scaled := binary(x, "*", of, binary(x, "**", 10, precision))
		if _, ok := scaled.(float64); ok {
			f := math.Ceil(scaled.(float64))
			if method == "floor" {
				f = math.Floor(scaled.(float64))
			}
			scaled = normal(toInt(f))
		} else if !isNumber(scaled) {
			typeError("must be real number, not %s", typeName(scaled))
		}
		return binary(x, "/", scaled, binary(x, "**", 10, precision))
	}
	return roundTo(of, count(precision))
}

func roundTo(of any, precision int) any {
	if i, ok := integer(of); ok {
		return roundInt(i, precision)
	}
	f, ok := of.(float64)
	if !ok {
		typeError("type %s doesn't define __round__ method", typeName(of))
	}
	return roundFloat(f, precision)
}

// roundInt rounds to a multiple of a power of ten, halves to even.
func roundInt(i *big.Int, precision int) any {
	if precision >= 0 {
		return normal(i)
	}
	if -precision > i.BitLen()/3+2 {
		return 0
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-precision)), nil)
	q, m := new(big.Int).DivMod(i, unit, new(big.Int))
	c := new(big.Int).Lsh(m, 1).Cmp(unit)
	if c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(1))
	}
	return normal(q.Mul(q, unit))
}

// roundFloat rounds the exact value, halves to even.
func roundFloat(f float64, precision int) any {
	if math.IsNaN(f) || math.IsInf(f, 0) || precision > 323 {
		return f
	}
	if precision >= 0 {
		r, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'f', precision, 64), 64)
		return r
	}
	if precision < -308 {
		return math.Copysign(0, f)
	}
	unit := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-precision)), nil))
	exact := new(big.Rat).Quo(new(big.Rat).SetFloat64(math.Abs(f)), unit)
	q, m := new(big.Int).QuoRem(exact.Num(), exact.Denom(), new(big.Int))
	c := new(big.Int).Lsh(m, 1).Cmp(exact.Denom())
	if c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(1))
	}
	r, _ := new(big.Rat).Mul(new(big.Rat).SetInt(q), unit).Float64()
	if math.IsInf(r, 0) {
		raise("OverflowError", "rounded value too large to represent")
	}
	return math.Copysign(r, f)
}
