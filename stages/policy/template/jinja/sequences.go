package jinja

import (
	"slices"
	"strings"
)

// Filters of sequences. Those that are generators in Python compute what is asked for, when it
// is asked for: an error behind the last item that is read does not show.

// attrGetter reads "a.b.0" of an item; nil reads the item itself. fallback, when not nil, stands for undefined.
func attrGetter(x *exec, attribute, fallback any) func(item any) any {
	var path []any
	switch a := attribute.(type) {
	case nil:
	case string:
		path = attrPath(a)
	case markup:
		path = attrPath(string(a))
	default:
		path = []any{a}
	}
	return func(item any) any {
		for _, part := range path {
			item = getItem(x, item, part)
			if _, undef := item.(*undefined); undef && fallback != nil {
				item = fallback
			}
		}
		return item
	}
}

func attrPath(s string) (path []any) {
	for _, part := range strings.Split(s, ".") {
		if allDigits(part) { // Python's int() refuses some of them, as "²"
			path = append(path, normal(parseInt(part, 10)))
			continue
		}
		path = append(path, part)
	}
	return path
}

func ignoreCase(v any) any {
	if s, ok := text(v); ok {
		return lower(s)
	}
	return v
}

// lazy is a generator whose source is opened when the first item is asked for.
func lazy(x *exec, of any, each func(item any) (any, bool)) *generator {
	var next func() (any, bool)
	return &generator{name: "generator", next: func() (any, bool) {
		if next == nil {
			next = iterate(x, of)
		}
		for {
			item, ok := next()
			if !ok {
				return nil, false
			}
			if v, ok := each(item); ok {
				return v, true
			}
		}
	}}
}

// none is a generator without items.
func none() *generator {
	return &generator{name: "generator", next: func() (any, bool) { return nil, false }}
}

// begun is a generator that is made by open when the first item is asked for.
func begun(open func() *generator) *generator {
	var g *generator
	return &generator{name: "generator", next: func() (any, bool) {
		if g == nil {
			g = open()
		}
		return g.next()
	}}
}

func mapFilter(x *exec, of any, a args) any {
	return begun(func() *generator {
		if !truth(of) {
			return none()
		}
		f := mapper(x, a)
		return lazy(x, of, func(item any) (any, bool) { return f(item), true })
	})
}

func mapper(x *exec, a args) func(item any) any {
	if len(a.positional) == 0 {
		a := args{names: slices.Clone(a.names), named: slices.Clone(a.named)}
		if attribute, ok := a.take("attribute"); ok {
			fallback, _ := a.take("default")
			if len(a.names) > 0 {
				raise("FilterArgumentError", "Unexpected keyword argument %s", repr(a.names[0]))
			}
			return attrGetter(x, attribute, fallback)
		}
		raise("FilterArgumentError", "map requires a filter argument")
	}
	name := nameOf(a.positional[0], "filter")
	rest := args{a.positional[1:], a.names, a.named}
	return func(item any) any { return x.applyFilter(name, item, rest) }
}

// nameOf is the name of a filter or test that is given as a value.
func nameOf(v any, kind string) string {
	name, ok := text(v)
	if !ok {
		raise("TemplateRuntimeError", "No %s named %s.", kind, repr(v))
	}
	return name
}

// selector makes select, reject and those of attributes.
func selector(reject, byAttribute bool) filter {
	return func(x *exec, of any, a args) any {
		return begun(func() *generator {
			if !truth(of) {
				return none()
			}
			get, holds := selection(x, a, byAttribute)
			return lazy(x, of, func(item any) (any, bool) { return item, holds(get(item)) != reject })
		})
	}
}

func selection(x *exec, a args, byAttribute bool) (get func(any) any, holds func(any) bool) {
	get = func(item any) any { return item }
	positional := a.positional
	if byAttribute {
		if len(positional) == 0 {
			raise("FilterArgumentError", "Missing parameter for attribute name")
		}
		get, positional = attrGetter(x, positional[0], nil), positional[1:]
	}
	if len(positional) == 0 {
		return get, truth
	}
	name := nameOf(positional[0], "test")
	rest := args{positional[1:], a.names, a.named}
	return get, func(v any) bool { return truth(x.applyTest(name, v, rest)) }
}

func batch(x *exec, of any, a args) any {
	b := bind("batch", a, "linecount", "fill_with=")
	fill := or(b[1], nil)
	var next func() (any, bool)
	ended := false
	var held []any // the item that did not fit
	return &generator{name: "generator", next: func() (any, bool) {
		if next == nil {
			next = iterate(x, of)
		}
		row := held
		held = nil
		for !ended {
			item, ok := next()
			if !ok {
				ended = true
				break
			}
			if equal(x, len(row), b[0]) {
				held = []any{item}
				return &List{row}, true
			}
			row = append(row, item)
			x.spend(16)
		}
		if len(row) == 0 {
			return nil, false
		}
		if fill != nil && ordered(x, "<", len(row), b[0]) {
			n := count(b[0])
			if n > maxWidth*16 {
				overLimit("a batch of %d items", n)
			}
			x.spend(16 * n)
			for len(row) < n {
				row = append(row, fill)
			}
		}
		return &List{row}, true
	}}
}

func sliceFilter(x *exec, of any, a args) any {
	b := bind("slice", a, "slices", "fill_with=")
	fill := or(b[1], nil)
	return begun(func() *generator {
		items := list(x, of)
		n := count(b[0])
		if n == 0 {
			raise("ZeroDivisionError", "integer division or modulo by zero")
		}
		each, extra := len(items)/max(n, 1), len(items)%max(n, 1)
		at, offset := 0, 0
		return &generator{name: "generator", next: func() (any, bool) {
			if at >= n {
				return nil, false
			}
			x.step()
			start := offset + at*each
			if at < extra {
				offset++
			}
			part := slices.Clone(items[start : offset+(at+1)*each])
			if fill != nil && at >= extra {
				part = append(part, fill)
			}
			at++
			return &List{part}, true
		}}
	})
}

// sorted is Python's stable sort of items by their keys.
func sorted(x *exec, items []any, key func(any) any, reverse bool) []any {
	type keyed struct{ key, item any }
	all := make([]keyed, len(items))
	for i, item := range items {
		all[i] = keyed{key(item), item}
		refuseNaN(all[i].key)
	}
	x.spend(32 * len(items))
	slices.SortStableFunc(all, func(a, b keyed) int {
		if reverse {
			a, b = b, a
		}
		switch {
		case ordered(x, "<", a.key, b.key):
			return -1
		case ordered(x, "<", b.key, a.key):
			return 1
		}
		return 0
	})
	out := make([]any, len(items))
	for i := range all {
		out[i] = all[i].item
	}
	return out
}

// refuseNaN refuses a key whose place in an order depends on how Python sorts.
func refuseNaN(key any) {
	switch k := key.(type) {
	case float64:
		if k != k {
			unsupported("sorting what is not a number")
		}
	case *List:
		for _, v := range k.Items {
			refuseNaN(v)
		}
	case *Tuple:
		for _, v := range k.Items {
			refuseNaN(v)
		}
	}
}

func sortFilter(x *exec, of any, a args) any {
	b := bind("sort", a, "reverse=", "case_sensitive=", "attribute=")
	var getters []func(any) any
	if s, ok := text(or(b[2], nil)); ok {
		for _, part := range strings.Split(s, ",") {
			getters = append(getters, attrGetter(x, part, nil))
		}
	} else {
		getters = append(getters, attrGetter(x, or(b[2], nil), nil))
	}
	sensitive := truth(or(b[1], false))
	return &List{sorted(x, list(x, of), func(item any) any {
		keys := make([]any, len(getters))
		for i, get := range getters {
			if keys[i] = get(item); !sensitive {
				keys[i] = ignoreCase(keys[i])
			}
		}
		return &List{keys}
	}, flag(b[0]))}
}

// flag is an argument that Python wants to be an int or a bool.
func flag(v any) bool { return given(v) && count(v) != 0 }

func dictSort(x *exec, of any, a args) any {
	b := bind("dictsort", a, "case_sensitive=", "by=", "reverse=")
	at := slices.IndexFunc([]any{"key", "value"}, func(by any) bool { return equal(x, by, or(b[1], "key")) })
	if at < 0 {
		raise("FilterArgumentError", `You can only sort by either "key" or "value"`)
	}
	d, ok := of.(*Dict)
	if !ok {
		if u, undef := of.(*undefined); undef {
			u.fail()
		}
		raise("AttributeError", "'%s' object has no attribute 'items'", typeName(of))
	}
	sensitive := truth(or(b[0], false))
	return &List{sorted(x, list(x, &view{d, "dict_items"}), func(pair any) any {
		v := pair.(*Tuple).Items[at]
		if !sensitive {
			v = ignoreCase(v)
		}
		return v
	}, flag(b[2]))}
}

func unique(x *exec, of any, a args) any {
	b := bind("unique", a, "case_sensitive=", "attribute=")
	get, sensitive := attrGetter(x, or(b[1], nil), nil), truth(or(b[0], false))
	seen := NewDict()
	return lazy(x, of, func(item any) (any, bool) {
		key := get(item)
		if !sensitive {
			key = ignoreCase(key)
		}
		h := x.key(key)
		if _, ok := seen.get(h); ok {
			return nil, false
		}
		seen.set(h, nil, nil)
		x.spend(48)
		return item, true
	})
}

// extreme makes min and max: the first item that is op all others.
func extreme(op string) filter {
	return func(x *exec, of any, a args) any {
		b := bind("min", a, "case_sensitive=", "attribute=")
		get, sensitive := attrGetter(x, or(b[1], nil), nil), truth(or(b[0], false))
		key := func(item any) any {
			if v := get(item); sensitive {
				return v
			} else {
				return ignoreCase(v)
			}
		}
		next := iterate(x, of)
		best, ok := next()
		if !ok {
			return &undefined{text: "No aggregated item, sequence was empty."}
		}
		bestKey := key(best)
		for item, ok := next(); ok; item, ok = next() {
			if k := key(item); ordered(x, op, k, bestKey) {
				best, bestKey = item, k
			}
		}
		return best
	}
}

func groupBy(x *exec, of any, a args) any {
	b := bind("groupby", a, "attribute", "default=", "case_sensitive=")
	get, sensitive := attrGetter(x, b[0], or(b[1], nil)), truth(or(b[2], false))
	key := func(item any) any {
		if v := get(item); sensitive {
			return v
		} else {
			return ignoreCase(v)
		}
	}
	groups := &List{}
	var current *List
	var currentKey any
	for _, item := range sorted(x, list(x, of), key, false) {
		if k := key(item); current == nil || !equal(x, k, currentKey) {
			current, currentKey = &List{}, k
			name := k
			if !sensitive {
				name = get(item)
			}
			groups.Items = append(groups.Items, &Tuple{Items: []any{name, current}, named: true})
		}
		current.Items = append(current.Items, item)
	}
	return groups
}

func sum(x *exec, of any, a args) any {
	b := bind("sum", a, "attribute=", "start=")
	get := attrGetter(x, or(b[0], nil), nil)
	total := or(b[1], 0)
	if isText(total) {
		typeError("sum() can't sum strings [use ''.join(seq) instead]")
	}
	next := iterate(x, of)
	for v, ok := next(); ok; v, ok = next() {
		total = binary(x, "+", total, get(v))
	}
	return total
}
