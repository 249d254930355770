package jinja

import (
	"slices"
)

func (p *parser) attribute(e expr) expr {
	line := p.next().line
	t := p.next()
	switch {
	case t.kind == tokenName:
		return &attrExpr{line, e, t.text}
	case t.kind == tokenNumber && t.whole:
		return &itemExpr{line, e, number(t.value)}
	}
	p.fail(t.line, "expected name or number")
	return nil
}

func (p *parser) item(e expr) expr {
	line := p.next().line
	var at []expr
	for !p.isOp("]") {
		if len(at) > 0 {
			p.expectOp(",")
		}
		at = append(at, p.subscript())
	}
	p.expectOp("]")
	if len(at) == 1 {
		return &itemExpr{line, e, at[0]}
	}
	return &itemExpr{line, e, &tupleExpr{at}}
}

func (p *parser) subscript() expr {
	s := &sliceExpr{}
	if !p.isOp(":") {
		e := p.expression()
		if !p.isOp(":") {
			return e
		}
		s.from = e
	}
	p.next()
	part := func() expr {
		if p.isOp(":") || p.isOp("]") || p.isOp(",") {
			return nil
		}
		return p.expression()
	}
	s.to = part()
	if p.skipOp(":") {
		s.step = part()
	}
	return s
}

func (p *parser) call(e expr) expr {
	line := p.current().line
	return &callExpr{line, e, p.arguments()}
}

func (p *parser) arguments() (a arguments) {
	line := p.expectOp("(").line
	ensure := func(ok bool) {
		if !ok {
			p.fail(line, "invalid syntax for function call expression")
		}
	}
	for first := true; !p.isOp(")"); first = false {
		if !first {
			p.expectOp(",")
			if p.isOp(")") {
				break
			}
		}
		switch {
		case p.isOp("*"):
			ensure(a.star == nil && a.starStar == nil)
			p.next()
			a.star = p.expression()
		case p.isOp("**"):
			ensure(a.starStar == nil)
			p.next()
			a.starStar = p.expression()
		case p.current().kind == tokenName && p.look().kind == tokenOperator && p.look().text == "=":
			ensure(a.starStar == nil)
			name := p.next().text
			p.next()
			if slices.Contains(a.names, name) {
				raiseAt(line, "SyntaxError", "keyword argument repeated: %s", name)
			}
			a.names, a.named = append(a.names, name), append(a.named, p.expression())
		default:
			ensure(a.star == nil && a.starStar == nil && len(a.named) == 0)
			a.positional = append(a.positional, p.expression())
		}
	}
	p.expectOp(")")
	return a
}

// dotted reads a name with dots, as filters and tests may have.
func (p *parser) dotted() string {
	name := p.expectName().text
	for p.skipOp(".") {
		name += "." + p.expectName().text
	}
	return name
}

// filters parses "| name(…)" as often as it stands there.
func (p *parser) filters(e expr) expr {
	for n := 0; p.skipOp("|"); n++ {
		p.chain(n)
		e = p.filter(e)
	}
	return e
}

// filter parses a filter's name and arguments.
func (p *parser) filter(of expr) expr {
	f := &filterExpr{line: p.current().line, of: of, name: p.dotted()}
	if p.isOp("(") {
		f.args = p.arguments()
	}
	return f
}

func (p *parser) test(of expr) expr {
	line := p.next().line
	negated := p.skipName("not")
	t := &testExpr{line: line, of: of, name: p.dotted()}
	c := p.current()
	switch {
	case p.isOp("("):
		t.args = p.arguments()
	case c.kind == tokenName && !slices.Contains([]string{"else", "or", "and"}, c.text),
		c.kind == tokenString, c.kind == tokenNumber, p.isOp("["), p.isOp("{"):
		if c.kind == tokenName && c.text == "is" {
			p.fail(c.line, "You cannot chain multiple tests with is")
		}
		t.args.positional = []expr{p.postfix(p.primary(false))}
	}
	if negated {
		return &unaryExpr{line, "not", t}
	}
	return t
}
