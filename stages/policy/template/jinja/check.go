package jinja

import "slices"

// check raises what jinja2's compiler raises, and Python's for the code that it makes: unknown
// filters and tests that are not in a branch, assignments to loop, break outside of a loop. It
// also finds out which macros use caller, kwargs and varargs.
func check(list []node) {
	c := &checker{blocks: map[string]bool{}}
	c.statements(list, place{top: true})
}

type checker struct {
	blocks map[string]bool // names that are taken
}

// place is what a statement stands in.
type place struct {
	top    bool // the template's top level
	soft   bool // an if or a conditional expression: unknown filters fail when they are reached
	loop   bool // break and continue are allowed
	inFor  bool // within a for statement, where loop cannot be assigned
	nested int  // for statements around it in the same function
}

// inner is the place of a body with names of its own.
func (p place) inner() place { p.soft, p.top = false, false; return p }

// function is the place of a body that jinja2 makes a function of.
func (p place) function() place { return place{inFor: p.inFor} }

const maxLoops = 20 // Python: too many statically nested blocks

func (c *checker) statements(list []node, p place) {
	for _, n := range list {
		c.statement(n, p)
	}
}

func (c *checker) statement(n node, p place) {
	switch n := n.(type) {
	case *outputNode:
		if !n.constant {
			c.expr(n.of, p)
		}
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
		c.statements(n.nodes, p.inner())
	case *withNode:
		c.exprs(n.values, p)
		c.statements(n.nodes, p.inner())
	case *macroNode:
		c.macro(n, p)
	case *callBlock:
		if n.call != nil {
			c.expr(n.call, p)
		}
		c.macro(n.body, p)
	case *filterBlock:
		c.expr(n.filter, p.inner())
		c.statements(n.nodes, p.inner())
	case *autoescapeNode:
		c.expr(n.value, p.inner())
		c.statements(n.nodes, p.inner())
	case *blockNode:
		if c.blocks[n.name] {
			raiseAt(n.line, "TemplateAssertionError", "block %s defined twice", repr(n.name))
		}
		c.blocks[n.name] = true
		c.statements(n.nodes, p.function())
	case *loadNode:
		if n.extends && !p.top {
			raiseAt(n.line, "TemplateAssertionError", "cannot use extend from a non top-level scope")
		}
		c.expr(n.template, p)
	}
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
	c.statements(n.nodes, inner)
	c.statements(n.orElse.nodes, p.inner())
}

func (c *checker) macro(m *macroNode, p place) {
	for i, name := range m.params {
		if slices.Contains(m.params[:i], name) {
			raiseAt(m.line, "SyntaxError", "duplicate argument %s in function definition", repr(name))
		}
	}
	uses := reads(m.nodes, "caller", "kwargs", "varargs")
	at := slices.Index(m.params, "caller")
	if uses["caller"] && at >= 0 && at < len(m.params)-len(m.defaults) {
		raiseAt(m.line, "TemplateAssertionError",
			`When defining macros or call blocks the special "caller" argument must be omitted or be given a default.`)
	}
	m.usesCaller = uses["caller"]
	m.caller.used = uses["caller"] && at < 0
	m.kwargs.used = uses["kwargs"] && !slices.Contains(m.params, "kwargs")
	m.varargs.used = uses["varargs"] && !slices.Contains(m.params, "varargs")
	inner := p.function()
	c.exprs(m.defaults, inner)
	c.statements(m.nodes, inner)
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
	case *constExpr:
		if e.tooLong {
			valueError("Exceeds the limit (%d digits) for integer string conversion", maxDigits)
		}
	case *itemExpr:
		if at, ok := e.at.(*tupleExpr); ok && slices.ContainsFunc(at.items, isSlice) {
			raiseAt(e.line, "SyntaxError", "invalid syntax")
		}
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

func isSlice(e expr) bool { _, ok := e.(*sliceExpr); return ok }
