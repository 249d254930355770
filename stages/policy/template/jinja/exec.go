package jinja

import (
	"strings"
	"time"
)

// exec is one rendering. One goroutine uses it.
type exec struct {
	limits  Limits
	now     time.Time
	filters map[string]filter // here, since filters apply filters
	tests   map[string]filter
	out     *strings.Builder

	steps, bytes, depth int
	autoescape          bool
	folding             bool // a constant is evaluated as jinja2's compiler does
	line                int  // of what is evaluated, for errors
}

// step counts a unit of work.
func (x *exec) step() { x.work(1) }

// work counts n units of work.
func (x *exec) work(n int) {
	if x.steps += n; x.steps > x.limits.Steps || x.steps < 0 {
		overLimit("rendering takes more than %d steps: does the template end?", x.limits.Steps)
	}
}

// spend counts bytes that an operation is about to create.
func (x *exec) spend(n int) {
	if n < 0 || n > x.limits.Bytes-x.bytes {
		overLimit("rendering creates more than %d bytes", x.limits.Bytes)
	}
	x.bytes += n
	x.work(n / 16)
}

// made counts the bytes of a text that an operation has created, and returns it.
func (x *exec) made(s string) string {
	x.spend(len(s))
	return s
}

// enter counts a level of macros and recursive loops; the caller defers leave.
func (x *exec) enter() {
	if x.depth++; x.depth > x.limits.Depth {
		overLimit("macros are nested deeper than %d: does the recursion end?", x.limits.Depth)
	}
}

func (x *exec) leave() { x.depth-- }

func (x *exec) write(s string) {
	x.spend(len(s))
	if x.out.Len()+len(s) > x.limits.Output {
		overLimit("the output is larger than %d bytes", x.limits.Output)
	}
	x.out.WriteString(s)
}

// writeText writes a value that jinja2 joins with others without converting it.
func (x *exec) writeText(v any) {
	s, ok := text(v)
	if !ok {
		typeError("sequence item: expected str instance, %s found", typeName(v))
	}
	x.write(s)
}

// capture returns what f writes.
func (x *exec) capture(f func()) string {
	outer := x.out
	var inner strings.Builder
	x.out = &inner
	f()
	x.out = outer
	return inner.String()
}

// scope holds the names of a template, a loop's iteration, a macro's call.
type scope struct {
	names map[string]any
	outer *scope
}

// unset is the value of a name that is a scope's own and not assigned yet.
type unset struct{}

func newScope(outer *scope, own []string) *scope {
	s := &scope{outer: outer}
	for _, name := range own {
		s.set(name, unset{})
	}
	return s
}

func (s *scope) set(name string, value any) {
	if s.names == nil {
		s.names = map[string]any{}
	}
	s.names[name] = value
}

func (s *scope) get(name string) (any, bool) {
	for ; s != nil; s = s.outer {
		if v, ok := s.names[name]; ok {
			return v, v != any(unset{})
		}
	}
	return nil, false
}

// root is the scope of the template's top level.
func (s *scope) root() *scope {
	for s.outer != nil && s.outer.outer != nil {
		s = s.outer
	}
	return s
}

// signal is what ends a body early.
type signal int

const (
	proceed signal = iota
	stopLoop
	nextItem
)

func (x *exec) run(body []node, s *scope) signal {
	for _, n := range body {
		if sig := x.statement(n, s); sig != proceed {
			return sig
		}
	}
	return proceed
}

func (x *exec) statement(n node, s *scope) signal {
	x.step()
	switch n := n.(type) {
	case *textNode:
		x.write(n.text)
	case *outputNode:
		x.output(n, s)
	case *ifNode:
		return x.ifElse(n, s)
	case *forNode:
		return x.forLoop(n, s)
	case *loopControl:
		if n.stop {
			return stopLoop
		}
		return nextItem
	case *setNode:
		x.assign(n.target, x.eval(n.value, s), s)
	case *setBlock:
		return x.setBlock(n, s)
	case *withNode:
		inner := newScope(s, n.own)
		for i, target := range n.targets {
			x.assign(target, x.eval(n.values[i], s), inner)
		}
		return x.run(n.body, inner)
	case *macroNode:
		s.set(n.name, &macro{node: n, scope: s})
	case *callBlock:
		x.callBlock(n, s)
	case *filterBlock:
		return x.filterBlock(n, s)
	case *scopeNode:
		return x.scope(n, s)
	case *failNode:
		if n.class == "" {
			unsupported("line %d: %s", n.line, n.text)
		}
		raiseAt(n.line, n.class, "%s", n.text)
	}
	return proceed
}

// scope runs a block or the body of an autoescape tag.
func (x *exec) scope(n *scopeNode, s *scope) signal {
	outer := x.autoescape
	defer func() { x.autoescape = outer }()
	if n.block {
		s, x.autoescape = s.root(), false
	} else {
		x.autoescape = n.autoescape
	}
	return x.run(n.body, newScope(s, n.own))
}

// output writes a value, escaped where autoescape asks for it.
func (x *exec) output(n *outputNode, s *scope) {
	v := n.value
	if !n.constant {
		v = x.eval(n.of, s)
	}
	text := str(x, v)
	if x.autoescape && !isMarkup(v) {
		text = escapeHTML(text)
	}
	x.write(text)
}

// captured is what f writes, as a value: a Markup where autoescape has seen to it.
func (x *exec) captured(f func()) any {
	text := x.capture(f)
	if x.autoescape {
		return markup(text)
	}
	return text
}

func (x *exec) ifElse(n *ifNode, s *scope) signal {
	for _, b := range n.branches {
		if truth(x.eval(b.test, s)) {
			return x.run(b.body, s)
		}
	}
	return x.run(n.orElse, s)
}

// setBlock assigns the text of a body, which a break or continue in it drops.
func (x *exec) setBlock(n *setBlock, s *scope) (sig signal) {
	inner := newScope(s, n.own)
	value := x.captured(func() { sig = x.run(n.body, inner) })
	if sig != proceed {
		return sig
	}
	if n.filter != nil {
		value = x.filterText(n.filter, value, inner)
	}
	x.assign(n.target, value, s)
	return proceed
}

// filterBlock writes the filtered text of a body, which a break or continue in it drops.
func (x *exec) filterBlock(n *filterBlock, s *scope) (sig signal) {
	inner := newScope(s, n.own)
	value := x.captured(func() { sig = x.run(n.body, inner) })
	if sig == proceed {
		x.writeText(x.filterText(n.filter, value, inner))
	}
	return sig
}

func (x *exec) callBlock(n *callBlock, s *scope) {
	caller := &macro{node: n.body, scope: s}
	if n.call == nil { // generation
		x.writeText(x.callMacro(caller, args{}))
		return
	}
	of := x.eval(n.call.of, s)
	a := x.args(n.call.args, s)
	a.add("caller", caller)
	x.writeText(x.call(of, a, n.call.line))
}

// assign sets the names of a target.
func (x *exec) assign(target expr, value any, s *scope) {
	switch t := target.(type) {
	case *nameExpr:
		s.set(t.name, value)
	case *attrTarget:
		of, ok := s.get(t.name)
		ns, isNamespace := of.(*namespace)
		if !ok || !isNamespace {
			raiseAt(t.line, "TemplateRuntimeError", "cannot assign attribute on non-namespace object")
		}
		ns.attrs.Set(t.attr, value)
	case *tupleExpr:
		next := iterate(x, value)
		for i, item := range t.items {
			v, ok := next()
			if !ok {
				valueError("not enough values to unpack (expected %d, got %d)", len(t.items), i)
			}
			x.assign(item, v, s)
		}
		if _, more := next(); more {
			valueError("too many values to unpack (expected %d)", len(t.items))
		}
	}
}
