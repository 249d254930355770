package jinja

import (
	"math"
	"math/big"
	"strings"
)

func unary(x *exec, op string, v any) any {
	if op == "not" {
		return !truth(v)
	}
	switch v := v.(type) {
	case *undefined:
		v.fail()
	case float64:
		if op == "-" {
			return -v
		}
		return v
	}
	i, ok := integer(v)
	if !ok {
		typeError("bad operand type for unary %s: '%s'", op, typeName(v))
	}
	if op == "-" {
		i = new(big.Int).Neg(i)
	}
	return normal(i)
}

// binary evaluates an arithmetic operator.
func binary(x *exec, op string, a, b any) any {
	for _, v := range []any{a, b} {
		if u, ok := v.(*undefined); ok && !(op == "%" && v == b && isText(a)) {
			u.fail()
		}
	}
	if isNumber(a) && isNumber(b) {
		return arithmetic(x, op, a, b)
	}
	refuseSets(op, a, b)
	switch op {
	case "+":
		return add(x, a, b)
	case "*":
		if n, ok := small(b); ok && isSequence(a) {
			return times(x, a, n)
		}
		if n, ok := small(a); ok && isSequence(b) {
			return times(x, b, n)
		}
		if isSequence(a) || isSequence(b) {
			other := b
			if !isSequence(a) {
				other = a
			}
			typeError("can't multiply sequence by non-int of type '%s'", typeName(other))
		}
	case "%":
		if s, ok := text(a); ok {
			return sameKind(a, printf(x, s, b, isMarkup(a)))
		}
	}
	if op == "**" {
		op = "** or pow()"
	}
	typeError("unsupported operand type(s) for %s: '%s' and '%s'", op, typeName(a), typeName(b))
	return nil
}

// refuseSets refuses what Python computes and nothing here does: with the sets that dict views are, and with bytes.
func refuseSets(op string, a, b any) {
	for _, v := range []any{a, b} {
		view, ok := v.(*view)
		_, isBytes := v.(bytesValue)
		if ok && op == "-" && view.kind != "dict_values" || isBytes && (op == "+" || op == "*" || op == "%") {
			unsupported("the operator %s of a %s", op, typeName(v))
		}
	}
}

func isText(v any) bool   { _, ok := text(v); return ok }
func isMarkup(v any) bool { _, ok := v.(markup); return ok }

func isNumber(v any) bool {
	switch v.(type) {
	case bool, int, *big.Int, float64:
		return true
	}
	return false
}

func isSequence(v any) bool {
	switch v.(type) {
	case string, markup, *List, *Tuple:
		return true
	}
	return false
}

// sameKind makes s a Markup if like is one.
func sameKind(like any, s string) any {
	if isMarkup(like) {
		return markup(s)
	}
	return s
}

func add(x *exec, a, b any) any {
	switch v := a.(type) {
	case string, markup:
		s, _ := text(a)
		t, ok := text(b)
		if !ok {
			typeError("can only concatenate str (not \"%s\") to str", typeName(b))
		}
		switch {
		case isMarkup(a) && !isMarkup(b):
			t = escapeHTML(t)
		case isMarkup(b) && !isMarkup(a):
			s, a = escapeHTML(s), b
		}
		x.spend(len(s) + len(t))
		return sameKind(a, s+t)
	case *List:
		w, ok := b.(*List)
		if !ok {
			typeError("can only concatenate list (not \"%s\") to list", typeName(b))
		}
		return &List{x.concat(v.Items, w.Items)}
	case *Tuple:
		w, ok := b.(*Tuple)
		if !ok {
			typeError("can only concatenate tuple (not \"%s\") to tuple", typeName(b))
		}
		return &Tuple{Items: x.concat(v.Items, w.Items)}
	}
	typeError("unsupported operand type(s) for +: '%s' and '%s'", typeName(a), typeName(b))
	return nil
}

func (x *exec) concat(a, b []any) []any {
	x.spend(16 * (len(a) + len(b)))
	return append(append(make([]any, 0, len(a)+len(b)), a...), b...)
}

// times repeats a sequence.
func times(x *exec, v any, n int) any {
	n = max(n, 0)
	room := func(size int) {
		if size > 0 && n > x.limits.Bytes/size {
			overLimit("a repetition creates more than %d bytes", x.limits.Bytes)
		}
		x.spend(n * size)
	}
	repeat := func(items []any) (out []any) {
		room(16 * len(items))
		for range n {
			out = append(out, items...)
		}
		return out
	}
	switch v := v.(type) {
	case *List:
		return &List{repeat(v.Items)}
	case *Tuple:
		return &Tuple{Items: repeat(v.Items)}
	}
	s, _ := text(v)
	room(len(s))
	if s == "" {
		n = 0
	}
	return sameKind(v, strings.Repeat(s, n))
}

// arithmetic is on numbers alone.
func arithmetic(x *exec, op string, a, b any) any {
	i, okA := integer(a)
	j, okB := integer(b)
	if okA && okB {
		return integers(x, op, i, j)
	}
	f, g := toFloat(a), toFloat(b)
	switch op {
	case "+":
		return f + g
	case "-":
		return f - g
	case "*":
		return f * g
	case "**":
		return power(x, f, g)
	}
	if g == 0 {
		raise("ZeroDivisionError", "%s", map[string]string{
			"/": "float division by zero", "//": "float floor division by zero", "%": "float modulo",
		}[op])
	}
	switch op {
	case "/":
		return f / g
	case "//":
		return floorDiv(f, g)
	}
	return floatMod(f, g)
}

// floatMod is Python's: the result has the sign of g.
func floatMod(f, g float64) float64 {
	m := math.Mod(f, g)
	switch {
	case m == 0:
		return math.Copysign(0, g)
	case (g < 0) != (m < 0):
		return m + g
	}
	return m
}

// floorDiv is Python's float floor division, which takes the remainder first.
func floorDiv(f, g float64) float64 {
	m := math.Mod(f, g)
	d := (f - m) / g
	if m != 0 && (g < 0) != (m < 0) {
		d--
	}
	if d == 0 {
		return math.Copysign(0, f/g)
	}
	floor := math.Floor(d)
	if d-floor > 0.5 {
		floor++
	}
	return floor
}

func power(x *exec, f, g float64) any {
	if f == 0 && g < 0 {
		raise("ZeroDivisionError", "0.0 cannot be raised to a negative power")
	}
	if f < 0 && g != math.Trunc(g) && !math.IsInf(f, 0) && !math.IsInf(g, 0) {
		unsupported("a power that is a complex number")
	}
	p := math.Pow(f, g)
	if p != 0 && p-p == 0 && f-f == 0 && g-g == 0 { // all of them finite
		p = exactPower(x, f, g)
	}
	if math.IsInf(p, 0) && !math.IsInf(f, 0) && !math.IsInf(g, 0) {
		raise("OverflowError", "(34, 'Numerical result out of range')")
	}
	return p
}

// exactPower is f to the power of g, which is a fraction over a power of two, correctly rounded: so does Python's C
// library in all but a few cases close to the middle of two floats, which are refused. glibc promises (e_pow.c) an
// error below 0.511 units in the last place for the exponential, and 1.5/2¹⁵ more for each unit of its argument.
func exactPower(x *exec, f, g float64) float64 {
	const precision = 500
	tooClose := 0.012 + 5e-5*math.Abs(g*math.Log(math.Abs(f)))
	fraction := new(big.Rat).SetFloat64(math.Abs(g))
	roots := fraction.Denom().BitLen() - 1
	if roots > 100 || fraction.Num().BitLen() > 100 {
		unsupported("the exponent %v", g)
	}
	x.work(1000 + 20*roots)
	base := new(big.Float).SetPrec(precision).SetFloat64(math.Abs(f))
	for range roots {
		base.Sqrt(base)
	}
	power := new(big.Float).SetPrec(precision).SetInt64(1)
	for i := fraction.Num().BitLen() - 1; i >= 0; i-- {
		power.Mul(power, power)
		if fraction.Num().Bit(i) == 1 {
			power.Mul(power, base)
		}
	}
	if g < 0 {
		power.Quo(new(big.Float).SetPrec(precision).SetInt64(1), power)
	}
	p, _ := power.Float64()
	if p != 0 && !math.IsInf(p, 0) {
		unit := new(big.Float).SetFloat64(math.Nextafter(p, math.Inf(1)) - p)
		off, _ := new(big.Float).Quo(new(big.Float).Sub(power, new(big.Float).SetFloat64(p)), unit).Float64()
		if math.Abs(math.Abs(off)-0.5) < tooClose {
			unsupported("a power that C libraries may round either way")
		}
	}
	if f < 0 && math.Mod(g, 2) != 0 {
		return -p
	}
	return p
}

const maxIntBits = 1 << 20 // of an integer that an operation creates

func integers(x *exec, op string, i, j *big.Int) any {
	x.spend(16 + (i.BitLen()+j.BitLen())/4)
	r := new(big.Int)
	switch op {
	case "+":
		r.Add(i, j)
	case "-":
		r.Sub(i, j)
	case "*":
		if i.BitLen()+j.BitLen() > maxIntBits {
			overLimit("an integer has more than %d bits", maxIntBits)
		}
		x.work(i.BitLen() / 64 * (j.BitLen() / 64))
		r.Mul(i, j)
	case "**":
		return integerPower(x, i, j)
	case "/":
		return divide(i, j)
	default:
		if j.Sign() == 0 {
			raise("ZeroDivisionError", "integer division or modulo by zero")
		}
		m := new(big.Int)
		r.QuoRem(i, j, m)
		if m.Sign() != 0 && m.Sign() != j.Sign() { // Python rounds down
			m.Add(m, j)
			r.Sub(r, big.NewInt(1))
		}
		if op == "%" {
			r = m
		}
	}
	return normal(r)
}

// divide is the float nearest to i ÷ j.
func divide(i, j *big.Int) any {
	if j.Sign() == 0 {
		raise("ZeroDivisionError", "division by zero")
	}
	if i.Sign() == 0 && j.Sign() < 0 {
		return math.Copysign(0, -1)
	}
	f, _ := new(big.Rat).SetFrac(i, j).Float64()
	if math.IsInf(f, 0) {
		raise("OverflowError", "integer division result too large for a float")
	}
	return f
}

func integerPower(x *exec, i, j *big.Int) any {
	if j.Sign() < 0 {
		return power(x, intToFloat(i), intToFloat(j))
	}
	if i.BitLen() > 1 {
		if !j.IsInt64() || j.Int64() > maxIntBits || i.BitLen()*int(j.Int64()) > maxIntBits {
			overLimit("an integer has more than %d bits", maxIntBits)
		}
		bits := i.BitLen() * int(j.Int64())
		x.spend(bits / 8)
		x.work(bits / 64 * (bits / 64))
	} else if !j.IsInt64() { // 0, 1, −1: only whether j is odd counts
		j = new(big.Int).And(j, big.NewInt(1))
		j.Add(j, big.NewInt(2))
	} else {
		j = big.NewInt(min(j.Int64(), 2+j.Int64()&1))
	}
	return normal(new(big.Int).Exp(i, j, nil))
}
