package jinja

import (
	"slices"
)

// macro is a macro, or the body of a call block.
type macro struct {
	node  *macroNode
	scope *scope // where it was defined
}

// callMacro binds arguments as jinja2's Macro does: positional ones first, then named ones and defaults.
func (x *exec) callMacro(m *macro, a args) any {
	x.enter()
	defer x.leave()
	n := m.node
	a.names, a.named = slices.Clone(a.names), slices.Clone(a.named)
	s := newScope(m.scope, n.own)
	bound := min(len(a.positional), len(n.params))
	missing := make([]bool, len(n.params))
	callerGiven := slices.Contains(n.params, "caller")
	for i, name := range n.params {
		if i < bound {
			s.set(name, a.positional[i])
			continue
		}
		value, ok := a.take(name)
		if missing[i] = !ok; !ok {
			value = undefinedName(name) // for defaults that read it too early
		}
		s.set(name, value)
	}
	if n.caller && !callerGiven {
		caller, ok := a.take("caller")
		if !ok || caller == nil {
			caller = &undefined{text: "No caller defined"}
		}
		s.set("caller", caller)
	}
	x.bindRest(n, a, s)
	for i, name := range n.params {
		if !missing[i] {
			continue
		}
		if d := i - (len(n.params) - len(n.defaults)); d >= 0 {
			s.set(name, x.eval(n.defaults[d], s))
			continue
		}
		s.set(name, &undefined{text: "parameter " + repr(name) + " was not provided"})
	}
	return x.captured(func() { x.run(n.body, s) })
}

// bindRest takes or refuses the arguments that no parameter has taken.
func (x *exec) bindRest(n *macroNode, a args, s *scope) {
	var name any = n.name
	if n.name == "" {
		name = nil
	}
	switch {
	case n.kwargs:
		d := NewDict()
		for i, k := range a.names {
			d.Set(k, a.named[i])
		}
		s.set("kwargs", d)
	case slices.Contains(a.names, "caller"):
		typeError("macro %s was invoked with two values for the special caller argument. "+
			"This is most likely a bug.", repr(name))
	case len(a.names) > 0:
		typeError("macro %s takes no keyword argument %s", repr(name), repr(a.names[0]))
	}
	switch {
	case n.varargs:
		s.set("varargs", &Tuple{Items: slices.Clone(a.positional[min(len(a.positional), len(n.params)):])})
	case len(a.positional) > len(n.params):
		typeError("macro %s takes not more than %d argument(s)", repr(name), len(n.params))
	}
}
