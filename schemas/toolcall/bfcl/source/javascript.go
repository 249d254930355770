package source

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"itool/schemas/toolcall"
)

// JavaScript reads an answer to a question about JavaScript. The name of an argument without one is "".
func JavaScript(raw string) ([]toolcall.Call, error) {
	text, err := inside(raw)
	if err != nil {
		return nil, err
	}
	if strings.Contains(text, "<!--") || strings.Contains(text, "-->") {
		return nil, ErrRefused // comments of HTML
	}
	p := &script{newParser(text, scriptBlank)}
	found := p.program()
	if p.bad {
		return nil, ErrRefused
	}
	if found == nil {
		return nil, ErrNoCall
	}
	made := toolcall.Call{Name: p.source(found.kids[0])}
	if args := found.kids[1]; args.kind == list {
		for _, a := range args.kids {
			if a.kind == assign && p.commented(a.start, a.end) {
				return nil, ErrRefused
			}
		}
		name := func(n *node) (string, error) { return p.source(n), nil }
		value := func(n *node) (string, error) { return unquote(p.source(n)), nil }
		if made.Args, err = p.arguments(args, name, value); err != nil {
			return nil, err
		}
	}
	return []toolcall.Call{made}, nil
}

func (p *script) source(n *node) string { return p.text[n.start:n.end] }

// unquote removes the quotes of a text that begins and ends with the same one.
func unquote(s string) string {
	if last := len(s) - 1; last > 0 && s[0] == s[last] && (s[0] == '"' || s[0] == '\'') {
		return s[1:last]
	}
	return s
}

type script struct{ parser }

// scriptBlank is the length of the blank at the beginning of s, 0 if there is none.
func scriptBlank(s string) int {
	r, size := utf8.DecodeRuneInString(s)
	if r == ' ' || r >= '\t' && r <= '\r' || r > 0x7f && (unicode.Is(unicode.Zs, r) ||
		strings.ContainsRune(oddBlanks, r)) {
		return size
	}
	return 0
}

const oddBlanks = "\ufeff\u2028\u2029\u2060\u200b"

// program reads expressions with ";" between them, and returns the first that is a call.
func (p *script) program() *node {
	var found *node
	for !p.end() && !p.bad {
		if p.take(";") {
			continue
		}
		n := p.statement()
		if n.kind == call && found == nil {
			found = n
		}
		if !p.take(";") && !p.end() && !p.lineEnded() {
			p.fail()
		}
	}
	return found
}

// lineEnded reports whether a line end stands before the next word: it ends the statement.
func (p *script) lineEnded() bool {
	w := p.word()
	between := p.text[p.last:p.pos]
	return w != "" && w != "in" && w != "instanceof" && strings.ContainsAny(between, "\n\u2028\u2029")
}

// statement reads a statement that is an expression or a sequence of them.
func (p *script) statement() *node {
	if word := p.word(); scriptStatements[word] || word == "async" || word == "let" {
		return p.fail()
	}
	if p.at("{") { // an object if nothing follows it; a block otherwise
		if n := p.atom(); p.end() {
			return n
		}
		return p.fail()
	}
	return p.sequence()
}

// scriptStatements are words that begin other statements, or other expressions than are read.
var scriptStatements = words("break case catch class const continue debugger default do else enum export extends " +
	"finally for " +
	"function if import return static switch throw try var while with yield super in instanceof")

// word is the identifier that is next, "" if none is.
func (p *script) word() string {
	p.skip()
	end := p.pos
	for end < len(p.text) {
		r, size := utf8.DecodeRuneInString(p.text[end:])
		if r <= ' ' || strings.ContainsRune(":;`\"'@#.,|^&<=>+-*/\\%?!~()[]{}", r) || scriptBlank(p.text[end:]) > 0 ||
			end == p.pos && r >= '0' && r <= '9' {
			break
		}
		end += size
	}
	if end < len(p.text) && p.text[end] == '\\' { // an escape in an identifier
		p.bad = true
	}
	return p.text[p.pos:end]
}

// name takes an identifier.
func (p *script) name() *node {
	w := p.word()
	if w == "" || scriptStatements[w] || scriptWords[w] {
		return p.fail()
	}
	return p.advance(ident, len(w))
}

// scriptWords are expressions or operators themselves.
var scriptWords = words("true false null this new typeof void delete await undefined")

func (p *script) sequence() *node {
	p.skip()
	start := p.pos
	n, turns := p.expression(), 0
	for p.at(",") && p.again(&turns) {
		comma := p.want(",")
		n = p.span(joined, start, n, comma, p.expression())
	}
	return n
}

var scriptBinary = []string{
	">>>", "===", "!==", "**", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "??", "+", "-", "*", "/", "%",
	"&", "|", "^",
	"<", ">",
}

var scriptAssign = []string{
	">>>=", "<<=", ">>=", "**=", "&&=", "||=", "??=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "=",
}

// assigns reports whether an operator of assignment is next.
func (p *script) assigns() bool {
	for _, op := range scriptAssign {
		if p.at(op) {
			return op != "=" || !p.at("==") && !p.at("=>")
		}
	}
	return false
}

// expression reads an arrow function, an assignment, or operands with operators between them.
func (p *script) expression() *node {
	if !p.enter() {
		return p.fail()
	}
	defer p.leave()
	p.skip()
	start := p.pos
	if n := p.arrow(start); n != nil {
		return n
	}
	n, assignable := p.operand()
	if !p.bad && assignable && p.assigns() {
		k := joined
		if p.at("=") {
			k = assign
		}
		op := p.token(scriptAssign...)
		return p.span(k, start, n, op, p.expression())
	}
	for turns := 0; p.again(&turns); {
		if p.at("?") && !p.at("??") {
			q := p.want("?")
			yes := p.expression()
			colon := p.want(":")
			return p.span(joined, start, n, q, yes, colon, p.expression())
		}
		op := p.binary()
		if op == nil {
			break
		}
		right, _ := p.operand()
		n = p.span(joined, start, n, op, right)
	}
	return n
}

func (p *script) binary() *node {
	if w := p.word(); w == "in" || w == "instanceof" {
		return p.advance(leaf, len(w))
	}
	if p.assigns() {
		return nil
	}
	return p.token(scriptBinary...)
}

// arrow reads x => y, (x, y) => z and async ones. It returns nil if none is next.
func (p *script) arrow(start int) *node {
	before := p.parser
	if p.word() == "async" {
		p.advance(leaf, len("async"))
	}
	if p.at("(") {
		p.parameters()
	} else {
		p.name()
	}
	if p.bad || !p.at("=>") {
		p.parser = before
		return nil
	}
	p.want("=>")
	if p.at("{") {
		p.block()
	} else {
		p.expression()
	}
	return p.span(joined, start)
}

// parameters reads names, with defaults or three dots.
func (p *script) parameters() {
	for p.want("("); !p.at(")") && !p.bad; {
		if p.take("...") {
			p.name()
		} else if p.name(); p.at("=") && !p.at("==") && !p.at("=>") {
			p.want("=")
			p.expression()
		}
		if !p.take(",") && !p.at(")") {
			p.fail()
		}
	}
	p.want(")")
}

// block reads a body of expressions and returns.
func (p *script) block() {
	if !p.enter() {
		return
	}
	defer p.leave()
	for p.want("{"); !p.at("}") && !p.bad; {
		if p.take(";") {
			continue
		}
		if p.word() == "return" {
			start := p.pos
			p.advance(leaf, len("return"))
			if p.skip(); strings.ContainsAny(p.text[start:p.pos], "\n\r\u2028\u2029") {
				p.fail() // a line end behind return ends it
			}
			if p.at(";") || p.at("}") {
				continue
			}
			p.sequence()
		} else {
			p.statement()
		}
		if !p.take(";") && !p.at("}") && !p.lineEnded() {
			p.fail()
		}
	}
	p.want("}")
}

// operand reads prefix operators and a primary. assignable tells whether it may stand before "=".
func (p *script) operand() (n *node, assignable bool) {
	if !p.enter() {
		return p.fail(), false
	}
	defer p.leave()
	p.skip()
	start := p.pos
	op := p.token("++", "--", "+", "-", "!", "~")
	if w := p.word(); op == nil && (w == "typeof" || w == "void" || w == "delete" || w == "await") {
		op = p.advance(leaf, len(w))
	}
	if op != nil {
		inner, _ := p.operand()
		return p.span(joined, start, op, inner), false
	}
	n = p.primary()
	assignable = n.kind == ident || n.kind == member || n.kind == index
	if op := p.token("++", "--"); op != nil {
		n, assignable = p.span(joined, start, n, op), false
	}
	return n, assignable
}
