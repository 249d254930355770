package python

import (
	"math"
	"math/big"
	"strings"
)

// Equal is a == b: 1, 1.0 and True are equal, a list is never equal to a tuple, and dicts
// compare without order. Values beyond the limits of depth and size are not equal.
func Equal(a, b Value) bool {
	e := equality{nodes: maxNodes}
	return e.equal(a, b, 0)
}

type equality struct{ nodes int }

func (e *equality) equal(a, b Value, depth int) bool {
	if e.nodes--; e.nodes < 0 || depth > maxDepth {
		return false
	}
	if isNumber(a) || isNumber(b) {
		order, ok := compareNumbers(a, b)
		return ok && order == 0
	}
	switch x := a.(type) {
	case nil:
		return b == nil
	case string:
		y, ok := b.(string)
		return ok && x == y
	case Opaque:
		y, ok := b.(Opaque)
		return ok && x == y
	case *List:
		y, ok := b.(*List)
		return ok && (x == y || e.all(x.Items, y.Items, depth))
	case *Tuple:
		y, ok := b.(*Tuple)
		return ok && (x == y || e.all(x.Items, y.Items, depth))
	case *Dict:
		y, ok := b.(*Dict)
		return ok && (x == y || e.dicts(x, y, depth))
	case *Set:
		y, ok := b.(*Set)
		return ok && e.dicts(&x.Dict, &y.Dict, depth)
	}
	return false
}

func (e *equality) all(a, b []Value, depth int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !e.equal(a[i], b[i], depth+1) {
			return false
		}
	}
	return true
}

func (e *equality) dicts(a, b *Dict, depth int) bool {
	if a.Len() != b.Len() {
		return false
	}
	for _, x := range a.entries {
		if x.deleted {
			continue
		}
		y, ok := b.Get(x.key)
		if !ok || !e.equal(x.value, y, depth+1) {
			return false
		}
	}
	return true
}

func isNumber(v Value) bool {
	switch v.(type) {
	case bool, *big.Int, float64:
		return true
	}
	return false
}

// IsNumber reports isinstance(v, (int, float)); a bool is an int.
func IsNumber(v Value) bool { return isNumber(v) }

// wholeOf returns a bool or an int as an int.
func wholeOf(v Value) (*big.Int, bool) {
	switch x := v.(type) {
	case *big.Int:
		return x, true
	case bool:
		if x {
			return big.NewInt(1), true
		}
		return new(big.Int), true
	}
	return nil, false
}

// compareNumbers compares exactly; false where one is no number or NaN.
func compareNumbers(a, b Value) (order int, ok bool) {
	x, xInt := wholeOf(a)
	y, yInt := wholeOf(b)
	f, xFloat := a.(float64)
	g, yFloat := b.(float64)
	switch {
	case xInt && yInt:
		return x.Cmp(y), true
	case xInt && yFloat:
		order, ok = compareIntFloat(x, g)
		return order, ok
	case xFloat && yInt:
		order, ok = compareIntFloat(y, f)
		return -order, ok
	case xFloat && yFloat && f == f && g == g:
		switch {
		case f < g:
			return -1, true
		case f > g:
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func compareIntFloat(n *big.Int, f float64) (int, bool) {
	if math.IsNaN(f) {
		return 0, false
	}
	if math.IsInf(f, 0) {
		return -int(math.Copysign(1, f)), true
	}
	return new(big.Rat).SetInt(n).Cmp(new(big.Rat).SetFloat64(f)), true
}

// Compare is a op b for an order: <, <=, > or >=.
func Compare(op string, a, b Value) (bool, error) {
	order, ok := compareNumbers(a, b)
	if isNumber(a) && isNumber(b) && !ok {
		return false, nil // NaN
	}
	x, xText := a.(string)
	y, yText := b.(string)
	if xText && yText {
		order, ok = strings.Compare(x, y), true // UTF-8 sorts as code points do
	}
	if p, q, both := sequences(a, b); both {
		var err error
		if order, err = compareItems(p, q); err != nil {
			return false, err
		}
		ok = true
	}
	if !ok {
		return false, &Error{"TypeError", "'" + op + "' not supported between instances of '" +
			TypeName(a) + "' and '" + TypeName(b) + "'"}
	}
	switch op {
	case "<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	}
	return order >= 0, nil
}

func sequences(a, b Value) (x, y []Value, both bool) {
	if p, ok := a.(*List); ok {
		if q, ok := b.(*List); ok {
			return p.Items, q.Items, true
		}
	}
	if p, ok := a.(*Tuple); ok {
		if q, ok := b.(*Tuple); ok {
			return p.Items, q.Items, true
		}
	}
	return nil, nil, false
}

// compareItems orders by the first items that differ; those may not be sequences themselves.
func compareItems(a, b []Value) (int, error) {
	for i := range min(len(a), len(b)) {
		if Equal(a[i], b[i]) {
			continue
		}
		if _, _, deep := sequences(a[i], b[i]); deep {
			return 0, errLimit
		}
		less, err := Compare("<", a[i], b[i])
		if less {
			return -1, err
		}
		return 1, err
	}
	return len(a) - len(b), nil
}
