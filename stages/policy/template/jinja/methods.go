package jinja

import (
	"math"
	"math/big"
	"slices"
	"strings"
)

// attribute is Python's getattr(of, name) in the sandbox; ok is false where Python raises AttributeError.
func attribute(x *exec, of any, name string) (value any, ok bool) {
	switch v := of.(type) {
	case *undefined:
		switch {
		case dunder[name] || strings.HasPrefix(name, "_undefined_") || name == "_fail_with_undefined_error":
			return hidden(of, name), true
		case strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__"):
			return nil, false
		}
		v.fail()
	case *loopContext:
		if value, ok := v.attr(name); ok {
			return value, true
		}
	case *namespace:
		if value, ok := v.attrs.Get(name); ok {
			return value, true
		}
	case *Tuple:
		if i := slices.Index([]string{"grouper", "list"}, name); v.named && i >= 0 {
			return v.Items[i], true
		}
	case *rangeValue:
		if bound, ok := map[string]int{"start": v.start, "stop": v.stop, "step": v.step}[name]; ok {
			return bound, true
		}
	case *macro:
		if value, ok := macroAttribute(v, name); ok {
			return value, true
		}
	case *cycler:
		if value, ok := cyclerAttribute(v, name); ok {
			return value, true
		}
	case *joiner:
		if value, ok := map[string]any{"sep": v.sep, "used": v.used}[name]; ok {
			return value, true
		}
	case *function:
		if slices.Contains(classes, v.name) {
			unsupported("the attribute or item %s of the class %s", name, v.name)
		}
	}
	if _, ok := of.(*namespace); ok {
		return nil, false // its methods and private names are no attributes
	}
	if strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__") && dunder[name] {
		return hidden(of, name), true
	}
	return method(of, name)
}

// classes are the functions that are classes in Python, and have attributes and items.
var classes = []string{"dict", "namespace", "cycler", "joiner"}

// dunder are names that every object has, and the sandbox hides.
var dunder = map[string]bool{
	"__class__": true, "__init__": true, "__doc__": true, "__dir__": true, "__eq__": true, "__repr__": true,
	"__str__": true, "__hash__": true, "__reduce__": true, "__reduce_ex__": true, "__sizeof__": true, "__ne__": true,
	"__getattribute__": true, "__subclasshook__": true, "__init_subclass__": true, "__new__": true, "__lt__": true,
	"__setattr__": true, "__delattr__": true, "__format__": true, "__le__": true, "__gt__": true, "__ge__": true,
}

func hidden(of any, name string) *undefined {
	text := "access to attribute " + repr(name) + " of '" + typeName(of) + "' object is unsafe."
	return &undefined{unsafe: true, text: text}
}

func macroAttribute(m *macro, name string) (any, bool) {
	switch name {
	case "name":
		if m.node.name == "" {
			return nil, true
		}
		return m.node.name, true
	case "explicit_caller":
		return slices.Contains(m.node.params, "caller"), true
	case "arguments":
		t := &Tuple{}
		for _, p := range m.node.params {
			t.Items = append(t.Items, p)
		}
		return t, true
	case "caller":
		return m.node.usesCaller, true
	case "catch_kwargs":
		return m.node.kwargs.used, true
	case "catch_varargs":
		return m.node.varargs.used, true
	}
	return nil, false
}

func cyclerAttribute(c *cycler, name string) (any, bool) {
	switch name {
	case "current":
		return c.items[c.at], true
	case "items":
		return &Tuple{Items: c.items}, true
	case "pos":
		return c.at, true
	case "next":
		return &function{"next", func(_ *exec, a args) any {
			bind("next", a)
			v := c.items[c.at]
			c.at = (c.at + 1) % len(c.items)
			return v
		}}, true
	case "reset":
		return &function{"reset", func(_ *exec, a args) any { bind("reset", a); c.at = 0; return nil }}, true
	}
	return nil, false
}

// method returns a method, bound to its object.
func method(of any, name string) (any, bool) {
	switch v := of.(type) {
	case string, markup:
		return stringMethod(v, name)
	case *Dict:
		return dictMethod(v, name)
	case *List:
		if slices.Contains([]string{"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"}, name) {
			return hidden(of, name), true
		}
		if name == "copy" {
			return &function{name, func(x *exec, a args) any {
				bind(name, a)
				return &List{x.concat(v.Items, nil)}
			}}, true
		}
		return itemsMethod(v.Items, typeName(of), name)
	case *Tuple:
		return itemsMethod(v.Items, typeName(of), name)
	case bytesValue:
		return bytesMethod(v, name)
	case float64:
		switch name {
		case "is_integer":
			return &function{name, func(_ *exec, a args) any {
				bind(name, a)
				return !math.IsInf(v, 0) && v == math.Trunc(v)
			}}, true
		case "real":
			return v, true
		case "imag":
			return 0.0, true
		}
	case *rangeValue:
		if name == "count" || name == "index" {
			return &function{name, func(x *exec, a args) any {
				bind(name, a, "value/")
				m, _ := itemsMethod(list(x, v), "range", name)
				return m.(*function).call(x, a)
			}}, true
		}
	case bool, int, *big.Int:
		i, _ := integer(of)
		switch name {
		case "bit_length":
			return &function{name, func(_ *exec, a args) any { bind(name, a); return i.BitLen() }}, true
		case "real", "numerator":
			return normal(i), true
		case "imag":
			return 0, true
		case "denominator":
			return 1, true
		}
	}
	if slices.Contains(otherMethods[typeName(of)], name) {
		unsupported("the attribute %s of a %s", name, typeName(of))
	}
	return nil, false
}

// otherMethods are those that Python has and nothing here computes.
var otherMethods = map[string][]string{
	"dict":      {"fromkeys"},
	"int":       {"to_bytes", "from_bytes", "as_integer_ratio", "conjugate", "bit_count", "is_integer"},
	"bool":      {"to_bytes", "from_bytes", "as_integer_ratio", "conjugate", "bit_count", "is_integer"},
	"float":     {"hex", "fromhex", "as_integer_ratio", "conjugate"},
	"generator": {"send", "throw", "close", "gi_running", "gi_yieldfrom", "gi_suspended"},
	"dict_keys": {"mapping", "isdisjoint"}, "dict_values": {"mapping"}, "dict_items": {"mapping", "isdisjoint"},
}

func itemsMethod(items []any, kind, name string) (any, bool) {
	switch name {
	case "count":
		return &function{name, func(x *exec, a args) any {
			want, n := bind(name, a, "value/")[0], 0
			for _, item := range items {
				if same(item, want) || equal(x, item, want) {
					n++
				}
			}
			return n
		}}, true
	case "index":
		return &function{name, func(x *exec, a args) any {
			b := bind(name, a, "value/", "start/=", "stop/=")
			from, to := clip(or(b[1], 0), len(items)), clip(or(b[2], len(items)), len(items))
			for i := from; i < to; i++ {
				if same(items[i], b[0]) || equal(x, items[i], b[0]) {
					return i
				}
			}
			valueError("%s is not in %s", repr(b[0]), kind)
			return nil
		}}, true
	}
	return nil, false
}

// clip is a bound of a slice of n items.
func clip(v any, n int) int {
	i := position(v)
	if i < 0 {
		i = max(i+n, 0)
	}
	return min(i, n)
}

func dictMethod(d *Dict, name string) (any, bool) {
	var call func(x *exec, a args) any
	switch name {
	case "get":
		call = func(x *exec, a args) any {
			b := bind(name, a, "key/", "default/=")
			if v, ok := d.get(x.key(b[0])); ok {
				return v
			}
			return or(b[1], nil)
		}
	case "keys", "values", "items":
		call = func(_ *exec, a args) any { bind(name, a); return &view{d, "dict_" + name} }
	case "copy":
		call = func(x *exec, a args) any { bind(name, a); x.spend(48 * d.Len()); return d.copy() }
	case "clear", "pop", "popitem", "setdefault", "update":
		return hidden(d, name), true
	case "fromkeys":
		unsupported("the attribute fromkeys of a dict")
	default:
		return nil, false
	}
	return &function{name, call}, true
}
