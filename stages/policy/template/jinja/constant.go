package jinja

import (
	"math/big"
)

// jinja2 evaluates constant expressions when it compiles (nodes.py: as_const, optimizer.py). That shows in four
// ways: "and", "or", comparisons and conditional expressions that their first operand decides are constant, and
// the rest is not looked at; an item or a slice that a constant does not have is undefined, where the running
// template raises; a float that is infinite or not a number becomes code that Python cannot run; and a dict
// with a key that cannot be one fails at once if it is part of a larger expression.

// output makes the node of a print statement.
func output(line int, of expr) *outputNode { return &outputNode{line: line, of: of} }

// folder replaces the constant parts of a template.
type folder struct {
	autoescape   bool
	impossible   map[expr]bool // expressions that are not constant
	bytes, steps int           // that all evaluations took
}

// impossible ends the evaluation of an expression that is not constant.
type impossible struct{}

// foldLimits bound the evaluation of one constant expression; one that takes more is left to the running template.
var foldLimits = Limits{Steps: 20_000, Bytes: 1 << 20, Output: 1, Depth: 1}

const (
	maxFoldBytes = 32 << 20 // of all constants of a template
	maxFoldSteps = 10_000_000
)

// fold replaces the constant parts of statements.
func fold(list []node) {
	f := &folder{impossible: map[expr]bool{}}
	f.statements(list)
}

// constant evaluates e as the compiler does. ok is false where the running template has to.
func (f *folder) constant(e expr) (v any, ok bool) {
	if c, is := e.(*constExpr); is {
		return c.value, true
	}
	x := &exec{limits: foldLimits, filters: filters, tests: tests, folding: f, autoescape: f.autoescape}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case impossible, fault:
			f.impossible[e] = true
			v, ok = nil, false
		default:
			panic(p)
		}
		f.bytes, f.steps = f.bytes+x.bytes, f.steps+x.steps
		if f.bytes > maxFoldBytes || f.steps > maxFoldSteps {
			overLimit("the template has too many constant expressions, or too large ones")
		}
	}()
	return x.eval(e, nil), true
}

// contextFilters are those that the compiler leaves to the running template.
var contextFilters = map[string]bool{
	"map": true, "select": true, "reject": true, "selectattr": true, "rejectattr": true, "random": true,
}

// foldable panics where the compiler does not evaluate e.
func (f *folder) foldable(e expr) {
	if f.impossible[e] {
		panic(impossible{})
	}
	switch e := e.(type) {
	case *nameExpr, *callExpr, *sliceExpr:
		panic(impossible{})
	case *filterExpr:
		if e.of == nil || contextFilters[e.name] {
			panic(impossible{})
		}
	}
}

func (f *folder) statements(list []node) {
	for _, n := range list {
		f.statement(n)
	}
}

func (f *folder) statement(n node) {
	switch n := n.(type) {
	case *outputNode:
		f.output(n)
	case *ifNode:
		for i := range n.branches {
			n.branches[i].test = f.expr(n.branches[i].test, false)
			f.statements(n.branches[i].body)
		}
		f.statements(n.orElse)
	case *forNode:
		n.over, n.test = f.expr(n.over, false), f.expr(n.test, false)
		f.statements(n.nodes)
		f.statements(n.orElse.nodes)
	case *setNode:
		n.value = f.expr(n.value, false)
	case *setBlock:
		n.filter = f.expr(n.filter, false)
		f.statements(n.nodes)
	case *withNode:
		f.exprs(n.values, false)
		f.statements(n.nodes)
	case *macroNode:
		f.exprs(n.defaults, false)
		f.statements(n.nodes)
	case *callBlock:
		if n.call != nil {
			f.expr(n.call, false)
		}
		f.statement(n.body)
	case *filterBlock:
		n.filter = f.expr(n.filter, false)
		f.statements(n.nodes)
	case *autoescapeNode:
		f.autoescapeBlock(n)
	case *blockNode:
		outer := f.autoescape
		f.autoescape = false
		f.statements(n.nodes)
		f.autoescape = outer
	case *loadNode:
		n.template = f.expr(n.template, false)
	}
}

func (f *folder) autoescapeBlock(n *autoescapeNode) {
	n.value = f.expr(n.value, false)
	v, ok := f.constant(n.value)
	n.on, n.unknown = ok && truth(v), !ok
	outer := f.autoescape
	f.autoescape = n.on
	f.statements(n.nodes)
	f.autoescape = outer
}

// output evaluates a print statement whose value is constant, with the text that it has.
func (f *folder) output(n *outputNode) {
	if v, ok := f.constant(n.of); ok {
		if n.value, n.constant = f.text(v); n.constant {
			return
		}
	}
	n.of = f.expr(n.of, false)
}

// text is what a constant prints; ok is false where that fails or takes too much.
func (f *folder) text(v any) (text any, ok bool) {
	x := &exec{limits: foldLimits}
	defer func() {
		if p := recover(); p != nil {
			if _, is := p.(fault); !is {
				panic(p)
			}
			text, ok = nil, false
		}
		f.bytes += x.bytes
	}()
	return sameKind(v, str(x, v)), true
}

func (f *folder) exprs(list []expr, inside bool) {
	for i := range list {
		list[i] = f.expr(list[i], inside)
	}
}

// expr returns e with its constant parts replaced, the inner ones first. inside: e is part of an expression that
// jinja2's optimizer reads.
func (f *folder) expr(e expr, inside bool) expr {
	switch e := e.(type) {
	case nil, *constExpr, *nameExpr:
		return e
	case *listExpr:
		f.exprs(e.items, inside)
	case *tupleExpr:
		f.exprs(e.items, inside)
	case *sliceExpr:
		e.from, e.to, e.step = f.expr(e.from, true), f.expr(e.to, true), f.expr(e.step, true)
		return e
	case *dictExpr:
		f.exprs(e.keys, inside)
		f.exprs(e.values, inside)
		if inside {
			f.checkKeys(e)
		}
	default:
		f.parts(e)
	}
	if v, ok := f.constant(e); ok {
		if c, ok := literalOf(v); ok {
			return c
		}
	}
	return e
}

// parts folds the parts of an expression that the optimizer reads.
func (f *folder) parts(e expr) {
	switch e := e.(type) {
	case *attrExpr:
		e.of = f.expr(e.of, true)
	case *itemExpr:
		e.of, e.at = f.expr(e.of, true), f.expr(e.at, true)
	case *callExpr:
		e.of = f.expr(e.of, true)
		f.arguments(&e.args)
	case *filterExpr:
		e.of = f.expr(e.of, true)
		f.arguments(&e.args)
	case *testExpr:
		e.of = f.expr(e.of, true)
		f.arguments(&e.args)
	case *unaryExpr:
		e.of = f.expr(e.of, true)
	case *binaryExpr:
		e.left, e.right = f.expr(e.left, true), f.expr(e.right, true)
	case *logicExpr:
		e.left, e.right = f.expr(e.left, true), f.expr(e.right, true)
	case *compareExpr:
		e.first = f.expr(e.first, true)
		f.exprs(e.rest, true)
	case *concatExpr:
		f.exprs(e.parts, true)
	case *condExpr:
		e.test, e.then, e.orElse = f.expr(e.test, true), f.expr(e.then, true), f.expr(e.orElse, true)
	}
}

func (f *folder) arguments(a *arguments) {
	f.exprs(a.positional, true)
	f.exprs(a.named, true)
	a.star, a.starStar = f.expr(a.star, true), f.expr(a.starStar, true)
}

// checkKeys raises what the optimizer does not catch: a constant dict with a key that cannot be one.
func (f *folder) checkKeys(d *dictExpr) {
	for i, k := range d.keys {
		key, ok := f.constant(k)
		if !ok {
			return
		}
		if _, ok := f.constant(d.values[i]); !ok {
			return
		}
		hashKey(key)
	}
}

// literal is what jinja2 writes of a constant into its code.
type literal struct {
	left     int  // values that may still be read: parts of a constant can be shared, and a text of it large
	infinite bool // a float in it has no literal in Python
	tooLong  bool // an integer in it has more digits than Python writes
}

// read tells whether the compiler can write v into its code.
func (l *literal) read(v any) bool {
	if l.left--; l.left < 0 {
		return false
	}
	switch v := v.(type) {
	case nil, bool, int, *rangeValue, string, markup:
		return true
	case *big.Int:
		l.tooLong = l.tooLong || !tryPython(func() { decimal(v) }, "ValueError")
		return true
	case float64:
		l.infinite = l.infinite || v-v != 0
		return true
	case *List:
		return l.readAll(v.Items)
	case *Tuple:
		return !v.named && l.readAll(v.Items)
	case *Dict:
		return l.readAll(v.keys) && l.readAll(v.values)
	}
	return false
}

func (l *literal) readAll(items []any) bool {
	for _, v := range items {
		if !l.read(v) {
			return false
		}
	}
	return true
}

// literalOf makes a constant expression of v; ok is false if it has no literal.
func literalOf(v any) (c *constExpr, ok bool) {
	l := &literal{left: maxLiteral}
	ok = l.read(v)
	return &constExpr{value: v, infinite: l.infinite, tooLong: l.tooLong}, ok
}

const maxLiteral = 10_000
