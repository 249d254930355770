package jinja

import (
	"slices"
	"strings"
)

// filter is a filter or a test: of is the value that it stands behind.
type filter func(x *exec, of any, a args) any

// filters are jinja2's, with transformers' tojson.
var filters = map[string]filter{
	"abs": absolute, "attr": attrFilter, "capitalize": onText(capitalize), "count": lengthFilter,
	"length": lengthFilter,
	"d":      defaultFilter, "default": defaultFilter, "e": escapeFilter, "escape": escapeFilter,
	"forceescape":    forceEscape,
	"filesizeformat": fileSize, "first": first, "float": floatFilter, "format": formatFilter, "indent": indent,
	"int": intFilter, "items": itemsFilter, "join": join, "last": last, "list": listFilter, "lower": onText(lower),
	"pprint": prettyPrint, "random": random, "replace": replaceFilter, "reverse": reverse, "round": round,
	"safe": safe, "string": stringFilter, "striptags": stripTags, "title": titleFilter, "tojson": toJSON,
	"trim": trim, "truncate": truncate, "upper": onText(upper), "urlencode": urlEncode, "urlize": urlize,
	"wordcount": wordCount, "wordwrap": wordWrap, "xmlattr": xmlAttributes, "center": centerFilter,

	"batch": batch, "slice": sliceFilter, "dictsort": dictSort, "groupby": groupBy, "map": mapFilter,
	"max": extreme(">"), "min": extreme("<"), "select": selector(false, false), "reject": selector(true, false),
	"selectattr": selector(false, true), "rejectattr": selector(true, true), "sort": sortFilter, "sum": sum,
	"unique": unique,
}

// softStr is jinja2's soft_str: a text stays of its kind.
func softStr(x *exec, v any) any {
	if isText(v) {
		return v
	}
	return str(x, v)
}

// onText is a filter without arguments on a text.
func onText(f func(string) string) filter {
	return func(x *exec, of any, a args) any {
		bind("filter", a)
		v := softStr(x, of)
		s, _ := text(v)
		x.work(len(s))
		return sameKind(v, x.made(f(s)))
	}
}

// onStr applies a str method to a value.
func onStr(x *exec, of any, method string, positional ...any) any {
	m, _ := stringMethod(softStr(x, of), method)
	return m.(*function).call(x, args{positional: positional})
}

// titleFilter returns a str even of a Markup.
func titleFilter(x *exec, of any, a args) any {
	s, _ := text(onText(wordTitle)(x, of, a))
	return s
}

func attrFilter(x *exec, of any, a args) any {
	name := bind("attr", a, "name")[0]
	s, ok := text(name)
	if !ok {
		typeError("attribute name must be string, not '%s'", typeName(name))
	}
	if v, ok := attribute(x, of, s); ok {
		return v
	}
	return undefinedItem(of, s)
}

func lengthFilter(x *exec, of any, a args) any {
	bind("len", a)
	n, ok := size(of)
	if !ok {
		typeError("object of type '%s' has no len()", typeName(of))
	}
	return n
}

func defaultFilter(x *exec, of any, a args) any {
	b := bind("default", a, "default_value=", "boolean=")
	if _, undef := of.(*undefined); undef || truth(or(b[1], false)) && !truth(of) {
		return or(b[0], "")
	}
	return of
}

func first(x *exec, of any, a args) any {
	bind("first", a)
	if v, ok := iterate(x, of)(); ok {
		return v
	}
	return &undefined{text: "No first item, sequence was empty."}
}

func last(x *exec, of any, a args) any {
	bind("last", a)
	if v, ok := reversedItems(x, of)(); ok {
		return v
	}
	return &undefined{text: "No last item, sequence was empty."}
}

// reversedItems is Python's reversed(v).
func reversedItems(x *exec, v any) func() (any, bool) {
	switch v.(type) {
	case *List, *Tuple, *Dict, *view, *rangeValue, string, markup:
	case *undefined, bytesValue:
	default:
		typeError("'%s' object is not reversible", typeName(v))
	}
	items := list(x, v)
	if isMarkup(v) { // Python reads the items of a Markup, which are Markup
		for i := range items {
			items[i] = markup(items[i].(string))
		}
	}
	return func() (any, bool) {
		if len(items) == 0 {
			return nil, false
		}
		v := items[len(items)-1]
		items = items[:len(items)-1]
		return v, true
	}
}

func reverse(x *exec, of any, a args) any {
	bind("reverse", a)
	if s, ok := text(of); ok {
		x.spend(len(s))
		r := []rune(s)
		slices.Reverse(r)
		return sameKind(of, string(r))
	}
	switch of.(type) {
	case *generator, *loopContext, *namespace:
		items := list(x, of)
		slices.Reverse(items)
		return &List{items}
	}
	if !isIterable(of) {
		raise("FilterArgumentError", "argument must be iterable")
	}
	return &generator{name: "reversed", next: reversedItems(x, of)}
}

func listFilter(x *exec, of any, a args) any {
	bind("list", a)
	return &List{list(x, of)}
}

func stringFilter(x *exec, of any, a args) any {
	bind("string", a)
	return softStr(x, of)
}

func itemsFilter(x *exec, of any, a args) any {
	bind("items", a)
	next := func() (any, bool) { return nil, false }
	started := false
	return &generator{name: "generator", next: func() (any, bool) {
		if !started {
			started = true
			switch v := of.(type) {
			case *undefined:
			case *Dict:
				next = iterate(x, &view{v, "dict_items"})
			default:
				typeError("Can only get item pairs from a mapping.")
			}
		}
		return next()
	}}
}

func join(x *exec, of any, a args) any {
	b := bind("join", a, "d=", "attribute=")
	get := attrGetter(x, or(b[1], nil), nil)
	if x.autoescape {
		return x.joinEscaped(list(x, of), or(b[0], ""), get)
	}
	sep := str(x, or(b[0], ""))
	var out strings.Builder
	next := iterate(x, of)
	for i := 0; ; i++ {
		v, ok := next()
		if !ok {
			return out.String()
		}
		if i > 0 {
			out.WriteString(x.made(sep))
		}
		out.WriteString(x.made(str(x, get(v))))
	}
}

// joinEscaped joins with autoescape: if a Markup is in it, all that is none is escaped.
func (x *exec) joinEscaped(items []any, sep any, get func(any) any) any {
	escapes := isMarkup(sep)
	for i := range items {
		items[i] = get(items[i])
		escapes = escapes || isMarkup(items[i])
	}
	part := func(v any) string {
		s := str(x, v)
		if escapes && !isMarkup(v) {
			s = escapeHTML(s)
		}
		return x.made(s)
	}
	var out strings.Builder
	for i, v := range items {
		if i > 0 {
			out.WriteString(part(sep))
		}
		out.WriteString(part(v))
	}
	return asMarkupIf(escapes, out.String())
}

func prettyPrint(x *exec, of any, a args) any {
	bind("pprint", a)
	p := &printer{x: x, sortKeys: true}
	if !tryPython(func() { p.repr(of) }, "TypeError") {
		unsupported("pprint of a dict whose keys have no order")
	}
	if length(p.b.String()) > 80 {
		unsupported("pprint of a value that Python writes on several lines")
	}
	return p.b.String()
}

// random returns the first item: Python may return any, and renderings shall repeat.
func random(x *exec, of any, a args) any {
	bind("random", a)
	if n, ok := size(of); !ok {
		typeError("object of type '%s' has no len()", typeName(of))
	} else if n == 0 {
		return &undefined{text: "No random item, sequence was empty."}
	}
	v, ok := item(x, of, 0)
	if !ok {
		raise("KeyError", "0")
	}
	return v
}

func urlize(*exec, any, args) any {
	unsupported("the filter urlize")
	return nil
}
