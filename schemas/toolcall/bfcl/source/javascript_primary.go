package source

import (
	"regexp"
	"strings"
)

// Atoms of JavaScript, and the properties, calls and subscripts that follow them.

// primary reads an atom and what follows it.
func (p *script) primary() *node {
	p.skip()
	start := p.pos
	n, turns := p.atom(), 0
	for p.again(&turns) {
		switch {
		case p.at("?.") && !(p.pos+2 < len(p.text) && p.text[p.pos+2] >= '0' && p.text[p.pos+2] <= '9'):
			n = p.optional(n, start)
		case p.at("..."):
			return p.fail()
		case p.at("."):
			dot := p.want(".")
			n = p.span(member, start, n, dot, p.property())
		case p.at("["):
			open := p.want("[")
			at := p.sequence()
			n = p.span(index, start, n, open, at, p.want("]"))
		case p.at("("):
			n = p.span(call, start, n, p.list())
		case p.at("`"):
			n = p.span(call, start, n, p.template())
		default:
			return n
		}
	}
	return n
}

func (p *script) property() *node {
	if p.at("#") {
		return p.fail()
	}
	w := p.word()
	if w == "" {
		return p.fail()
	}
	return p.advance(ident, len(w))
}

// optional reads what follows "?.".
func (p *script) optional(n *node, start int) *node {
	chain := p.want("?.")
	switch {
	case p.at("("):
		return p.span(call, start, n, chain, p.list())
	case p.at("["):
		open := p.want("[")
		at := p.sequence()
		return p.span(index, start, n, chain, open, at, p.want("]"))
	}
	return p.span(member, start, n, chain, p.property())
}

// list reads arguments, which may be left out between commas.
func (p *script) list() *node {
	p.skip()
	start := p.pos
	p.want("(")
	n := &node{kind: list, start: start}
	for !p.at(")") && !p.bad {
		if !p.at(",") {
			n.kids = append(n.kids, p.element())
		}
		if !p.take(",") && !p.at(")") {
			p.fail()
		}
	}
	p.want(")")
	n.end = p.last
	return n
}

// element reads an expression, perhaps behind three dots.
func (p *script) element() *node {
	p.skip()
	start := p.pos
	if dots := p.token("..."); dots != nil {
		return p.span(joined, start, dots, p.expression())
	}
	return p.expression()
}

var (
	scriptNumbers = expressions(
		`0[xX][\da-fA-F](_?[\da-fA-F])*n?`, `0[bB][01](_?[01])*n?`, `0[oO][0-7](_?[0-7])*n?`, `\d(_?\d)*n?`,
		`(0|0?[1-9](_?\d(_?\d)*)?)\.(\d(_?\d)*)?([eE][+-]?\d(_?\d)*)?`, `\.\d(_?\d)*([eE][+-]?\d(_?\d)*)?`,
		`(0|0?[1-9](_?\d(_?\d)*)?)[eE][+-]?\d(_?\d)*`)
	scriptEscape = `\\([^xu0-7]|[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]+\}|\r\n)`
	// A line end is allowed before the closing quote.
	scriptTexts = expressions(
		`"([^"\\\r\n]|`+scriptEscape+`)*([\r\n]\s*)?"`, `'([^'\\\r\n]|`+scriptEscape+`)*([\r\n]\s*)?'`)
	scriptRegex = expressions(`/(\[([^\]\n\\]|\\.)*\]|\\.|[^/\\\[\n*])(\[([^\]\n\\]|\\.)*\]|\\.|[^/\\\[\n])*/[a-z]*`)
	scriptTick  = expressions("([^`\\\\$]|" + scriptEscape + `)+`)
)

func (p *script) atom() *node {
	if p.end() {
		return p.fail()
	}
	start, rest := p.pos, p.text[p.pos:]
	if n := longestOf(scriptNumbers, rest); n > 0 {
		return p.advance(leaf, n)
	}
	switch rest[0] {
	case '"', '\'':
		return p.matched(scriptTexts, rest)
	case '/':
		return p.matched(scriptRegex, rest)
	case '`':
		return p.template()
	case '(':
		open := p.want("(")
		n := p.sequence()
		return p.span(joined, start, open, n, p.want(")"))
	case '[':
		return p.elements(start)
	case '{':
		return p.object(start)
	}
	switch word := p.word(); word {
	case "true":
		return p.advance(truth, len(word))
	case "false", "null", "this", "undefined":
		return p.advance(leaf, len(word))
	case "new":
		return p.creation()
	case "function":
		return p.function(start)
	case "async":
		return p.async(start)
	}
	return p.name()
}

func (p *script) matched(all []*regexp.Regexp, rest string) *node {
	if n := longestOf(all, rest); n > 0 {
		return p.advance(literal, n)
	}
	return p.fail()
}

// async reads an asynchronous function, or the identifier.
func (p *script) async(start int) *node {
	n := p.advance(ident, len("async"))
	if p.word() == "function" {
		return p.function(start)
	}
	return n
}

func (p *script) function(start int) *node {
	p.advance(leaf, len("function"))
	p.take("*")
	if !p.at("(") {
		p.name()
	}
	p.parameters()
	p.block()
	return p.span(joined, start)
}

// creation reads new T and new T(…).
func (p *script) creation() *node {
	if !p.enter() {
		return p.fail()
	}
	defer p.leave()
	p.skip()
	start := p.pos
	p.advance(leaf, len("new"))
	if p.at(".") {
		return p.fail()
	}
	if p.word() == "new" {
		p.creation()
	} else {
		p.constructor()
	}
	if p.at("(") {
		p.list()
	}
	return p.span(joined, start)
}

// constructor reads what stands behind new: an atom with properties, but no call.
func (p *script) constructor() {
	for p.atom(); !p.bad; {
		switch {
		case p.at("?.") || p.at("`"):
			p.fail()
		case p.at("."):
			p.want(".")
			p.property()
		case p.at("["):
			p.want("[")
			p.sequence()
			p.want("]")
		default:
			return
		}
	}
}

func (p *script) template() *node {
	p.skip()
	start := p.pos
	p.want("`")
	for !p.bad && p.pos < len(p.text) {
		rest := p.text[p.pos:]
		switch {
		case rest[0] == '`':
			p.advance(leaf, 1)
			return p.span(joined, start)
		case strings.HasPrefix(rest, "${"):
			p.advance(leaf, 2)
			p.sequence()
			p.want("}")
		case rest[0] == '$':
			p.advance(leaf, 1)
		default:
			n := longestOf(scriptTick, rest)
			if n == 0 {
				return p.fail()
			}
			p.advance(leaf, n)
		}
	}
	return p.fail()
}

func (p *script) elements(start int) *node {
	for p.want("["); !p.at("]") && !p.bad; {
		if !p.at(",") {
			p.element()
		}
		if !p.take(",") && !p.at("]") {
			p.fail()
		}
	}
	p.want("]")
	return p.span(joined, start)
}

// object reads pairs, names and spread elements; no methods.
func (p *script) object(start int) *node {
	for p.want("{"); !p.at("}") && !p.bad; {
		p.entry()
		if !p.take(",") && !p.at("}") {
			p.fail()
		}
	}
	p.want("}")
	return p.span(joined, start)
}

func (p *script) entry() {
	switch {
	case p.at(","):
		return
	case p.at("..."):
		p.element()
		return
	case p.at("["):
		p.want("[")
		p.expression()
		p.want("]")
	default:
		rest := p.text[p.pos:]
		if n := max(longestOf(scriptNumbers, rest), longestOf(scriptTexts, rest)); n > 0 {
			p.advance(leaf, n)
			break
		}
		word := p.word()
		if p.property(); (p.at(",") || p.at("}")) && !scriptStatements[word] && !scriptWords[word] {
			return
		}
	}
	p.want(":")
	p.expression()
}
