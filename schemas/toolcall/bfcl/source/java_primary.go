package source

import (
	"regexp"
	"strings"
)

// Atoms of Java, and the properties, calls and subscripts that follow them.

// primary reads an atom and what follows it.
func (p *java) primary() *node {
	p.skip()
	start := p.pos
	n, turns := p.atom(), 0
	for p.again(&turns) {
		switch {
		case p.at("::"):
			op := p.want("::")
			if p.word() == "new" {
				n = p.span(joined, start, n, op, p.advance(leaf, 3))
				continue
			}
			n = p.span(joined, start, n, op, p.name())
		case p.at("..."):
			return p.fail()
		case p.at("."):
			n = p.afterDot(n, start, p.want("."))
		case p.at("["):
			open := p.want("[")
			at := p.expression()
			n = p.span(index, start, n, open, at, p.want("]"))
		case p.at("(") && (n.kind == ident || n.kind == member):
			if last := n; last.kind == member && last.kids[len(last.kids)-1].kind != ident {
				return p.fail()
			}
			n = p.span(call, start, n, p.list())
			n.end = p.last
		default:
			return n
		}
	}
	return n
}

func (p *java) afterDot(n *node, start int, dot *node) *node {
	switch word := p.word(); word {
	case "this":
		return p.span(member, start, n, dot, p.advance(leaf, len(word)))
	case "new":
		return p.fail()
	case "class":
		if !typeLike(n) {
			return p.fail()
		}
		p.advance(leaf, len(word))
		return p.span(class, start)
	}
	var generic *node
	if p.at("<") {
		generic = p.typeArguments()
	}
	name := p.name()
	if generic != nil {
		if !p.at("(") {
			return p.fail()
		}
		return p.span(member, start, n, dot, generic, name)
	}
	return p.span(member, start, n, dot, name)
}

// typeLike reports whether an expression reads as the name of a type, too.
func typeLike(n *node) bool {
	for n.kind == member {
		if n.kids[len(n.kids)-1].kind != ident {
			return false
		}
		n = n.kids[0]
	}
	return n.kind == ident
}

// list reads the arguments of a call. Its kids are the arguments and what separates them.
func (p *java) list() *node {
	p.skip()
	start := p.pos
	p.want("(")
	n := &node{kind: list, start: start}
	for !p.at(")") && !p.bad {
		n.kids = append(n.kids, p.expression())
		if comma := p.token(","); comma != nil {
			if p.at(")") {
				p.fail()
			}
		} else if !p.at(")") {
			p.fail()
		}
	}
	p.want(")")
	n.end = p.last
	return n
}

func (p *java) atom() *node {
	if p.end() {
		return p.fail()
	}
	start, rest := p.pos, p.text[p.pos:]
	if p.at("(") {
		open := p.want("(")
		n := p.expression()
		return p.span(joined, start, open, n, p.want(")"))
	}
	if n := longestOf(javaNumbers, rest); n > 0 {
		return p.advance(leaf, n)
	}
	for _, text := range javaTexts {
		if found := text.FindString(rest); found != "" {
			return p.advance(literal, len(found))
		}
	}
	switch word := p.word(); {
	case word == "new":
		return p.creation()
	case word == "true", word == "false", word == "null", word == "this":
		return p.advance(leaf, len(word))
	case word == "super":
		n := p.advance(leaf, len(word))
		if !p.at(".") && !p.at("::") {
			return p.fail()
		}
		return n
	case javaPrimitives[word]:
		return p.arrayClass(start)
	}
	n := p.name()
	if before := p.parser; p.at("[") {
		if p.want("["); p.at("]") {
			p.parser = before
			p.pos = start
			return p.arrayClass(start)
		}
		p.parser = before
	}
	return n
}

// arrayClass reads int.class, int[].class and Foo[]::new.
func (p *java) arrayClass(start int) *node {
	t := p.typ()
	if p.at("::") {
		return t
	}
	p.want(".")
	if p.word() != "class" {
		return p.fail()
	}
	p.advance(leaf, len("class"))
	return p.span(class, start)
}

var (
	javaNumbers = expressions(
		`(0|[1-9](_?[0-9]+(_+[0-9]+)*)?)[lL]?`, `0[xX]H(_H)*[lL]?`, `0[oO]?[0-7]+(_[0-7]+)*[lL]?`,
		`0[bB][01]+(_[01]+)*[lL]?`,
		`D\.(D)?([eE][+-]?D)?[fFdD]?`, `\.D([eE][+-]?D)?[fFdD]?`, `(0|[1-9](_?[0-9]+(_+[0-9]+)*)?)[eEpP][+-]?D[fFdD]?`,
		`(0|[1-9](_?[0-9]+(_+[0-9]+)*)?)([eE][+-]?D)?[fFdD]`,
		`0[xX](H(_H)*\.?|(H(_H)*)?\.H(_H)*)([eEpP][+-]?(0|[1-9](_?[0-9]+(_+[0-9]+)*)?)[fFdD]?)?`)
	javaTexts = expressions(
		`"""[^"\\/]+"""`, `"([^"\\]|\\([^xu0-7{]|[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]+\}))*"`,
		`'([^\\'\n]|\\.|\\\n)+'`)
)

// expressions compiles expressions for the beginning of a text, in which D stands for decimal digits with underscores
// between them, and H for hexadecimal ones.
func expressions(all ...string) []*regexp.Regexp {
	out := make([]*regexp.Regexp, len(all))
	for i, e := range all {
		e = strings.NewReplacer("D]", "D]", "D", `[0-9]+(?:_[0-9]+)*`, "H", `[0-9a-fA-F]+`).Replace(e)
		out[i] = regexp.MustCompile(`^(?:` + e + `)`)
		out[i].Longest()
	}
	return out
}

func longestOf(all []*regexp.Regexp, s string) int {
	longest := 0
	for _, e := range all {
		longest = max(longest, len(e.FindString(s)))
	}
	return longest
}
