package sim

import (
	"strconv"
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// A method has parameters and a body, which gets one value per parameter.
type method struct {
	params []param
	run    func(a []Value) (Value, error)
}

type param struct {
	name     string
	optional bool
	fallback Value
}

// need declares parameters without a default.
func need(names ...string) (all []param) {
	for _, name := range names {
		all = append(all, param{name: name})
	}
	return all
}

// or adds a parameter with a default.
func or(before []param, name string, fallback Value) []param {
	return append(before, param{name, true, fallback})
}

// bind gives every parameter its argument, as a call of Python does. function is the name in
// errors.
func (m method) bind(function string, args []Value, named []Named) ([]Value, error) {
	bound := make([]Value, len(m.params))
	given := make([]bool, len(m.params))
	for _, arg := range named {
		i := m.index(arg.Name)
		switch {
		case i < 0:
			return nil, python.Exception("TypeError", function+"() got an unexpected keyword argument '"+arg.Name+"'")
		case i < len(args) || given[i]:
			return nil, python.Exception("TypeError", function+"() got multiple values for argument '"+arg.Name+"'")
		}
		bound[i], given[i] = arg.Value, true
	}
	if len(args) > len(m.params) {
		return nil, tooMany(function, m.params, len(args))
	}
	for i, arg := range args {
		bound[i], given[i] = arg, true
	}
	var missing []string
	for i, p := range m.params {
		switch {
		case given[i]:
		case p.optional:
			bound[i] = p.fallback
		default:
			missing = append(missing, "'"+p.name+"'")
		}
	}
	if len(missing) > 0 {
		return nil, python.Exception("TypeError", function+"() missing "+strconv.Itoa(len(missing))+
			" required positional "+plural("argument", len(missing))+": "+listed(missing))
	}
	return bound, nil
}

func (m method) index(name string) int {
	for i, p := range m.params {
		if p.name == name {
			return i
		}
	}
	return -1
}

// tooMany counts self, as Python does.
func tooMany(function string, params []param, given int) error {
	required := 0
	for _, p := range params {
		if !p.optional {
			required++
		}
	}
	takes := strconv.Itoa(len(params) + 1)
	if required < len(params) {
		takes = "from " + strconv.Itoa(required+1) + " to " + takes
	}
	noun := "arguments"
	if takes == "1" {
		noun = "argument"
	}
	return python.Exception("TypeError", function+"() takes "+takes+" positional "+noun+" but "+
		strconv.Itoa(given+1)+" were given")
}

func plural(noun string, n int) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// listed is 'a', or 'a' and 'b', or 'a', 'b', and 'c'.
func listed(names []string) string {
	switch n := len(names); n {
	case 1:
		return names[0]
	case 2:
		return names[0] + " and " + names[1]
	default:
		return strings.Join(names[:n-1], ", ") + ", and " + names[n-1]
	}
}

// format replaces each {} by the text of the next argument.
func format(template string, args ...Value) (string, error) {
	var b strings.Builder
	for _, arg := range args {
		before, after, _ := strings.Cut(template, "{}")
		text, err := python.Str(arg)
		if err != nil {
			return "", err
		}
		b.WriteString(before + text)
		template = after
	}
	b.WriteString(template)
	return b.String(), nil
}

// fail is the result {"error": text}.
func fail(template string, args ...Value) (Value, error) { return note("error", template, args...) }

// note is the result {key: text}.
func note(key, template string, args ...Value) (Value, error) {
	text, err := format(template, args...)
	if err != nil {
		return nil, err
	}
	return python.Record(key, text), nil
}

// raise is an exception.
func raise(kind, template string, args ...Value) (Value, error) {
	text, err := format(template, args...)
	if err != nil {
		return nil, err
	}
	return nil, python.Exception(kind, text)
}

// noAttribute is what Python raises for v.name where v has no such method.
func noAttribute(v Value, name string) error {
	return python.Exception("AttributeError", "'"+python.TypeName(v)+"' object has no attribute '"+name+"'")
}

// contains is "item in container".
func contains(container, item Value) (bool, error) {
	switch x := container.(type) {
	case string:
		s, ok := item.(string)
		if !ok {
			return false, python.Exception("TypeError",
				"'in <string>' requires string as left operand, not "+python.TypeName(item))
		}
		return strings.Contains(x, s), nil
	case *python.Dict:
		return x.Has(item)
	case *python.Set:
		return x.Has(item)
	}
	items, err := python.Iterate(container)
	if err != nil {
		return false, python.Exception("TypeError",
			"argument of type '"+python.TypeName(container)+"' is not iterable")
	}
	for _, other := range items {
		if python.Equal(item, other) {
			return true, nil
		}
	}
	return false, nil
}

// state is the first state of an object.
type state struct{ *python.Dict }

// or returns the value at key, or a default.
func (s state) or(key string, fallback Value) Value {
	if v, ok := s.Get(key); ok {
		return v
	}
	return fallback
}

// dict returns the object at key, an empty one if there is none.
func (s state) dict(key string) (*python.Dict, error) {
	v, ok := s.Get(key)
	if !ok {
		return python.NewDict(), nil
	}
	d, ok := v.(*python.Dict)
	if !ok {
		return nil, python.Exception("TypeError", key+": want an object, got a "+python.TypeName(v))
	}
	return d, nil
}

// index is container[key], for dicts and for the lists and texts that stand where a dict
// should.
func index(container, key Value) (Value, error) {
	d, ok := container.(*python.Dict)
	if ok {
		return d.Index(key)
	}
	switch container.(type) {
	case string, *python.List, *python.Tuple:
		kind := python.TypeName(container)
		if kind == "str" {
			return nil, python.Exception("TypeError", "string indices must be integers, not '"+
				python.TypeName(key)+"'")
		}
		return nil, python.Exception("TypeError", kind+" indices must be integers or slices, not "+
			python.TypeName(key))
	}
	return nil, python.Exception("TypeError", "'"+python.TypeName(container)+"' object is not subscriptable")
}

// store is container[key] = value.
func store(container, key, value Value) error {
	if d, ok := container.(*python.Dict); ok {
		return d.Set(key, value)
	}
	return python.Exception("TypeError", "'"+python.TypeName(container)+
		"' object does not support item assignment")
}

// increment is v + 1.
func increment(v Value) (Value, error) { return python.Add(v, python.Int(1)) }

// lower is v.lower().
func lower(v Value) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", noAttribute(v, "lower")
	}
	return strings.ToLower(s), nil
}
