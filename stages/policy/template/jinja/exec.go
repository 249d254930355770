package jinja

import (
	"maps"
	"slices"
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
	folding             *folder // not nil: a constant is evaluated as jinja2's compiler does
	line                int     // of what is evaluated, for errors
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

// locals are the variables of one call of a macro, a block or a recursive loop, or of the template.
type locals struct {
	vars    []any
	outer   *locals // of the function that the function was defined in
	context *context
}

// missing is the value of a variable that is not assigned.
type missingType struct{}

var missing any = missingType{}

// call makes the variables of a call of f, which was defined where outer is.
func (x *exec) locals(f *routine, outer *locals, c *context) *locals {
	x.work(f.size / 8)
	return &locals{make([]any, f.size), outer, c}
}

func (l *locals) get(a address) any {
	for range a.up {
		l = l.outer
	}
	return l.vars[a.slot]
}

// context is what a name means that no body assigns.
type context struct {
	vars   map[string]any // assigned at the top level
	parent map[string]any // the variables of the rendering, and jinja2's functions
}

func (c *context) resolve(name string) any {
	if v, ok := c.vars[name]; ok {
		return v
	}
	if v, ok := c.parent[name]; ok {
		return v
	}
	return missing
}

// begin sets the variables of a body that begins.
func (x *exec) begin(b *body, l *locals) {
	x.work(len(b.enter) / 4)
	for i := range b.enter {
		e := &b.enter[i]
		switch e.how {
		case fromContext:
			l.vars[e.slot] = l.context.resolve(e.name)
		case fromOuter:
			l.vars[e.slot] = l.get(e.from)
		default:
			l.vars[e.slot] = missing
		}
	}
}

// end makes the variables of a body missing.
func (b *body) end(l *locals) {
	for _, slot := range b.leave {
		l.vars[slot] = missing
	}
}

// within runs a body with variables of its own. A break or continue in it leaves them as they are.
func (x *exec) within(b *body, l *locals) signal {
	x.begin(b, l)
	sig := x.run(b.nodes, l)
	if sig == proceed {
		b.end(l)
	}
	return sig
}

// signal is what ends a body early.
type signal int

const (
	proceed signal = iota
	stopLoop
	nextItem
)

func (x *exec) run(list []node, l *locals) signal {
	for _, n := range list {
		if sig := x.statement(n, l); sig != proceed {
			return sig
		}
	}
	return proceed
}

func (x *exec) statement(n node, l *locals) signal {
	x.step()
	switch n := n.(type) {
	case *textNode:
		x.write(n.text)
	case *outputNode:
		x.output(n, l)
	case *ifNode:
		return x.ifElse(n, l)
	case *forNode:
		return x.forLoop(n, l)
	case *loopControl:
		if n.stop {
			return stopLoop
		}
		return nextItem
	case *setNode:
		x.assign(n.target, x.eval(n.value, l), l)
		export(n.exports, l)
	case *setBlock:
		return x.setBlock(n, l)
	case *withNode:
		return x.with(n, l)
	case *macroNode:
		l.vars[n.at] = &macro{node: n, defined: l}
		if n.export {
			l.context.vars[n.name] = l.vars[n.at]
		}
	case *callBlock:
		x.callBlock(n, l)
	case *filterBlock:
		return x.filterBlock(n, l)
	case *autoescapeNode:
		return x.autoescapeBlock(n, l)
	case *blockNode:
		x.block(n, l)
	case *loadNode:
		x.load(n, l)
	}
	return proceed
}

// export gives the context what the top level has assigned.
func export(names []*nameExpr, l *locals) {
	for _, n := range names {
		l.context.vars[n.name] = l.vars[n.at.slot]
	}
}

// block writes a named block.
func (x *exec) block(n *blockNode, l *locals) {
	if n.required {
		raiseAt(n.line, "TemplateRuntimeError", "Required block %s not found", repr(n.name))
	}
	c := l.context
	if n.scoped {
		x.work(len(c.parent) + len(c.vars) + len(n.sees))
		c = &context{map[string]any{}, maps.Clone(c.parent)}
		maps.Copy(c.parent, l.context.vars)
		for _, s := range n.sees {
			if v := l.get(s.at); v != missing {
				c.parent[s.name] = v
			}
		}
	}
	inner := x.locals(&n.routine, nil, c)
	x.begin(&n.body, inner)
	x.run(n.nodes, inner)
}

// load fails as jinja2 without a loader does. Only an include that may be missing, of an empty list, does not.
func (x *exec) load(n *loadNode, l *locals) {
	v := x.eval(n.template, l)
	x.line = n.line
	if _, undef := v.(*undefined); !n.optional || undef || isText(v) || truth(v) {
		typeError("no loader for this environment specified")
	}
}

func (x *exec) with(n *withNode, l *locals) signal {
	x.begin(&n.body, l)
	for i, target := range n.targets {
		x.assign(target, x.eval(n.values[i], l), l)
	}
	sig := x.run(n.nodes, l)
	if sig == proceed {
		n.end(l)
	}
	return sig
}

func (x *exec) autoescapeBlock(n *autoescapeNode, l *locals) signal {
	if n.unknown {
		unsupported("line %d: autoescape with a value that is not constant", n.line)
	}
	outer := x.autoescape
	defer func() { x.autoescape = outer }()
	x.autoescape = n.on
	return x.within(&n.body, l)
}

// output writes a value, escaped where autoescape asks for it.
func (x *exec) output(n *outputNode, l *locals) {
	v := n.value
	if !n.constant {
		v = x.eval(n.of, l)
	}
	text := str(x, v)
	if n.escapes && !isMarkup(v) {
		text = escapeHTML(text)
	}
	x.write(text)
}

// asMarkupIf is a text as a value: a Markup where autoescape is on.
func asMarkupIf(escapes bool, text string) any {
	if escapes {
		return markup(text)
	}
	return text
}

func (x *exec) ifElse(n *ifNode, l *locals) signal {
	for i := range n.branches {
		b := &n.branches[i]
		if truth(x.eval(b.test, l)) {
			return x.run(b.body, l)
		}
	}
	return x.run(n.orElse, l)
}

// setBlock assigns the text of a body, which a break or continue in it drops.
func (x *exec) setBlock(n *setBlock, l *locals) (sig signal) {
	x.begin(&n.body, l)
	text := x.capture(func() { sig = x.run(n.nodes, l) })
	if sig != proceed {
		return sig
	}
	var value any = text
	if n.filter != nil {
		value = x.filterText(n.filter, asMarkupIf(n.escapes, text), l)
	}
	if x.autoescape && !isMarkup(value) {
		value = markup(str(x, value))
	}
	x.assign(n.target, value, l)
	export(n.exports, l)
	n.end(l)
	return proceed
}

// filterBlock writes the filtered text of a body, which a break or continue in it drops.
func (x *exec) filterBlock(n *filterBlock, l *locals) (sig signal) {
	x.begin(&n.body, l)
	text := x.capture(func() { sig = x.run(n.nodes, l) })
	if sig == proceed {
		x.writeText(x.filterText(n.filter, asMarkupIf(n.escapes, text), l))
		n.end(l)
	}
	return sig
}

func (x *exec) callBlock(n *callBlock, l *locals) {
	caller := &macro{node: n.body, defined: l}
	if n.call == nil { // generation
		x.writeText(x.callMacro(caller, args{}))
		return
	}
	of := x.eval(n.call.of, l)
	a := x.args(n.call.args, l)
	if slices.Contains(a.names, "caller") {
		typeError("got multiple values for keyword argument 'caller'")
	}
	a.add("caller", caller)
	x.writeText(x.call(of, a, n.call.line))
}

// assign sets the names of a target.
func (x *exec) assign(target expr, value any, l *locals) {
	switch t := target.(type) {
	case *nameExpr:
		l.vars[t.at.slot] = value
	case *attrTarget:
		ns, ok := l.get(t.at).(*namespace)
		if !ok {
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
			x.assign(item, v, l)
		}
		if _, more := next(); more {
			valueError("too many values to unpack (expected %d)", len(t.items))
		}
	}
}
