package constrain

import (
	"fmt"
	"slices"

	"itool/schemas/toolcall"
)

// property is a field of an object, or an argument of a call.
type property struct {
	name     string
	pair     int32 // rule for name and value
	required bool
}

// object is a map of a schema's values, or listed properties in the order of the schema. Properties that the schema
// allows but does not list are not written.
func (r *reader) object(k *keywords, depth int) (int32, error) {
	_, listed := k.fields["properties"]
	properties, err := r.properties(k, depth, func(name string) string {
		return r.l.literal(toolcall.Text(name)) + ":" + r.l.afterColon
	})
	if err != nil {
		return 0, err
	}
	more, open := k.take("additionalProperties")
	closed := open && more.Kind == toolcall.Bool && !more.Bool
	if len(properties) > 0 || closed || listed && !open {
		return r.b.rule(func(next int32) int32 { return r.b.fields(r.l, '{', '}', properties, next) }), nil
	}
	if !open || more.Kind == toolcall.Bool {
		return r.b.free(r.l).object, nil
	}
	value, err := r.rule(more, k.path+".additionalProperties", depth+1)
	if err != nil {
		return 0, err
	}
	b, key := r.b, r.b.anyText(r.l)
	pair := b.rule(func(next int32) int32 {
		return b.call(key, b.bytes(':', ':', b.gap(r.l.afterColon, b.call(value, next))))
	})
	return b.rule(func(next int32) int32 { return b.enclosed(r.l, '{', '}', pair, 0, -1, next) }), nil
}

// properties reads properties and required. before is what stands before a value.
func (r *reader) properties(k *keywords, depth int, before func(name string) string) ([]property, error) {
	list, _ := k.take("properties")
	if list.Kind != toolcall.Dict && list.Kind != toolcall.None {
		return nil, k.bad("properties", "want an object, got %s", list.Short())
	}
	required, err := k.required(list)
	if err != nil {
		return nil, err
	}
	var all []property
	for _, p := range list.Pairs {
		if p.Value.Kind == toolcall.None { // padding of a merged table
			continue
		}
		name := p.Key.Text
		value, err := r.rule(p.Value, fmt.Sprintf("%s.properties.%s", k.path, name), depth+1)
		if err != nil {
			return nil, err
		}
		pair := r.b.rule(func(next int32) int32 {
			next = r.b.call(value, next)
			if r.l.afterColon == "" {
				next = r.b.call(r.b.spaces, next)
			}
			return r.b.text(before(name), next)
		})
		all = append(all, property{name, pair, slices.Contains(required, name)})
	}
	return all, nil
}

// required are the names that must be there, each one of properties.
func (k *keywords) required(properties toolcall.Value) (names []string, err error) {
	list, ok := k.take("required")
	if ok && list.Kind != toolcall.List {
		return nil, k.bad("required", "want a list of names, got %s", list.Short())
	}
	for _, v := range list.Items {
		known := slices.ContainsFunc(properties.Pairs, func(p toolcall.Pair) bool {
			return p.Key.Text == v.Text && p.Value.Kind != toolcall.None
		})
		if v.Kind != toolcall.String || !known {
			return nil, k.bad("required", "%s is not among properties", v.Short())
		}
		names = append(names, v.Text)
	}
	return names, nil
}

// fields are properties between brackets, with commas between those that are there.
func (b *builder) fields(l *language, opening, closing byte, all []property, next int32) int32 {
	inner := func(next int32) int32 { return next }
	if l.afterComma == "" && len(all) > 0 {
		inner = func(next int32) int32 { return b.call(b.spaces, next) }
	}
	end := b.bytes(closing, closing, next)
	none := end        // what may follow if nothing was written so far
	some := inner(end) // and if something was
	for i := len(all) - 1; i >= 0; i-- {
		write := b.call(all[i].pair, some)
		first, later := inner(write), b.bytes(',', ',', b.gap(l.afterComma, write))
		if !all[i].required {
			first, later = b.oneOf(first, none), b.oneOf(later, some)
		}
		none, some = first, later
	}
	return b.bytes(opening, opening, none)
}
