package source

import "strings"

// Operators of Java, casts and lambdas.

var javaBinary = []string{
	">>>", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+", "-", "*", "/", "%", "&", "|", "^", "<", ">",
}

var javaAssign = []string{">>>=", "<<=", ">>=", "+=", "-=", "*=", "/=", "&=", "|=", "^=", "%=", "="}

// expression reads operands with operators between them. How they bind does not matter for their text.
func (p *java) expression() *node {
	if !p.enter() {
		return p.fail()
	}
	defer p.leave()
	p.skip()
	start := p.pos
	n, turns := p.operand(), 0
	for p.again(&turns) {
		if p.at("?") {
			q := p.want("?")
			yes := p.expression()
			colon := p.want(":")
			n = p.span(joined, start, n, q, yes, colon, p.expression())
			continue
		}
		if p.word() == "instanceof" {
			op := p.advance(leaf, len("instanceof"))
			n = p.span(joined, start, n, op, p.typ())
			continue
		}
		if p.assigns() {
			break
		}
		op := p.token(javaBinary...)
		if op == nil {
			break
		}
		n = p.span(joined, start, n, op, p.operand())
	}
	return n
}

// assigns reports whether an operator of assignment is next.
func (p *java) assigns() bool {
	for _, op := range javaAssign {
		if p.at(op) {
			return op != "=" || !p.at("==")
		}
	}
	return false
}

// operand reads prefix operators and casts, a primary, and what may follow an assignable one.
func (p *java) operand() *node {
	if !p.enter() {
		return p.fail()
	}
	defer p.leave()
	p.skip()
	start := p.pos
	if op := p.token("++", "--", "+", "-", "!", "~"); op != nil {
		return p.span(joined, start, op, p.operand())
	}
	if n := p.castOrLambda(); n != nil {
		return n
	}
	n := p.primary()
	switch {
	case p.bad:
		return n
	case n.kind == ident && p.at("->"):
		arrow := p.want("->")
		return p.span(joined, start, n, arrow, p.body())
	case (n.kind == ident || n.kind == member || n.kind == index) && p.assigns():
		op := p.token(javaAssign...)
		return p.span(assign, start, n, op, p.expression())
	}
	if op := p.token("++", "--"); op != nil {
		n = p.span(joined, start, n, op)
	}
	return n
}

// body reads the body of a lambda, an expression.
func (p *java) body() *node {
	if p.at("{") {
		return p.fail()
	}
	return p.expression()
}

// castOrLambda reads (T) x and (a, b) -> x. It returns nil if neither is next.
func (p *java) castOrLambda() *node {
	if !p.at("(") {
		return nil
	}
	before := p.parser
	start := p.pos
	if n := p.lambda(start); n != nil {
		return n
	}
	p.parser = before
	open := p.want("(")
	primitive := javaPrimitives[p.word()]
	t := p.typ()
	if closing := p.token(")"); !p.bad && closing != nil && (primitive || p.startsOperand()) {
		return p.span(joined, start, open, t, closing, p.operand())
	}
	p.parser = before
	return nil
}

func (p *java) lambda(start int) *node {
	kids := []*node{p.want("(")}
	for !p.at(")") && !p.bad {
		kids = append(kids, p.name())
		if comma := p.token(","); comma != nil {
			kids = append(kids, comma)
			if p.at(")") {
				return nil
			}
		} else if !p.at(")") {
			return nil
		}
	}
	kids = append(kids, p.want(")"))
	if p.bad || !p.at("->") {
		return nil
	}
	kids = append(kids, p.want("->"), p.body())
	return p.span(joined, start, kids...)
}

// startsOperand reports whether what is next cannot follow a parenthesized expression.
func (p *java) startsOperand() bool {
	if p.end() {
		return false
	}
	b := p.text[p.pos]
	return p.word() != "" && p.word() != "instanceof" || b >= '0' && b <= '9' || strings.IndexByte(`"'!~(`, b) >= 0
}
