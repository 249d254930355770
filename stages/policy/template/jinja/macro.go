package jinja

import (
	"slices"
)

// macro is a macro, or the body of a call block, as a value that can be called.
type macro struct {
	node    *macroNode
	defined *locals // where it was defined
}

// callMacro binds arguments as jinja2's Macro does: positional ones first, then named ones and defaults.
func (x *exec) callMacro(m *macro, a args) any {
	x.enter()
	defer x.leave()
	n := m.node
	x.work(len(n.params) * (1 + len(a.names)) / 8)
	a.names, a.named = slices.Clone(a.names), slices.Clone(a.named)
	l := x.locals(&n.routine, m.defined, m.defined.context)
	bound := min(len(a.positional), len(n.params))
	for i, name := range n.params {
		if i < bound {
			l.vars[n.slots[i]] = a.positional[i]
			continue
		}
		value, ok := a.take(name)
		if !ok {
			value = missing
		}
		l.vars[n.slots[i]] = value
	}
	if n.caller.used {
		caller, ok := a.take("caller")
		if !ok || caller == nil {
			caller = &undefined{text: "No caller defined"}
		}
		l.vars[n.caller.slot] = caller
	}
	x.bindRest(n, a, l)
	x.begin(&n.body, l)
	for i, name := range n.params {
		if l.vars[n.slots[i]] != missing {
			continue
		}
		if d := i - (len(n.params) - len(n.defaults)); d >= 0 {
			l.vars[n.slots[i]] = x.eval(n.defaults[d], l)
			continue
		}
		l.vars[n.slots[i]] = &undefined{text: "parameter " + repr(name) + " was not provided"}
	}
	return asMarkupIf(x.autoescape, x.capture(func() { x.run(n.nodes, l) }))
}

// bindRest takes or refuses the arguments that no parameter has taken.
func (x *exec) bindRest(n *macroNode, a args, l *locals) {
	var name any = n.name
	if n.name == "" {
		name = nil
	}
	switch {
	case n.kwargs.used:
		d := NewDict()
		for i, k := range a.names {
			d.Set(k, a.named[i])
		}
		l.vars[n.kwargs.slot] = d
	case slices.Contains(a.names, "caller"):
		typeError("macro %s was invoked with two values for the special caller argument. "+
			"This is most likely a bug.", repr(name))
	case len(a.names) > 0:
		typeError("macro %s takes no keyword argument %s", repr(name), repr(a.names[0]))
	}
	switch {
	case n.varargs.used:
		l.vars[n.varargs.slot] = &Tuple{Items: slices.Clone(a.positional[min(len(a.positional), len(n.params)):])}
	case len(a.positional) > len(n.params):
		typeError("macro %s takes not more than %d argument(s)", repr(name), len(n.params))
	}
}
