package jinja

import (
	"math/big"
)

// jinja2 evaluates constant expressions when it compiles (nodes.py: as_const). That shows in three
// ways: "and", "or", comparisons and conditional expressions that their first operand decides are constant, and
// the rest is not looked at; an item or a slice that a constant does not have is undefined, where the running template
// raises; and a float that is infinite or not a number becomes code that Python cannot run.

// output makes the node of a print statement.
func output(line int, of expr) *outputNode { return &outputNode{line: line, of: of} }

// impossible ends the evaluation of an expression that is not constant.
type impossible struct{}

// foldLimits bound the evaluation of one constant expression.
var foldLimits = Limits{Steps: 20_000, Bytes: 1 << 20, Output: 1, Depth: 1}

// asConstant evaluates e as the compiler does. ok is false where the running template has to.
func asConstant(e expr) (v any, ok bool) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case impossible, fault:
			v, ok = nil, false
		default:
			panic(p)
		}
	}()
	x := &exec{limits: foldLimits, filters: filters, tests: tests, folding: true}
	return x.eval(e, nil), true
}

// contextFilters are those that the compiler leaves to the running template.
var contextFilters = map[string]bool{
	"map": true, "select": true, "reject": true, "selectattr": true, "rejectattr": true, "random": true,
}

// foldable panics where the compiler does not evaluate e.
func foldable(e expr) {
	switch e := e.(type) {
	case *nameExpr, *callExpr:
		panic(impossible{})
	case *filterExpr:
		if e.of == nil || contextFilters[e.name] {
			panic(impossible{})
		}
	}
}

// fold replaces the constant parts of statements.
func fold(body []node) {
	for _, n := range body {
		foldStatement(n)
	}
}

func foldStatement(n node) {
	switch n := n.(type) {
	case *outputNode:
		n.of = foldExpr(n.of)
		if v, ok := asConstant(n.of); ok {
			n.value, n.constant = v, true
		}
	case *ifNode:
		for i := range n.branches {
			n.branches[i].test = foldExpr(n.branches[i].test)
			fold(n.branches[i].body)
		}
		fold(n.orElse)
	case *forNode:
		n.over, n.test = foldExpr(n.over), foldExpr(n.test)
		fold(n.body)
		fold(n.orElse)
	case *setNode:
		n.value = foldExpr(n.value)
	case *setBlock:
		n.filter = foldExpr(n.filter)
		fold(n.body)
	case *withNode:
		foldAll(n.values)
		fold(n.body)
	case *macroNode:
		foldAll(n.defaults)
		fold(n.body)
	case *callBlock:
		if n.call != nil {
			foldExpr(n.call)
		}
		foldStatement(n.body)
	case *filterBlock:
		n.filter = foldExpr(n.filter)
		fold(n.body)
	case *scopeNode:
		if !n.autoescape { // there filters compute something else: it is left to the running template
			fold(n.body)
		}
	}
}

func foldAll(list []expr) {
	for i := range list {
		list[i] = foldExpr(list[i])
	}
}

// foldExpr returns e with its constant parts replaced, the inner ones first.
func foldExpr(e expr) expr {
	switch e := e.(type) {
	case nil, *constExpr, *nameExpr:
		return e
	case *listExpr:
		foldAll(e.items)
	case *tupleExpr:
		foldAll(e.items)
	case *dictExpr:
		foldAll(e.keys)
		foldAll(e.values)
	case *attrExpr:
		e.of = foldExpr(e.of)
	case *itemExpr:
		e.of = foldExpr(e.of)
		if s, ok := e.at.(*sliceExpr); ok {
			s.from, s.to, s.step = foldExpr(s.from), foldExpr(s.to), foldExpr(s.step)
		} else {
			e.at = foldExpr(e.at)
		}
	case *callExpr:
		e.of = foldExpr(e.of)
		e.args.fold()
	case *filterExpr:
		e.of = foldExpr(e.of)
		e.args.fold()
	case *testExpr:
		e.of = foldExpr(e.of)
		e.args.fold()
	case *unaryExpr:
		e.of = foldExpr(e.of)
	case *binaryExpr:
		e.left, e.right = foldExpr(e.left), foldExpr(e.right)
	case *logicExpr:
		e.left, e.right = foldExpr(e.left), foldExpr(e.right)
	case *compareExpr:
		e.first = foldExpr(e.first)
		foldAll(e.rest)
	case *concatExpr:
		foldAll(e.parts)
	case *condExpr:
		e.test, e.then, e.orElse = foldExpr(e.test), foldExpr(e.then), foldExpr(e.orElse)
	}
	if v, ok := asConstant(e); ok && hasLiteral(v) {
		return &constExpr{value: v, infinite: infinite(v)}
	}
	return e
}

func (a *arguments) fold() {
	foldAll(a.positional)
	foldAll(a.named)
	a.star, a.starStar = foldExpr(a.star), foldExpr(a.starStar)
}

// hasLiteral tells whether the compiler can write v into its code.
func hasLiteral(v any) bool {
	switch v := v.(type) {
	case nil, bool, int, *big.Int, float64, *rangeValue, string, markup:
		return true
	case *List:
		return allLiteral(v.Items)
	case *Tuple:
		return !v.named && allLiteral(v.Items)
	case *Dict:
		return allLiteral(v.keys) && allLiteral(v.values)
	}
	return false
}

func allLiteral(items []any) bool {
	for _, v := range items {
		if !hasLiteral(v) {
			return false
		}
	}
	return true
}

// infinite tells whether v is a float that Python has no literal for, or holds one.
func infinite(v any) bool {
	any := func(items []any) bool {
		for _, item := range items {
			if infinite(item) {
				return true
			}
		}
		return false
	}
	switch v := v.(type) {
	case float64:
		return v-v != 0
	case *List:
		return any(v.Items)
	case *Tuple:
		return any(v.Items)
	case *Dict:
		return any(v.keys) || any(v.values)
	}
	return false
}
