package jinja

import (
	"slices"
	"strings"
)

// tupleRules are the places where a tuple without brackets may stand.
type tupleRules struct {
	condExpr  bool // a if b else c is allowed
	simple    bool // names and literals only, for targets
	namespace bool // targets may be ns.x
	brackets  bool // within brackets: an empty tuple is allowed
}

func (p *parser) tuple(rules tupleRules) expr {
	p.enter()
	defer p.leave()
	var items []expr
	isTuple := false
	for {
		if len(items) > 0 {
			p.expectOp(",")
		}
		if p.tupleEnds() {
			break
		}
		switch {
		case rules.simple:
			items = append(items, p.primary(rules.namespace))
		case rules.condExpr || rules.brackets:
			items = append(items, p.expression())
		default:
			items = append(items, p.or())
		}
		if !p.isOp(",") {
			break
		}
		isTuple = true
	}
	if !isTuple {
		if len(items) > 0 {
			return items[0]
		}
		if !rules.brackets {
			t := p.current()
			p.fail(t.line, "Expected an expression, got %s", repr(t.describe()))
		}
	}
	return &tupleExpr{items}
}

// tupleEnds tells whether a tuple ends behind a comma. jinja2 means to stop at "in" and "recursive", too, but its
// check of these words never holds.
func (p *parser) tupleEnds() bool {
	switch p.current().kind {
	case tokenVariableEnd, tokenBlockEnd:
		return true
	}
	return p.isOp(")")
}

var constants = map[string]any{"true": true, "True": true, "false": false, "False": false, "none": nil, "None": nil}

// target parses what an assignment or a loop assigns to.
func (p *parser) target(rules tupleRules) expr {
	rules.simple = true
	line := p.current().line
	t := p.tuple(rules)
	p.checkTarget(t, line)
	return t
}

func (p *parser) checkTarget(t expr, line int) {
	var kind string
	switch t := t.(type) {
	case *nameExpr, *attrTarget:
		return
	case *tupleExpr:
		for _, item := range t.items {
			p.checkTarget(item, line)
		}
		return
	case *constExpr:
		kind = "const"
	case *listExpr:
		kind = "list"
	case *dictExpr:
		kind = "dict"
	default:
		kind = "expression"
	}
	p.fail(line, "can't assign to '%s'", kind)
}

// targetName parses a single name that is assigned to.
func (p *parser) targetName() string {
	t := p.expectName()
	if _, ok := constants[t.text]; ok {
		p.fail(t.line, "can't assign to 'name'")
	}
	return normalName(t.text)
}

func (p *parser) expression() expr {
	p.enter()
	defer p.leave()
	e := p.or()
	for p.skipName("if") {
		c := &condExpr{then: e, test: p.or()}
		if p.skipName("else") {
			c.orElse = p.expression()
		}
		e = c
	}
	return e
}

func (p *parser) or() expr {
	left := p.and()
	for n := 0; p.skipName("or"); n++ {
		p.chain(n)
		left = &logicExpr{false, left, p.and()}
	}
	return left
}

func (p *parser) and() expr {
	left := p.not()
	for n := 0; p.skipName("and"); n++ {
		p.chain(n)
		left = &logicExpr{true, left, p.not()}
	}
	return left
}

const maxChain = 1000 // operators of one kind, filters, attributes behind each other: levels when they are evaluated

func (p *parser) chain(n int) {
	if n >= maxChain {
		overLimit("line %d: more than %d operators of one kind in a row", p.current().line, maxChain)
	}
}

func (p *parser) not() expr {
	if !p.isName("not") {
		return p.compare()
	}
	p.enter()
	defer p.leave()
	line := p.next().line
	return &unaryExpr{line, "not", p.not()}
}

func (p *parser) compare() expr {
	line := p.current().line
	c := &compareExpr{line: line, first: p.sum()}
	for {
		t := p.current()
		op := t.text
		switch {
		case t.kind == tokenOperator && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, op):
			p.next()
		case p.skipName("in"):
			op = "in"
		case p.isName("not") && p.look().kind == tokenName && p.look().text == "in":
			p.next()
			p.next()
			op = "not in"
		case len(c.ops) == 0:
			return c.first
		default:
			return c
		}
		c.ops = append(c.ops, op)
		c.rest = append(c.rest, p.sum())
	}
}

// binary parses operands of one level that ops join, left to right.
func (p *parser) binary(operand func() expr, ops ...string) expr {
	line := p.current().line
	left := operand()
	for n := 0; p.current().kind == tokenOperator && slices.Contains(ops, p.current().text); n++ {
		p.chain(n)
		op := p.next().text
		left = &binaryExpr{line, op, left, operand()}
		line = p.current().line
	}
	return left
}

func (p *parser) sum() expr { return p.binary(p.concat, "+", "-") }

func (p *parser) concat() expr {
	c := &concatExpr{line: p.current().line, parts: []expr{p.product()}}
	for p.skipOp("~") {
		c.parts = append(c.parts, p.product())
	}
	if len(c.parts) == 1 {
		return c.parts[0]
	}
	return c
}

func (p *parser) product() expr { return p.binary(p.power, "*", "/", "//", "%") }

func (p *parser) power() expr {
	return p.binary(func() expr { return p.unary(true) }, "**")
}

func (p *parser) unary(withFilter bool) expr {
	p.enter()
	defer p.leave()
	t := p.current()
	var e expr
	if t.kind == tokenOperator && (t.text == "-" || t.text == "+") {
		p.next()
		e = &unaryExpr{t.line, t.text, p.unary(false)}
	} else {
		e = p.primary(false)
	}
	e = p.postfix(e)
	if withFilter {
		e = p.filterExpr(e)
	}
	return e
}

func (p *parser) primary(namespace bool) expr {
	t := p.current()
	switch {
	case t.kind == tokenName:
		p.next()
		if value, ok := constants[t.text]; ok {
			return &constExpr{value: value}
		}
		if namespace && p.skipOp(".") {
			return &attrTarget{line: t.line, name: normalName(t.text), attr: p.expectName().text}
		}
		return &nameExpr{line: t.line, name: normalName(t.text)}
	case t.kind == tokenString:
		var b strings.Builder
		for p.current().kind == tokenString {
			b.WriteString(p.next().text)
		}
		return &constExpr{value: b.String()}
	case t.kind == tokenNumber:
		return number(p.next().value)
	case p.skipOp("("):
		e := p.tuple(tupleRules{brackets: true})
		p.expectOp(")")
		return e
	case p.isOp("["):
		return p.list()
	case p.isOp("{"):
		return p.dict()
	}
	p.fail(t.line, "unexpected %s", repr(t.describe()))
	return nil
}

func number(v any) expr {
	c, _ := literalOf(v)
	return c
}

func (p *parser) list() expr {
	p.next()
	l := &listExpr{}
	for !p.isOp("]") {
		if len(l.items) > 0 {
			p.expectOp(",")
		}
		if p.isOp("]") {
			break
		}
		l.items = append(l.items, p.expression())
	}
	p.expectOp("]")
	return l
}

func (p *parser) dict() expr {
	p.next()
	d := &dictExpr{}
	for !p.isOp("}") {
		if len(d.keys) > 0 {
			p.expectOp(",")
		}
		if p.isOp("}") {
			break
		}
		d.keys = append(d.keys, p.expression())
		p.expectOp(":")
		d.values = append(d.values, p.expression())
	}
	p.expectOp("}")
	return d
}

func (p *parser) postfix(e expr) expr {
	for n := 0; ; n++ {
		p.chain(n)
		switch {
		case p.isOp("."):
			e = p.attribute(e)
		case p.isOp("["):
			e = p.item(e)
		case p.isOp("("):
			e = p.call(e)
		default:
			return e
		}
	}
}

func (p *parser) filterExpr(e expr) expr {
	for n := 0; ; n++ {
		p.chain(n)
		switch {
		case p.isOp("|"):
			p.next()
			e = p.filter(e)
		case p.isName("is"):
			e = p.test(e)
		case p.isOp("("):
			e = p.call(e)
		default:
			return e
		}
	}
}
