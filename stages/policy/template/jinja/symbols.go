package jinja

// jinja2 makes Python code of a template, and decides when it compiles which Python variable a name is
// (idtracking.py). A macro, a block, a recursive loop and the test of a loop become functions; every body that
// can assign names has variables of its own in the function that it stands in. What a template sees follows
// from that, even where it is odd: two loops behind each other share their variables, a macro that was
// defined in a loop reads them when it is called, and a variable is missing behind its body.

// code is a function of Python while it is compiled.
type code struct {
	outer *code // the function that it is defined in
	slots map[slotKey]int
}

// slotKey is the name of a Python variable: l_<level>_<name>.
type slotKey struct {
	level int
	name  string
}

func newCode(outer *code) *code { return &code{outer: outer, slots: map[slotKey]int{}} }

func (c *code) variable(level int, name string) variable {
	key := slotKey{level, name}
	slot, ok := c.slots[key]
	if !ok {
		slot = len(c.slots)
		c.slots[key] = slot
	}
	return variable{c, slot}
}

type variable struct {
	of   *code
	slot int
}

// action is how a variable gets its value when its body begins.
type action byte

const (
	fromCaller  action = iota // a parameter or the target of a loop
	fromContext               // a variable of the rendering, or one that the top level has assigned
	fromOuter                 // the variable of the same name of a body around
	fromNowhere               // it is missing
)

// symbols are the variables of a body.
type symbols struct {
	outer *symbols // of the body around
	base  *symbols // in a branch of an if: what is known before it
	code  *code
	level int // bodies around

	refs   map[string]variable
	order  []variable // the keys of starts
	starts map[variable]start
	stores map[string]bool // names that the body assigns
}

type start struct {
	how  action
	name string
	from variable // of fromOuter
}

func newSymbols(outer *symbols, c *code) *symbols {
	s := &symbols{
		outer: outer, code: c,
		refs: map[string]variable{}, starts: map[variable]start{}, stores: map[string]bool{},
	}
	if outer != nil {
		s.level = outer.level + 1
	}
	return s
}

// branch are the symbols of a branch, which starts with what is known before it.
func (s *symbols) branch() *symbols {
	b := newSymbols(s.outer, s.code)
	b.base, b.level = s, s.level
	return b
}

// own finds a variable of the body itself.
func (s *symbols) own(name string) (variable, bool) {
	for ; s != nil; s = s.base {
		if v, ok := s.refs[name]; ok {
			return v, true
		}
	}
	return variable{}, false
}

// find finds a variable of the body or of those around it.
func (s *symbols) find(name string) (variable, bool) {
	for ; s != nil; s = s.outer {
		if v, ok := s.own(name); ok {
			return v, true
		}
	}
	return variable{}, false
}

// isParameter tells whether a variable of the body or of those around it gets its value from a caller.
func (s *symbols) isParameter(v variable) bool {
	for ; s != nil; s = s.outer {
		if st, ok := s.starts[v]; ok {
			return st.how == fromCaller
		}
	}
	return false
}

func (s *symbols) define(name string, st start) variable {
	v := s.code.variable(s.level, name)
	s.refs[name] = v
	s.begin(v, st)
	return v
}

func (s *symbols) begin(v variable, st start) {
	if _, ok := s.starts[v]; !ok {
		s.order = append(s.order, v)
	}
	s.starts[v] = st
}

func (s *symbols) parameter(name string) variable {
	s.stores[name] = true
	return s.define(name, start{how: fromCaller})
}

func (s *symbols) load(name string) {
	if _, ok := s.find(name); !ok {
		s.define(name, start{how: fromContext, name: name})
	}
}

func (s *symbols) store(name string) {
	s.stores[name] = true
	if _, ok := s.own(name); ok {
		return
	}
	if v, ok := s.outer.find(name); ok {
		s.define(name, start{how: fromOuter, from: v})
		return
	}
	s.define(name, start{how: fromNowhere})
}

func (s *symbols) stored(name string) bool {
	for ; s != nil; s = s.base {
		if s.stores[name] {
			return true
		}
	}
	return false
}

// merge takes over what the branches of an if know. What only a branch assigns has a value from outside first.
func (s *symbols) merge(branches ...*symbols) {
	var assigned []string
	for _, b := range branches {
		for name := range b.stores {
			if !s.stored(name) {
				assigned = append(assigned, name)
			}
		}
	}
	for _, b := range branches {
		for name, v := range b.refs {
			s.refs[name] = v
		}
		for _, v := range b.order {
			s.begin(v, b.starts[v])
		}
		for name := range b.stores {
			s.stores[name] = true
		}
	}
	for _, name := range assigned {
		v, _ := s.find(name)
		if outer, ok := s.outer.find(name); ok {
			s.begin(v, start{how: fromOuter, from: outer})
			continue
		}
		s.begin(v, start{how: fromContext, name: name})
	}
}

// statements reads what of statements belongs to the body that they stand in.
func (s *symbols) statements(list []node) {
	for _, n := range list {
		s.statement(n)
	}
}

func (s *symbols) statement(n node) {
	switch n := n.(type) {
	case *outputNode:
		s.expr(n.of)
	case *ifNode:
		s.ifElse(n)
	case *forNode:
		s.expr(n.over)
	case *setNode:
		s.expr(n.value)
		s.target(n.target)
	case *setBlock:
		s.target(n.target)
	case *withNode:
		for _, v := range n.values {
			s.expr(v)
		}
	case *macroNode:
		s.store(n.name)
	case *callBlock:
		if n.call != nil {
			s.expr(n.call)
		}
	case *filterBlock:
		s.expr(n.filter)
	case *loadNode:
		s.expr(n.template)
		for _, name := range n.names {
			s.store(name)
		}
	}
}

func (s *symbols) ifElse(n *ifNode) {
	s.expr(n.branches[0].test)
	first, others, last := s.branch(), s.branch(), s.branch()
	first.statements(n.branches[0].body)
	for _, b := range n.branches[1:] {
		others.ifElse(&ifNode{branches: []branch{b}})
	}
	last.statements(n.orElse)
	s.merge(first, others, last)
}

func (s *symbols) expr(e expr) {
	if n, ok := e.(*nameExpr); ok {
		s.load(n.name)
		return
	}
	for _, part := range parts(e) {
		s.expr(part)
	}
}

func (s *symbols) target(t expr) {
	switch t := t.(type) {
	case *nameExpr:
		s.store(t.name)
	case *attrTarget:
		s.load(t.name)
	case *tupleExpr:
		for _, item := range t.items {
			s.target(item)
		}
	}
}

// targetParameters declares the names of a target that a loop or a with sets.
func (s *symbols) targetParameters(t expr) {
	switch t := t.(type) {
	case *nameExpr:
		s.parameter(t.name)
	case *tupleExpr:
		for _, item := range t.items {
			s.targetParameters(item)
		}
	}
}
