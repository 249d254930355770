package toolcall

import (
	"math/big"
	"strconv"
	"strings"
)

// Kind is the Python type of a value. The checker distinguishes all of them: True is not an
// int, 10.0 is not 10, a tuple is not a list.
type Kind uint8

const (
	None    Kind = iota
	Bool         // Value.Bool
	Int          // Value.Text: decimal digits, any length
	Float        // Value.Float
	String       // Value.Text
	List         // Value.Items
	Tuple        // Value.Items
	Dict         // Value.Pairs
	Nested       // Value.Call: a call as an argument; only Parse makes it
	Bytes        // Value.Text: any bytes; only ReadExpression, DecodeStep and DecodeEdition make it
	Complex      // Value.Text: the literal; only DecodeEdition makes it
)

var kindNames = [...]string{
	"None", "bool", "int", "float", "string", "list", "tuple", "dict", "call", "bytes", "complex",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// A Value is the value of an argument. Only the fields named beside its Kind are set.
type Value struct {
	Kind  Kind
	Bool  bool
	Text  string
	Float float64
	Items []Value
	Pairs []Pair // in the order of the text; keys are distinct
	Call  *Call
}

// A Pair is one entry of a dict.
type Pair struct {
	Key, Value Value
}

// Text makes a string value.
func Text(s string) Value { return Value{Kind: String, Text: s} }

// Integer makes an int value; for longer numbers fill Value.Text.
func Integer(n int64) Value { return Value{Kind: Int, Text: strconv.FormatInt(n, 10)} }

// Number makes a float value.
func Number(f float64) Value { return Value{Kind: Float, Float: f} }

// Truth makes a bool value.
func Truth(b bool) Value { return Value{Kind: Bool, Bool: b} }

// ListOf makes a list value; it keeps the slice.
func ListOf(items ...Value) Value { return Value{Kind: List, Items: items} }

// get returns the value of a string key of a dict.
func (v Value) get(key string) (Value, bool) {
	for _, p := range v.Pairs {
		if p.Key.Kind == String && p.Key.Text == key {
			return p.Value, true
		}
	}
	return Value{}, false
}

// hashable reports whether Python accepts v as a dict key.
func hashable(v Value) bool {
	switch v.Kind {
	case List, Dict, Nested:
		return false
	}
	for _, item := range v.Items {
		if !hashable(item) {
			return false
		}
	}
	return true
}

// PythonEqual is Python's ==: 1, 1.0 and True are equal, lists compare by element, dicts
// without order, and a list is never equal to a tuple.
func PythonEqual(a, b Value) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x.Cmp(y) == 0
	}
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case String, Bytes, Complex:
		return a.Text == b.Text
	case Float: // an infinity: number accepts only finite values
		return a.Float == b.Float
	case List, Tuple:
		if len(a.Items) != len(b.Items) {
			return false
		}
		for i := range a.Items {
			if !PythonEqual(a.Items[i], b.Items[i]) {
				return false
			}
		}
	case Dict:
		return equalDicts(a, b)
	case Nested:
		return PythonEqual(a.CallsAsDicts(), b.CallsAsDicts())
	}
	return true
}

func equalDicts(a, b Value) bool {
	if len(a.Pairs) != len(b.Pairs) {
		return false
	}
	byKey := make(map[string]Value, len(b.Pairs))
	for _, p := range b.Pairs {
		byKey[hashKey(p.Key)] = p.Value
	}
	for _, p := range a.Pairs {
		other, ok := byKey[hashKey(p.Key)]
		if !ok || !PythonEqual(p.Value, other) {
			return false
		}
	}
	return true
}

// hashKey returns the same text for values that are PythonEqual, like Python's hash.
func hashKey(v Value) string {
	if x, ok := number(v); ok {
		return "n" + x.RatString()
	}
	if v.Kind == Tuple {
		var s strings.Builder
		s.WriteString("t")
		for _, item := range v.Items {
			key := hashKey(item)
			s.WriteString(strconv.Itoa(len(key)) + ":" + key)
		}
		return s.String()
	}
	return "v" + printValue(v)
}

// number returns the exact value of a bool, an int or a finite float.
func number(v Value) (*big.Rat, bool) {
	switch v.Kind {
	case Bool:
		if v.Bool {
			return big.NewRat(1, 1), true
		}
		return new(big.Rat), true
	case Int:
		n, ok := new(big.Int).SetString(v.Text, 10)
		if !ok {
			return nil, false
		}
		return new(big.Rat).SetInt(n), true
	case Float:
		r := new(big.Rat).SetFloat64(v.Float)
		return r, r != nil
	}
	return nil, false
}

// CallsAsDicts replaces nested calls by dicts {name: {argument: value}}, the form in which
// BFCL's checker gets them.
func (v Value) CallsAsDicts() Value {
	switch v.Kind {
	case List, Tuple:
		items := make([]Value, len(v.Items))
		for i, item := range v.Items {
			items[i] = item.CallsAsDicts()
		}
		return Value{Kind: v.Kind, Items: items}
	case Dict:
		pairs := make([]Pair, len(v.Pairs))
		for i, p := range v.Pairs {
			pairs[i] = Pair{p.Key, p.Value.CallsAsDicts()}
		}
		return Value{Kind: Dict, Pairs: pairs}
	case Nested:
		var pairs []Pair
		for _, a := range v.Call.Args {
			pairs = append(pairs, Pair{Text(a.Name), a.Value.CallsAsDicts()})
		}
		inner := Value{Kind: Dict, Pairs: pairs}
		return Value{Kind: Dict, Pairs: []Pair{{Text(v.Call.Name), inner}}}
	}
	return v
}
