// Package python has those Python values that the simulated classes of BFCL keep and
// return, with Python's equality, texts, arithmetic and error messages.
//
// A value is one of
//
//	nil (None), bool, *big.Int, float64, string, *List, *Tuple, *Dict, *Set, Opaque
//
// Containers are pointers: two names can hold the same list, and a list can hold itself. So
// every function that walks a value has a limit of depth and of size, and what exceeds it is
// an error. The package executes nothing: package multiturn evaluates calls.
//
//	text, err := python.Repr(python.NewList("it's", python.Int(3))) // ["it's", 3]
package python

import (
	"math/big"
	"unicode"
)

// Value is a Python value, see the package's doc.
type Value = any

// Limits of a walk through one value.
const (
	maxDepth = 500     // levels of containers; Python has its limit of recursion
	maxNodes = 1 << 20 // values that one comparison looks at
)

// MaxBytes limits one text.
const MaxBytes = 2 << 20

// List is a Python list.
type List struct{ Items []Value }

// Tuple is a Python tuple.
type Tuple struct{ Items []Value }

// Opaque is a value of which only its repr is known, such as Ellipsis or Decimal('2').
type Opaque struct {
	Type string // the name of its type
	Text string // its repr
}

// Ellipsis is Python's "...".
var Ellipsis = Opaque{"ellipsis", "Ellipsis"}

// Int makes an int.
func Int(n int64) *big.Int { return big.NewInt(n) }

// NewList makes a list; it keeps the slice.
func NewList(items ...Value) *List { return &List{items} }

// Error is an exception. Its text is what str(exception) gives in Python.
type Error struct {
	Type string // TypeError, KeyError, …
	Text string
}

func (e *Error) Error() string { return e.Text }

// Exception makes an error of the type.
func Exception(kind, text string) *Error { return &Error{kind, text} }

// errLimit is what a value that is too deep or too large gives.
var errLimit = &Error{"RecursionError", "maximum recursion depth exceeded"}

// TypeName is the name of v's type.
func TypeName(v Value) string {
	switch x := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case *big.Int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case *List:
		return "list"
	case *Tuple:
		return "tuple"
	case *Dict:
		return "dict"
	case *Set:
		return "set"
	case Opaque:
		return x.Type
	}
	return "object"
}

// Truthy is bool(v).
func Truthy(v Value) bool {
	switch x := v.(type) {
	case nil:
		return false
	case bool:
		return x
	case *big.Int:
		return x.Sign() != 0
	case float64:
		return x != 0
	case string:
		return x != ""
	}
	if n, ok := length(v); ok {
		return n > 0
	}
	return true
}

// length is len(v) of a container.
func length(v Value) (int, bool) {
	switch x := v.(type) {
	case *List:
		return len(x.Items), true
	case *Tuple:
		return len(x.Items), true
	case *Dict:
		return x.Len(), true
	case *Set:
		return x.Len(), true
	}
	return 0, false
}

// Iterate returns what "for x in v" visits: characters of a text, keys of a dict.
func Iterate(v Value) ([]Value, error) {
	switch x := v.(type) {
	case *List:
		return x.Items, nil
	case *Tuple:
		return x.Items, nil
	case *Dict:
		return x.Keys(), nil
	case *Set:
		return x.Items(), nil
	case string:
		var all []Value
		for _, r := range x {
			all = append(all, string(r))
		}
		return all, nil
	}
	return nil, &Error{"TypeError", "'" + TypeName(v) + "' object is not iterable"}
}

// Copy is copy.deepcopy(v) for values without cycles.
func Copy(v Value) Value {
	switch x := v.(type) {
	case *List:
		return &List{copyAll(x.Items)}
	case *Tuple:
		return &Tuple{copyAll(x.Items)}
	case *Set:
		return x.Clone()
	case *Dict:
		c := NewDict()
		for _, key := range x.Keys() {
			value, _ := x.Get(key)
			c.set(key, Copy(value))
		}
		return c
	}
	return v
}

func copyAll(items []Value) []Value {
	all := make([]Value, len(items))
	for i, item := range items {
		all[i] = Copy(item)
	}
	return all
}

// IsSpace reports whether Python's str.split and str.strip see a space.
func IsSpace(r rune) bool { return r >= 0x1c && r <= 0x1f || unicode.IsSpace(r) }
