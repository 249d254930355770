package jinja

import (
	"cmp"
	"math"
	"math/big"
	"strings"
)

// compare evaluates one operator of a comparison.
func compare(x *exec, op string, a, b any) bool {
	switch op {
	case "==":
		return equal(x, a, b)
	case "!=":
		return !equal(x, a, b)
	case "in":
		return contains(x, b, a)
	case "not in":
		return !contains(x, b, a)
	}
	return ordered(x, op, a, b)
}

// ordered is a < b, a <= b, a > b or a >= b.
func ordered(x *exec, op string, a, b any) bool {
	x.step()
	for _, v := range []any{a, b} {
		if u, ok := v.(*undefined); ok {
			u.fail()
		}
	}
	holds := func(c int) bool {
		switch op {
		case "<":
			return c < 0
		case "<=":
			return c <= 0
		case ">":
			return c > 0
		}
		return c >= 0
	}
	if isNumber(a) && isNumber(b) {
		c, ok := compareNumbers(a, b)
		return ok && holds(c)
	}
	s, okA := text(a)
	t, okB := text(b)
	if okA && okB {
		x.work(min(len(s), len(t)) / 16)
		return holds(strings.Compare(s, t)) // of UTF-8 the order of code points
	}
	if items, others, ok := bothSequences(a, b); ok {
		for i := range min(len(items), len(others)) {
			if !same(items[i], others[i]) && !equal(x, items[i], others[i]) {
				return ordered(x, op, items[i], others[i])
			}
		}
		return holds(cmp.Compare(len(items), len(others)))
	}
	_, views := a.(*view)
	if _, both := b.(*view); views && both {
		unsupported("an order of dict views, which are sets")
	}
	typeError("'%s' not supported between instances of '%s' and '%s'", op, typeName(a), typeName(b))
	return false
}

func bothSequences(a, b any) (items, others []any, ok bool) {
	switch a := a.(type) {
	case *List:
		if b, ok := b.(*List); ok {
			return a.Items, b.Items, true
		}
	case *Tuple:
		if b, ok := b.(*Tuple); ok {
			return a.Items, b.Items, true
		}
	}
	return nil, nil, false
}

// compareNumbers compares exactly; ok is false where one is not a number (NaN).
func compareNumbers(a, b any) (c int, ok bool) {
	i, okA := integer(a)
	j, okB := integer(b)
	if okA && okB {
		return i.Cmp(j), true
	}
	if okB {
		c, ok = compareFloat(b, a)
		return -c, ok
	}
	return compareFloat(a, b)
}

// compareFloat compares a number with a float.
func compareFloat(a, b any) (int, bool) {
	g := b.(float64)
	if f, ok := a.(float64); ok {
		return cmp.Compare(f, g), f == f && g == g
	}
	if math.IsNaN(g) {
		return 0, false
	}
	if math.IsInf(g, 0) {
		return -cmp.Compare(g, 0), true
	}
	i, _ := integer(a)
	return new(big.Float).SetInt(i).Cmp(big.NewFloat(g)), true
}

// equal is a == b.
func equal(x *exec, a, b any) bool {
	x.step()
	if isNumber(a) && isNumber(b) {
		c, ok := compareNumbers(a, b)
		return ok && c == 0
	}
	if s, ok := text(a); ok {
		t, ok := text(b)
		x.work(len(s) / 64)
		return ok && s == t
	}
	if items, others, ok := bothSequences(a, b); ok {
		return equalItems(x, items, others)
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case *Dict:
		b, ok := b.(*Dict)
		return ok && equalDicts(x, a, b)
	case *undefined:
		_, ok := b.(*undefined)
		return ok
	case *rangeValue:
		b, ok := b.(*rangeValue)
		n := a.len()
		return ok && n == b.len() && (n == 0 || a.start == b.start && (n == 1 || a.step == b.step))
	case *view:
		b, ok := b.(*view)
		if !ok || a.kind == "dict_values" || b.kind == "dict_values" {
			return ok && a == b
		}
		return equalSets(x, a, b)
	case *List, *Tuple:
		return false
	}
	return same(a, b)
}

func equalItems(x *exec, items, others []any) bool {
	if len(items) != len(others) {
		return false
	}
	for i := range items {
		if !same(items[i], others[i]) && !equal(x, items[i], others[i]) {
			return false
		}
	}
	return true
}

// equalSets compares keys or items of dicts, in any order.
func equalSets(x *exec, a, b *view) bool {
	if a.of.Len() != b.of.Len() {
		return false
	}
	for i := range a.of.keys {
		if !contains(x, b, a.at(i)) {
			return false
		}
	}
	return true
}

func equalDicts(x *exec, a, b *Dict) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i, k := range a.keys {
		v, ok := b.get(x.key(k))
		if !ok || !same(a.values[i], v) && !equal(x, a.values[i], v) {
			return false
		}
	}
	return true
}

// same is Python's "is" for objects; small values are the same when they are equal.
func same(a, b any) bool {
	if typeName(a) != typeName(b) {
		return false
	}
	switch v := a.(type) {
	case *big.Int:
		return v.Cmp(b.(*big.Int)) == 0
	case float64:
		w := b.(float64)
		if math.IsNaN(v) && math.IsNaN(w) {
			unsupported("telling apart what is not a number")
		}
		return math.Float64bits(v) == math.Float64bits(w)
	}
	return a == b
}

// contains is "item in v".
func contains(x *exec, v, item any) bool {
	switch c := v.(type) {
	case string, markup:
		s, _ := text(v)
		t, ok := text(item)
		if !ok {
			typeError("'in <string>' requires string as left operand, not %s", typeName(item))
		}
		x.work(len(s) / 16)
		return strings.Contains(s, t)
	case *Dict:
		_, ok := c.get(x.key(item))
		return ok
	case *view:
		switch c.kind {
		case "dict_keys":
			_, ok := c.of.get(x.key(item))
			return ok
		case "dict_items":
			pair, ok := item.(*Tuple)
			if !ok || len(pair.Items) != 2 {
				return false
			}
			value, ok := c.of.get(x.key(pair.Items[0]))
			return ok && (same(value, pair.Items[1]) || equal(x, value, pair.Items[1]))
		}
	case *rangeValue:
		i, ok := integer(item)
		if ok && i.IsInt64() {
			d := int(i.Int64()) - c.start
			return c.len() > 0 && d%c.step == 0 && d/c.step >= 0 && d/c.step < c.len()
		}
	case *undefined, *List, *Tuple, *generator, *loopContext:
	default:
		typeError("argument of type '%s' is not iterable", typeName(v))
	}
	next := iterate(x, v)
	for other, ok := next(); ok; other, ok = next() {
		if same(other, item) || equal(x, other, item) {
			return true
		}
	}
	return false
}
