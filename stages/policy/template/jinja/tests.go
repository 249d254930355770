package jinja

import (
	"math/big"
	"unsafe"
)

// tests are jinja2's.
var tests = map[string]filter{
	"boolean":  is(func(v any) bool { _, ok := v.(bool); return ok }),
	"callable": is(isCallable),
	"defined":  is(func(v any) bool { _, undef := v.(*undefined); return !undef }),
	"undefined": is(func(v any) bool {
		_, undef := v.(*undefined)
		return undef
	}),
	"divisibleby": func(x *exec, v any, a args) any {
		return equal(x, binary(x, "%", v, bind("divisibleby", a, "num")[0]), 0)
	},
	"even":    func(x *exec, v any, a args) any { bind("even", a); return equal(x, binary(x, "%", v, 2), 0) },
	"odd":     func(x *exec, v any, a args) any { bind("odd", a); return equal(x, binary(x, "%", v, 2), 1) },
	"escaped": is(isMarkup),
	"false":   is(func(v any) bool { return v == false }),
	"true":    is(func(v any) bool { return v == true }),
	"filter":  func(x *exec, v any, a args) any { bind("filter", a); return has(x, x.filters, v) },
	"test":    func(x *exec, v any, a args) any { bind("test", a); return has(x, x.tests, v) },
	"float":   is(func(v any) bool { _, ok := v.(float64); return ok }),
	"integer": is(func(v any) bool {
		switch v.(type) {
		case int, *big.Int:
			return true
		}
		return false
	}),
	"iterable": is(isIterable),
	"lower":    func(x *exec, v any, a args) any { bind("lower", a); return isLower(str(x, v)) },
	"upper":    func(x *exec, v any, a args) any { bind("upper", a); return isUpper(str(x, v)) },
	"mapping":  is(func(v any) bool { _, ok := v.(*Dict); return ok }),
	"none":     is(func(v any) bool { return v == nil }),
	"number":   is(isNumber),
	"sameas": func(x *exec, v any, a args) any {
		other := bind("sameas", a, "other")[0]
		return identical(v, other)
	},
	"sequence": is(isSequenceLike),
	"string":   is(isText),
	"in":       func(x *exec, v any, a args) any { return contains(x, bind("in", a, "seq")[0], v) },

	"==": compared("=="), "eq": compared("=="), "equalto": compared("=="),
	"!=": compared("!="), "ne": compared("!="),
	">": compared(">"), "gt": compared(">"), "greaterthan": compared(">"),
	">=": compared(">="), "ge": compared(">="),
	"<": compared("<"), "lt": compared("<"), "lessthan": compared("<"),
	"<=": compared("<="), "le": compared("<="),
}

// identical is Python's "is". Whether two equal texts or numbers are one object depends on how Python
// made them, so that is said only of one variable read twice and of texts of at most one character.
func identical(v, other any) bool {
	if !same(v, other) {
		return false
	}
	if s, ok := text(v); ok && len(s) > 1 {
		t, _ := text(other)
		if unsafe.StringData(s) == unsafe.StringData(t) {
			return true
		}
	}
	switch v := v.(type) {
	case string:
		if len(v) < 2 {
			return true
		}
	case int:
		if v >= -5 && v <= 256 {
			return true
		}
	case *big.Int, float64, markup:
	default:
		return true
	}
	unsupported("sameas of two equal values of type %s", typeName(v))
	return false
}

func is(f func(any) bool) filter {
	return func(_ *exec, v any, a args) any {
		bind("test", a)
		return f(v)
	}
}

func compared(op string) filter {
	return func(x *exec, v any, a args) any { return compare(x, op, v, bind(op, a, "other/")[0]) }
}

func has(x *exec, table map[string]filter, v any) bool {
	x.key(v)
	name, _ := text(v)
	_, ok := table[name]
	return ok && isText(v)
}

func isCallable(v any) bool {
	switch v.(type) {
	case *function, *macro, *loopContext, *joiner, *undefined:
		return true
	}
	return false
}

func isIterable(v any) bool {
	switch v.(type) {
	case *generator, *loopContext:
		return true
	}
	_, ok := size(v)
	return ok
}

// isSequenceLike: it has a length and items.
func isSequenceLike(v any) bool {
	switch v.(type) {
	case string, markup, bytesValue, *List, *Tuple, *Dict, *rangeValue, *undefined:
		return true
	}
	return false // dict views and loops have no items
}
