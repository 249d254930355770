package jinja

import "slices"

// Walks over the tree.

// parts are the expressions that e is made of.
func parts(e expr) []expr {
	switch e := e.(type) {
	case *listExpr:
		return e.items
	case *tupleExpr:
		return e.items
	case *dictExpr:
		return slices.Concat(e.keys, e.values)
	case *attrExpr:
		return []expr{e.of}
	case *itemExpr:
		return []expr{e.of, e.at}
	case *sliceExpr:
		return []expr{e.from, e.to, e.step}
	case *callExpr:
		return append(e.args.parts(), e.of)
	case *filterExpr:
		return append(e.args.parts(), e.of)
	case *testExpr:
		return append(e.args.parts(), e.of)
	case *unaryExpr:
		return []expr{e.of}
	case *binaryExpr:
		return []expr{e.left, e.right}
	case *logicExpr:
		return []expr{e.left, e.right}
	case *compareExpr:
		return append([]expr{e.first}, e.rest...)
	case *concatExpr:
		return e.parts
	case *condExpr:
		return []expr{e.test, e.then, e.orElse}
	}
	return nil
}

func (a arguments) parts() []expr {
	return append(slices.Concat(a.positional, a.named), a.star, a.starStar)
}

// reads tells which of names statements read before they assign them, as jinja2 decides which special
// arguments a macro takes: in the order of the text, not of execution.
func reads(list []node, names ...string) map[string]bool {
	v := &visitor{open: map[string]bool{}, found: map[string]bool{}}
	for _, name := range names {
		v.open[name] = true
	}
	v.statements(list)
	return v.found
}

type visitor struct {
	open  map[string]bool // names that are not assigned yet
	found map[string]bool
}

func (v *visitor) statements(list []node) {
	for _, n := range list {
		v.statement(n)
	}
}

func (v *visitor) statement(n node) {
	switch n := n.(type) {
	case *outputNode:
		v.expr(n.of)
	case *ifNode:
		for _, b := range n.branches {
			v.expr(b.test)
			v.statements(b.body)
		}
		v.statements(n.orElse)
	case *forNode:
		v.store(n.target)
		v.expr(n.over)
		v.statements(n.nodes)
		v.statements(n.orElse.nodes)
		v.expr(n.test)
	case *setNode:
		v.store(n.target)
		v.expr(n.value)
	case *setBlock:
		v.store(n.target)
		v.expr(n.filter)
		v.statements(n.nodes)
	case *withNode:
		for _, t := range n.targets {
			v.store(t)
		}
		v.exprs(n.values)
		v.statements(n.nodes)
	case *macroNode:
		v.macro(n)
	case *callBlock:
		if n.call != nil {
			v.expr(n.call)
		}
		v.macro(n.body)
	case *filterBlock:
		v.statements(n.nodes)
		v.expr(n.filter)
	case *autoescapeNode:
		v.expr(n.value)
		v.statements(n.nodes)
	case *loadNode:
		v.expr(n.template)
	}
}

func (v *visitor) macro(m *macroNode) {
	for _, name := range m.params {
		delete(v.open, name)
	}
	v.exprs(m.defaults)
	v.statements(m.nodes)
}

func (v *visitor) store(t expr) {
	switch t := t.(type) {
	case *nameExpr:
		delete(v.open, t.name)
	case *tupleExpr:
		for _, item := range t.items {
			v.store(item)
		}
	}
}

func (v *visitor) exprs(list []expr) {
	for _, e := range list {
		v.expr(e)
	}
}

func (v *visitor) expr(e expr) {
	if n, ok := e.(*nameExpr); ok {
		if v.open[n.name] {
			v.found[n.name] = true
		}
		return
	}
	v.exprs(parts(e))
}

// hasScopedBlock tells whether a scoped block is somewhere in statements.
func hasScopedBlock(list []node) bool {
	return slices.ContainsFunc(list, func(n node) bool {
		switch n := n.(type) {
		case *ifNode:
			for _, b := range n.branches {
				if hasScopedBlock(b.body) {
					return true
				}
			}
			return hasScopedBlock(n.orElse)
		case *forNode:
			return hasScopedBlock(n.nodes) || hasScopedBlock(n.orElse.nodes)
		case *setBlock:
			return hasScopedBlock(n.nodes)
		case *withNode:
			return hasScopedBlock(n.nodes)
		case *macroNode:
			return hasScopedBlock(n.nodes)
		case *callBlock:
			return hasScopedBlock(n.body.nodes)
		case *filterBlock:
			return hasScopedBlock(n.nodes)
		case *autoescapeNode:
			return hasScopedBlock(n.nodes)
		case *blockNode:
			return n.scoped || hasScopedBlock(n.nodes)
		}
		return false
	})
}
