package source

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"itool/schemas/toolcall"
)

// Java reads an answer to a question about Java. The name of an argument without one is "".
func Java(raw string) ([]toolcall.Call, error) {
	text, err := inside(raw)
	if err != nil {
		return nil, err
	}
	p := &java{parser: newParser(text, javaBlank)}
	root := p.program()
	if p.bad {
		return nil, ErrRefused
	}
	found := firstCall(root)
	if found == nil {
		return nil, ErrNoCall
	}
	p.runes = []rune(text)
	made, err := p.read(found)
	if err != nil {
		return nil, err
	}
	return []toolcall.Call{made}, nil
}

type java struct {
	parser
	runes []rune
}

func javaBlank(s string) int {
	if s[0] == ' ' || s[0] >= '\t' && s[0] <= '\r' {
		return 1
	}
	return 0
}

// firstCall is the first call that a walk from the root meets.
func firstCall(n *node) *node {
	if n.kind == call {
		return n
	}
	for _, kid := range n.kids {
		if found := firstCall(kid); found != nil {
			return found
		}
	}
	return nil
}

// read makes the call of its node.
func (p *java) read(n *node) (toolcall.Call, error) {
	function, args := n.kids[0], n.kids[1]
	made := toolcall.Call{Name: p.slice(function)}
	if function.kind == member {
		made.Name = p.slice(function.kids[0]) + "." + p.slice(function.kids[len(function.kids)-1])
	}
	for _, a := range args.kids {
		if a.kind == assign && p.commented(a.start, a.end) {
			return made, ErrRefused
		}
	}
	var err error
	name := func(n *node) (string, error) { return p.slice(n), nil }
	value := func(n *node) (string, error) { return p.source(n, false) }
	made.Args, err = p.arguments(args, name, value)
	return made, err
}

// slice is the original's text of a node: byte offsets, applied to a text of characters. Behind characters of several
// bytes it is a piece further on.
func (p *java) slice(n *node) string {
	return string(p.runes[min(n.start, len(p.runes)):min(n.end, len(p.runes))])
}

// source writes a value again. nested tells whether it is part of another one.
func (p *java) source(n *node, nested bool) (string, error) {
	switch {
	case n.kind == literal && !nested:
		runes := []rune(p.slice(n))
		if len(runes) < 2 {
			return "", nil
		}
		return string(runes[1 : len(runes)-1]), nil
	case n.kind == sized:
		return "", ErrSized // the original asks for its values and ends with an exception
	case n.kind == array:
		return p.write("new ", n.kids[:1], "", "[]", n.kids[1:], "")
	case n.kind == creation:
		return p.write("new ", n.kids[:1], "(", "", n.kids[1].kids, ")")
	case n.kind == literal, n.kind == leaf, n.kind == ident, n.kind == class, n.kind == call:
		return p.slice(n), nil
	case len(n.kids) == 0:
		return p.slice(n), nil
	}
	var b strings.Builder
	for _, kid := range n.kids {
		s, err := p.source(kid, true)
		if err != nil {
			return "", err
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// write joins a type and parts with ", " between them.
func (p *java) write(before string, typ []*node, open, dims string, parts []*node, closing string) (string, error) {
	var all []string
	for _, part := range append(typ[:1:1], parts...) {
		if part.kind == leaf && p.text[part.start:part.end] == "," {
			continue
		}
		s, err := p.source(part, true)
		if err != nil {
			return "", err
		}
		all = append(all, s)
	}
	return before + all[0] + dims + open + strings.Join(all[1:], ", ") + closing, nil
}

// program reads expressions that end with ";". The last may lack it if it is long enough: the original then completes
// it, because that costs less than an error.
func (p *java) program() *node {
	root := &node{}
	for !p.end() && !p.bad {
		if p.take(";") {
			continue
		}
		start := p.pos
		if word := p.word(); javaStatements[word] || javaReserved[word] {
			return p.fail()
		}
		n := p.expression()
		root.kids = append(root.kids, n)
		if p.take(";") {
			continue
		}
		long := len(root.kids) > 1 || p.code(start, n.end) >= minCompleted
		if !p.end() || !long || !p.completed(n) {
			return p.fail()
		}
	}
	return root
}

// minCompleted is the shortest text, in bytes, at whose end the original adds a semicolon. It refuses shorter ones.
const minCompleted = 11

// code is the length of the text between two offsets, without comments.
func (p *java) code(start, end int) int {
	length := end - start
	for _, c := range p.comments {
		if c.start >= start && c.start < end {
			length -= c.end - c.start
		}
	}
	return length
}

// completed reports whether the original adds a semicolon behind such an expression. Behind a name with dots, which
// may be a type, or a parenthesis it does not.
func (p *java) completed(n *node) bool {
	switch n.kind {
	case call, creation, index, literal, ident:
		return true
	case leaf:
		text := p.text[n.start:n.end]
		return text != ")" && text != "}"
	case assign:
		return p.completed(n.kids[2])
	case joined:
		return len(n.kids) > 0 && p.completed(n.kids[len(n.kids)-1]) &&
			!strings.ContainsAny(p.text[n.start:n.end], "<>")
	}
	return false
}

// javaStatements are words that begin statements or are no identifiers where expressions stand.
var javaStatements = words("abstract assert break case catch class const continue default do else enum extends final " +
	"finally for goto if implements import instanceof interface native package private protected public return " +
	"static strictfp switch synchronized throw throws transient try volatile while")

// javaReserved are identifiers that can begin statements, too.
var javaReserved = words("module open record sealed yield")

var javaPrimitives = words("byte short int long char float double boolean void")

func words(s string) map[string]bool {
	all := map[string]bool{}
	for _, w := range strings.Fields(s) {
		all[w] = true
	}
	return all
}

// word is the identifier that is next, "" if none is.
func (p *parser) word() string {
	p.skip()
	end := p.pos
	for end < len(p.text) {
		r, size := utf8.DecodeRuneInString(p.text[end:])
		start := r == '_' || r == '$' || unicode.In(r, unicode.L, unicode.Nl)
		if !start && (end == p.pos || r != '\u00a2' && !unicode.In(r, unicode.Nd, unicode.Mn, unicode.Mc, unicode.Pc)) {
			break
		}
		end += size
	}
	return p.text[p.pos:end]
}

// name takes an identifier.
func (p *java) name() *node {
	w := p.word()
	if w == "" || javaStatements[w] || javaPrimitives[w] || javaLiterals[w] {
		return p.fail()
	}
	return p.advance(ident, len(w))
}

var javaLiterals = words("true false null this super new")
