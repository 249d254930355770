package jinja

import (
	"maps"
	"slices"
)

// resolver gives every name of a template its variable, in the order in which jinja2 writes its code.
type resolver struct {
	blocks []*blockNode
}

// frame is the body that is resolved.
type frame struct {
	*symbols
	top     bool              // the template's top level: blocks see what it assigns
	escapes bool              // autoescape is on
	unset   map[variable]bool // while a macro's defaults are resolved: its parameters that are not set yet
}

// resolve resolves a template.
func resolve(list []node) routine {
	r := &resolver{}
	refuseNames(list, "self")
	f := frame{symbols: newSymbols(nil, newCode(nil)), top: true}
	f.symbols.statements(list)
	main := routine{r.body(list, f), len(f.code.slots)}
	for i := 0; i < len(r.blocks); i++ { // a block can have blocks in it
		b := r.blocks[i]
		refuseNames(b.nodes, "self", "super")
		f := frame{symbols: newSymbols(nil, newCode(nil))}
		f.symbols.statements(b.nodes)
		b.routine = routine{r.body(b.nodes, f), len(f.code.slots)}
	}
	return main
}

func refuseNames(list []node, names ...string) {
	for name := range reads(list, names...) {
		unsupported("the name %s, which stands for a template's blocks", name)
	}
}

// inner is the frame of a body within f.
func (f frame) inner() frame {
	return frame{symbols: newSymbols(f.symbols, f.code), escapes: f.escapes}
}

// function is the frame of a body within f that is a function of its own.
func (f frame) function() frame {
	g := f.inner()
	g.code = newCode(f.code)
	return g
}

// body resolves the statements of a frame whose symbols are known.
func (r *resolver) body(list []node, f frame) body {
	for _, n := range list {
		r.statement(n, f)
	}
	b := body{nodes: list}
	for _, v := range f.order {
		st := f.starts[v]
		b.leave = append(b.leave, v.slot)
		if st.how != fromCaller {
			e := entry{slot: v.slot, how: st.how, name: st.name}
			if st.how == fromOuter {
				e.from = f.address(st.from)
			}
			b.enter = append(b.enter, e)
		}
	}
	return b
}

// address is where code of the frame finds a variable.
func (f frame) address(v variable) address {
	up := 0
	for c := f.code; c != v.of; c = c.outer {
		up++
	}
	return address{up, v.slot}
}

// name finds a variable that the symbols have. jinja2 does not look at the filter of a set block before.
func (f frame) name(name string) variable {
	v, ok := f.find(name)
	if !ok {
		raise("AssertionError", "Tried to resolve a name to a reference that was unknown to the frame (%s)", repr(name))
	}
	return v
}

func (r *resolver) expr(e expr, f frame) {
	switch e := e.(type) {
	case *nameExpr:
		v := f.name(e.name)
		e.at = f.address(v)
		e.parameter = f.isParameter(v) && !f.unset[v]
		return
	case *concatExpr:
		e.escapes = f.escapes
	}
	for _, part := range parts(e) {
		r.expr(part, f)
	}
}

func (r *resolver) exprs(list []expr, f frame) {
	for _, e := range list {
		r.expr(e, f)
	}
}

func (r *resolver) target(t expr, f frame) {
	switch t := t.(type) {
	case *nameExpr:
		t.at = f.address(f.name(t.name))
	case *attrTarget:
		t.at = f.address(f.name(t.name))
	case *tupleExpr:
		for _, item := range t.items {
			r.target(item, f)
		}
	}
}

// exports are the names of a target that the context gets.
func (f frame) exports(t expr) (names []*nameExpr) {
	if !f.top {
		return nil
	}
	switch t := t.(type) {
	case *nameExpr:
		return []*nameExpr{t}
	case *tupleExpr:
		for _, item := range t.items {
			names = append(names, f.exports(item)...)
		}
	}
	return names
}

func (r *resolver) statement(n node, f frame) {
	switch n := n.(type) {
	case *outputNode:
		r.expr(n.of, f)
		n.escapes = f.escapes
	case *ifNode:
		for _, b := range n.branches {
			r.expr(b.test, f)
			r.statements(b.body, f)
		}
		r.statements(n.orElse, f)
	case *forNode:
		r.loop(n, f)
	case *setNode:
		r.expr(n.value, f)
		r.target(n.target, f)
		n.exports = f.exports(n.target)
	case *setBlock:
		b := f.inner()
		b.symbols.statements(n.nodes)
		n.body = r.body(n.nodes, b)
		r.target(n.target, f)
		n.exports = f.exports(n.target)
		n.escapes = f.escapes
		r.expr(n.filter, b)
	case *withNode:
		b := f.inner()
		for _, t := range n.targets {
			b.targetParameters(t)
		}
		b.symbols.statements(n.nodes)
		for _, t := range n.targets {
			r.target(t, b)
		}
		r.exprs(n.values, f)
		n.body = r.body(n.nodes, b)
	case *macroNode:
		r.macro(n, f)
		n.at, n.export = f.name(n.name).slot, f.top
	case *callBlock:
		r.macro(n.body, f)
		if n.call != nil {
			r.expr(n.call, f)
		}
	case *filterBlock:
		b := f.inner()
		b.symbols.statements(n.nodes)
		b.expr(n.filter)
		n.body = r.body(n.nodes, b)
		n.escapes = f.escapes
		r.expr(n.filter, b)
	case *autoescapeNode:
		b := f.inner()
		b.expr(n.value)
		b.symbols.statements(n.nodes)
		r.expr(n.value, b)
		b.escapes = n.on
		n.body = r.body(n.nodes, b)
	case *blockNode:
		r.blocks = append(r.blocks, n)
		n.sees = f.seen(n)
	case *loadNode:
		r.expr(n.template, f)
	}
}

func (r *resolver) statements(list []node, f frame) {
	for _, n := range list {
		r.statement(n, f)
	}
}

func (r *resolver) loop(n *forNode, f frame) {
	loop, orElse := f.inner(), f.inner()
	if n.recursive {
		loop.code = newCode(f.code)
		orElse.code = loop.code
	}
	n.loop = -1
	if n.recursive || len(reads(n.nodes, "loop")) > 0 || hasScopedBlock([]node{n}) {
		n.loop = loop.parameter("loop").slot
	}
	loop.targetParameters(n.target)
	loop.symbols.statements(n.nodes)
	orElse.symbols.statements(n.orElse.nodes)
	if n.test != nil {
		test := f.function()
		test.targetParameters(n.target)
		test.expr(n.test)
		n.testTarget = cloneTarget(n.target)
		r.target(n.testTarget, test)
		r.expr(n.test, test)
		n.testBody = routine{r.body(nil, test), len(test.code.slots)}
	}
	r.expr(n.over, f)
	r.target(n.target, loop)
	n.body = r.body(n.nodes, loop)
	n.orElse = r.body(n.orElse.nodes, orElse)
	n.escapes = f.escapes
	if n.recursive {
		n.size = len(loop.code.slots)
		if !n.hasElse {
			n.leave = nil // the function ends
		}
	}
}

func cloneTarget(t expr) expr {
	switch t := t.(type) {
	case *nameExpr:
		c := *t
		return &c
	case *tupleExpr:
		c := &tupleExpr{}
		for _, item := range t.items {
			c.items = append(c.items, cloneTarget(item))
		}
		return c
	}
	return t
}

func (r *resolver) macro(n *macroNode, f frame) {
	m := f.function()
	params := make([]variable, len(n.params))
	for i, name := range n.params {
		params[i] = m.parameter(name)
		n.slots = append(n.slots, params[i].slot)
	}
	for _, d := range n.defaults {
		m.expr(d)
	}
	m.symbols.statements(n.nodes)
	for _, s := range []*special{&n.caller, &n.kwargs, &n.varargs} {
		if s.used {
			s.slot = m.parameter(s.name).slot
		}
	}
	m.unset = map[variable]bool{}
	for v, st := range m.starts {
		m.unset[v] = st.how == fromCaller
	}
	for i, v := range params {
		if d := i - (len(n.params) - len(n.defaults)); d >= 0 {
			r.expr(n.defaults[d], m)
		}
		delete(m.unset, v)
	}
	m.unset = nil
	n.routine = routine{r.body(n.nodes, m), len(m.code.slots)}
}

// seen is what a scoped block sees besides the context: what the bodies around it assign, the inner ones first.
func (f frame) seen(b *blockNode) (list []seen) {
	if !b.scoped {
		return nil
	}
	done := map[string]bool{}
	for s := f.symbols; s != nil; s = s.outer {
		for _, name := range slices.Sorted(maps.Keys(s.stores)) {
			if !done[name] {
				done[name] = true
				list = append(list, seen{name, f.address(f.name(name))})
			}
		}
	}
	return list
}
