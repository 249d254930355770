package jinja

import (
	"maps"
	"math"
	"math/big"
	"slices"
)

// Values are Python's:
//
//	None   nil              tuple      *Tuple         undefined  *undefined
//	bool   bool             list       *List          range      *rangeValue
//	int    int or *big.Int  dict       *Dict          generator  *generator
//	float  float64          dict view  *view          namespace  *namespace
//	str    string           Markup     markup         callable   *function, *macro, …
//
// An int is a *big.Int only where it does not fit into an int (see normal).

// List is a Python list.
type List struct{ Items []any }

// Tuple is a Python tuple.
type Tuple struct {
	Items []any
	named bool // of groupby: its items are also called grouper and list
}

// Dict is a Python dict: it keeps the order in which keys were added.
type Dict struct {
	keys, values []any
	index        map[any]int // by what hashKey returns
}

// NewDict returns an empty dict.
func NewDict() *Dict { return &Dict{index: map[any]int{}} }

// Set adds a key or changes its value. A key that is not hashable, such as a list, raises Python's TypeError
// within a rendering; outside keys are strings and numbers.
func (d *Dict) Set(key, value any) { d.set(hashKey(key), key, value) }

func (d *Dict) set(h, key, value any) {
	if i, ok := d.index[h]; ok {
		d.values[i] = value
		return
	}
	d.index[h] = len(d.keys)
	d.keys, d.values = append(d.keys, key), append(d.values, value)
}

// Get returns the value of a key.
func (d *Dict) Get(key any) (value any, ok bool) { return d.get(hashKey(key)) }

func (d *Dict) get(h any) (value any, ok bool) {
	i, ok := d.index[h]
	if !ok {
		return nil, false
	}
	return d.values[i], true
}

// Len is the number of keys.
func (d *Dict) Len() int { return len(d.keys) }

func (d *Dict) copy() *Dict {
	return &Dict{slices.Clone(d.keys), slices.Clone(d.values), maps.Clone(d.index)}
}

// markup is a str that is escaped for HTML; operations escape what they add to it.
type markup string

// bytesValue is what str.encode returns.
type bytesValue string

type rangeValue struct{ start, stop, step int }

func (r *rangeValue) len() int {
	switch {
	case r.step > 0 && r.start < r.stop:
		return (r.stop-r.start-1)/r.step + 1
	case r.step < 0 && r.start > r.stop:
		return (r.start-r.stop-1)/-r.step + 1
	}
	return 0
}

// undefined is jinja2's Undefined: it prints as nothing, is false and empty, and fails in all else.
type undefined struct {
	text   string // what it fails with; "": what follows says it
	name   string // of a variable
	of     any    // of an item or attribute
	item   any
	unsafe bool // an attribute that the sandbox hides
}

func (u *undefined) fail() {
	name, isText := u.item.(string)
	switch {
	case u.unsafe:
		raise("SecurityError", "%s", u.text)
	case u.text != "":
		raise("UndefinedError", "%s", u.text)
	case u.name != "":
		raise("UndefinedError", "%s is undefined", repr(u.name))
	case isText:
		raise("UndefinedError", "%s has no attribute %s", repr(describeObject(u.of)), repr(name))
	}
	raise("UndefinedError", "%s has no element %s", describeObject(u.of), repr(u.item))
}

// undefinedItem is the value of an item or attribute that of does not have.
func undefinedItem(of, item any) *undefined { return &undefined{of: of, item: item} }

func describeObject(v any) string {
	switch v.(type) {
	case nil:
		return "None"
	case *undefined:
		return "Undefined"
	}
	return typeName(v) + " object"
}

// generator is an iterator that ends; what it yields is computed when it is asked for.
type generator struct {
	next func() (any, bool)
	name string
}

// view is what keys(), values() and items() of a dict return.
type view struct {
	of   *Dict
	kind string // "dict_keys", "dict_values", "dict_items"
}

func (v *view) at(i int) any {
	switch v.kind {
	case "dict_keys":
		return v.of.keys[i]
	case "dict_values":
		return v.of.values[i]
	}
	return &Tuple{Items: []any{v.of.keys[i], v.of.values[i]}}
}

type namespace struct{ attrs *Dict }

// function is a global function or a bound method.
type function struct {
	name string
	call func(x *exec, args args) any
}

// args are the values of a call.
type args struct {
	positional []any
	names      []string
	named      []any
}

func (a *args) add(name string, value any) {
	a.names, a.named = append(a.names, name), append(a.named, value)
}

// take removes a named argument.
func (a *args) take(name string) (any, bool) {
	for i, n := range a.names {
		if n == name {
			v := a.named[i]
			a.names = append(a.names[:i:i], a.names[i+1:]...)
			a.named = append(a.named[:i:i], a.named[i+1:]...)
			return v, true
		}
	}
	return nil, false
}

// cycler and joiner are jinja2's helpers of these names.
type cycler struct {
	items []any
	at    int
}

type joiner struct {
	sep  any
	used bool
}

func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int, *big.Int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case markup:
		return "Markup"
	case bytesValue:
		return "bytes"
	case *List:
		return "list"
	case *Tuple:
		return "tuple"
	case *Dict:
		return "dict"
	case *rangeValue:
		return "range"
	case *undefined:
		return "Undefined"
	case *generator:
		return v.name
	case *view:
		return v.kind
	case *namespace:
		return "Namespace"
	case *macro:
		return "Macro"
	case *loopContext:
		return "LoopContext"
	case *cycler:
		return "Cycler"
	case *joiner:
		return "Joiner"
	}
	return "function"
}

// normal is an int where it fits.
func normal(i *big.Int) any {
	if i.IsInt64() {
		return int(i.Int64())
	}
	return i
}

// integer returns v as an int of any size: bools are ints in Python.
func integer(v any) (*big.Int, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return big.NewInt(1), true
		}
		return new(big.Int), true
	case int:
		return big.NewInt(int64(v)), true
	case *big.Int:
		return v, true
	}
	return nil, false
}

// small returns v as an int that is used as a count or an index.
func small(v any) (int, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int:
		return v, true
	case *big.Int: // beyond every length
		if v.Sign() < 0 {
			return math.MinInt, true
		}
		return math.MaxInt, true
	}
	return 0, false
}

// text returns a str, of either kind.
func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case markup:
		return string(v), true
	}
	return "", false
}

// truth is Python's bool(v).
func truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case int:
		return v != 0
	case *big.Int:
		return v.Sign() != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case markup:
		return v != ""
	case *undefined:
		return false
	case *loopContext:
		return v.len() != 0
	}
	if n, ok := size(v); ok {
		return n != 0
	}
	return true
}

// size is Python's len(v); ok is false for what has none.
func size(v any) (n int, ok bool) {
	switch v := v.(type) {
	case string:
		return length(v), true
	case markup:
		return length(string(v)), true
	case bytesValue:
		return len(v), true
	case *List:
		return len(v.Items), true
	case *Tuple:
		return len(v.Items), true
	case *Dict:
		return v.Len(), true
	case *view:
		return v.of.Len(), true
	case *rangeValue:
		return v.len(), true
	case *undefined:
		return 0, true
	case *loopContext:
		return v.len(), true
	}
	return 0, false
}
