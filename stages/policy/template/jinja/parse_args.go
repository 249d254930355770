package jinja

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
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
			a.names, a.named = append(a.names, p.keyword(name)), append(a.named, p.expression())
		default:
			ensure(a.star == nil && a.starStar == nil && len(a.named) == 0)
			a.positional = append(a.positional, p.expression())
		}
	}
	p.expectOp(")")
	a.repeated(line)
	return a
}

// keyword is the name of an argument, which becomes Python code.
func (p *parser) keyword(name string) string {
	if name == "_loop_vars" || name == "_block_vars" || name == "__debug__" {
		unsupported("an argument called %s", name)
	}
	return normalName(name)
}

// normalName refuses a name that Python writes in another way: two of them could be one variable.
func normalName(name string) string {
	if !norm.NFKC.IsNormalString(name) {
		unsupported("the name %s, which is not in Unicode's normal form KC", repr(name))
	}
	return name
}

// repeated raises what Python's compiler says of an argument that is there twice. If one of them is a keyword of
// Python, jinja2 writes a dict, in which the last one wins.
func (a *arguments) repeated(line int) {
	for i := 0; i < len(a.names); i++ {
		first := slices.Index(a.names, a.names[i])
		if first == i {
			continue
		}
		if !slices.ContainsFunc(a.names, isKeyword) {
			raiseAt(line, "SyntaxError", "keyword argument repeated: %s", a.names[i])
		}
		a.named[first] = a.named[i]
		a.names, a.named = slices.Delete(a.names, i, i+1), slices.Delete(a.named, i, i+1)
		i--
	}
}

// keywords are Python's, which no argument can be named after.
var keywords = strings.Fields("False None True and as assert async await break class continue def del elif else " +
	"except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield")

func isKeyword(name string) bool { return slices.Contains(keywords, name) }

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
