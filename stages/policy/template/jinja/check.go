package jinja

import (
	"slices"
)

// check raises what jinja2's compiler raises, and Python's for the code that it makes: unknown
// filters and tests that are not in a branch, assignments to loop, break outside of a loop. It
// also finds out which macros use caller, kwargs and varargs.
func check(body []node) { new(checker).statements(body, place{}) }

type checker struct{}

// place is what a statement stands in.
type place struct {
	soft   bool // an if or a conditional expression: unknown filters fail when they are reached
	loop   bool // break and continue are allowed
	inFor  bool // within a for statement, where loop cannot be assigned
	nested int  // for statements around it in the same function
}

// inner is the place of a body with names of its own.
func (p place) inner() place { p.soft = false; return p }

// function is the place of a body that jinja2 makes a function of.
func (p place) function() place { return place{inFor: p.inFor} }

const maxLoops = 20 // Python: too many statically nested blocks

func (c *checker) statements(body []node, p place) {
	for _, n := range body {
		c.statement(n, p)
	}
}

func (c *checker) statement(n node, p place) {
	switch n := n.(type) {
	case *outputNode:
		c.expr(n.of, p)
	case *ifNode:
		p.soft = true
		for _, b := range n.branches {
			c.expr(b.test, p)
			c.statements(b.body, p)
		}
		c.statements(n.orElse, p)
	case *forNode:
		c.loop(n, p)
	case *loopControl:
		if !p.loop {
			word := "'continue' not properly in loop"
			if n.stop {
				word = "'break' outside loop"
			}
			raiseAt(n.line, "SyntaxError", "%s", word)
		}
	case *setNode:
		c.target(n.target, n.line, p)
		c.expr(n.value, p)
	case *setBlock:
		c.target(n.target, n.line, p)
		c.expr(n.filter, p.inner())
		c.statements(n.body, p.inner())
	case *withNode:
		for _, t := range n.targets {
			c.target(t, n.line, place{}) // parameters, which may be called loop
		}
		c.exprs(n.values, p)
		c.statements(n.body, p.inner())
	case *macroNode:
		c.macro(n, p)
	case *callBlock:
		if n.call != nil {
			c.expr(n.call, p)
		}
		c.macro(n.body, p)
	case *filterBlock:
		c.expr(n.filter, p.inner())
		c.statements(n.body, p.inner())
	case *scopeNode:
		c.scope(n, p)
	}
}

func (c *checker) scope(n *scopeNode, p place) {
	if !n.block {
		c.statements(n.body, p.inner())
		return
	}
	c.statements(n.body, place{})
}

func (c *checker) loop(n *forNode, p place) {
	c.expr(n.over, p)
	p.inFor = true
	c.target(n.target, n.line, p)
	c.expr(n.test, p.inner())
	inner := p.inner()
	inner.loop = true
	if inner.nested++; inner.nested > maxLoops {
		raiseAt(n.line, "SyntaxError", "too many statically nested blocks")
	}
	if n.recursive {
		inner.nested = 1
	}
	c.statements(n.body, inner)
	c.statements(n.orElse, p.inner())
}

func (c *checker) macro(m *macroNode, p place) {
	for i, name := range m.params {
		if slices.Contains(m.params[:i], name) {
			raiseAt(m.line, "SyntaxError", "duplicate argument %s in function definition", repr(name))
		}
	}
	uses := map[string]bool{}
	for _, name := range []string{"caller", "kwargs", "varargs"} {
		uses[name] = reads(m.body, name)
	}
	if i := slices.Index(m.params, "caller"); uses["caller"] && i >= 0 && i < len(m.params)-len(m.defaults) {
		raiseAt(m.line, "TemplateAssertionError",
			`When defining macros or call blocks the special "caller" argument must be omitted or be given a default.`)
	}
	m.caller = uses["caller"]
	m.kwargs = uses["kwargs"] && !slices.Contains(m.params, "kwargs")
	m.varargs = uses["varargs"] && !slices.Contains(m.params, "varargs")
	inner := p.function()
	c.exprs(m.defaults, inner)
	c.statements(m.body, inner)
}

func (c *checker) target(t expr, line int, p place) {
	switch t := t.(type) {
	case *nameExpr:
		if p.inFor && t.name == "loop" {
			raiseAt(line, "TemplateAssertionError", "Can't assign to special loop variable in for-loop target")
		}
	case *tupleExpr:
		for _, item := range t.items {
			c.target(item, line, p)
		}
	}
}

func (c *checker) exprs(list []expr, p place) {
	for _, e := range list {
		c.expr(e, p)
	}
}

func (c *checker) expr(e expr, p place) {
	switch e := e.(type) {
	case *condExpr:
		p.soft = true
	case *filterExpr:
		if _, ok := filters[e.name]; !ok && !p.soft {
			raiseAt(e.line, "TemplateAssertionError", "No filter named %s.", repr(e.name))
		}
	case *testExpr:
		if _, ok := tests[e.name]; !ok && !p.soft {
			raiseAt(e.line, "TemplateAssertionError", "No test named %s.", repr(e.name))
		}
	}
	for _, part := range parts(e) {
		c.expr(part, p)
	}
}

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

// reads tells whether statements read name before they assign it, as jinja2 decides which special
// arguments a macro takes: in the order of the text, not of execution.
func reads(body []node, name string) bool {
	v := &visitor{name: name}
	v.statements(body)
	return v.found
}

type visitor struct {
	name             string
	found, forgotten bool
}

func (v *visitor) statements(body []node) {
	for _, n := range body {
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
		v.statements(n.body)
		v.statements(n.orElse)
		v.expr(n.test)
	case *setNode:
		v.store(n.target)
		v.expr(n.value)
	case *setBlock:
		v.store(n.target)
		v.expr(n.filter)
		v.statements(n.body)
	case *withNode:
		for _, t := range n.targets {
			v.store(t)
		}
		v.exprs(n.values)
		v.statements(n.body)
	case *macroNode:
		v.macro(n)
	case *callBlock:
		if n.call != nil {
			v.expr(n.call)
		}
		v.macro(n.body)
	case *filterBlock:
		v.statements(n.body)
		v.expr(n.filter)
	case *scopeNode:
		if !n.block {
			v.statements(n.body)
		}
	}
}

func (v *visitor) macro(m *macroNode) {
	if slices.Contains(m.params, v.name) {
		v.forgotten = true
	}
	v.exprs(m.defaults)
	v.statements(m.body)
}

func (v *visitor) store(t expr) {
	switch t := t.(type) {
	case *nameExpr:
		v.forgotten = v.forgotten || t.name == v.name
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
		v.found = v.found || n.name == v.name && !v.forgotten
		return
	}
	v.exprs(parts(e))
}
