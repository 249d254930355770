package jinja

// jinja2 decides when it compiles which names belong to a body (idtracking.py). A name that a body
// assigns before it reads it, outside of branches, is the body's own from its beginning and undefined until
// it is assigned, even where a variable of the rendering has the name: blocks and macros within see it so.

// frame is what is known of the names of a body.
type frame struct {
	outer *frame
	known map[string]bool // read, assigned or a parameter
	own   []string        // assigned first
}

func newFrame(outer *frame) *frame { return &frame{outer: outer, known: map[string]bool{}} }

func (f *frame) knows(name string) bool {
	for ; f != nil; f = f.outer {
		if f.known[name] {
			return true
		}
	}
	return false
}

func (f *frame) load(name string) {
	if !f.knows(name) {
		f.known[name] = true
	}
}

func (f *frame) store(name string) {
	if !f.knows(name) {
		f.own = append(f.own, name)
	}
	f.known[name] = true
}

// statements reads a body in the order of its text, then the bodies within.
func (f *frame) statements(body []node) {
	for _, n := range body {
		f.statement(n)
	}
	for _, n := range body {
		f.inner(n)
	}
}

// statement reads what of a statement belongs to the body that it stands in.
func (f *frame) statement(n node) {
	switch n := n.(type) {
	case *outputNode:
		f.expr(n.of)
	case *ifNode:
		f.branches(n)
	case *forNode:
		f.expr(n.over)
	case *setNode:
		f.expr(n.value)
		f.target(n.target)
	case *setBlock:
		f.target(n.target)
	case *withNode:
		for _, v := range n.values {
			f.expr(v)
		}
	case *macroNode:
		f.store(n.name)
	case *callBlock:
		if n.call != nil {
			f.expr(n.call)
		}
	case *filterBlock:
		f.expr(n.filter)
	}
}

// branches reads an if: what only a branch assigns keeps its value from outside.
func (f *frame) branches(n *ifNode) {
	copied := func() *frame {
		c := newFrame(f.outer)
		for name := range f.known {
			c.known[name] = true
		}
		return c
	}
	read := func(body []node) *frame {
		c := copied()
		for _, n := range body {
			c.statement(n)
		}
		return c
	}
	f.expr(n.branches[0].test)
	all := []*frame{read(n.branches[0].body), read(n.orElse)}
	others := copied()
	for _, b := range n.branches[1:] {
		others.statement(&ifNode{branches: []branch{b}})
	}
	for _, c := range append(all, others) {
		for name := range c.known {
			f.known[name] = true
		}
	}
}

// inner reads the bodies within a statement and notes the names that are their own.
func (f *frame) inner(n node) {
	switch n := n.(type) {
	case *ifNode:
		for _, b := range n.branches {
			f.innerAll(b.body)
		}
		f.innerAll(n.orElse)
	case *forNode:
		n.own = f.body(n.body, func(c *frame) {
			c.known["loop"] = true
			c.param(n.target)
		})
		n.elseOwn = f.body(n.orElse, nil)
	case *setBlock:
		n.own = f.body(n.body, nil)
	case *withNode:
		n.own = f.body(n.body, func(c *frame) {
			for _, t := range n.targets {
				c.param(t)
			}
		})
	case *macroNode:
		n.own = f.body(n.body, n.begin)
	case *callBlock:
		n.body.own = f.body(n.body.body, n.body.begin)
	case *filterBlock:
		n.own = f.body(n.body, nil)
	case *scopeNode:
		outer := f
		if n.block {
			outer = nil
		}
		n.own = outer.body(n.body, nil)
	}
}

func (f *frame) innerAll(body []node) {
	for _, n := range body {
		f.inner(n)
	}
}

// begin makes the parameters of a macro known in its body.
func (m *macroNode) begin(c *frame) {
	for _, name := range m.params {
		c.known[name] = true
	}
	for name, used := range map[string]bool{"caller": m.caller, "kwargs": m.kwargs, "varargs": m.varargs} {
		if used {
			c.known[name] = true
		}
	}
	for _, d := range m.defaults {
		c.expr(d)
	}
}

// body reads a body with names of its own.
func (f *frame) body(body []node, begin func(*frame)) (own []string) {
	c := newFrame(f)
	if begin != nil {
		begin(c)
	}
	c.statements(body)
	return c.own
}

func (f *frame) param(t expr) {
	switch t := t.(type) {
	case *nameExpr:
		f.known[t.name] = true
	case *tupleExpr:
		for _, item := range t.items {
			f.param(item)
		}
	}
}

func (f *frame) target(t expr) {
	switch t := t.(type) {
	case *nameExpr:
		f.store(t.name)
	case *attrTarget:
		f.load(t.name)
	case *tupleExpr:
		for _, item := range t.items {
			f.target(item)
		}
	}
}

func (f *frame) expr(e expr) {
	if n, ok := e.(*nameExpr); ok {
		f.load(n.name)
		return
	}
	for _, part := range parts(e) {
		f.expr(part)
	}
}
