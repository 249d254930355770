// Package source reads answers in Java and JavaScript as BFCL does: with the grammars of tree-sitter, one call whose
// arguments are assignments, f(a=new int[]{1, 2}, b="x").
//
// [Java] and [JavaScript] return the call with the source text of each value, as the original's walk over the syntax
// tree gives it: Java's is written again without white space, without the bodies of anonymous classes, and by byte
// offsets into a text of characters; JavaScript's stays as it is. Literals are read elsewhere, by package bfcl.
//
// The package reads a part of both languages: expressions, and statements of one expression. It refuses what the
// original refuses, and also what is beyond that part: other statements, switch expressions, lambdas with a body, text
// interpolation, classes, JSX, comments within a value, and texts that the original completes, but for the semicolon.
// It does not panic on any input; size and depth are limited.
//
//	calls, err := source.Java("f(a=5L)")
package source

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"itool/schemas/toolcall"
)

// The errors of Java and JavaScript.
var (
	ErrNoCall  = errors.New("source: no call where BFCL looks for one")
	ErrSized   = errors.New("source: an array without values")
	ErrTwice   = errors.New("source: an argument is given twice")
	ErrRefused = errors.New("source: not in the part of the language that is read") // the original may read it
)

// inside removes fences and brackets as BFCL does for every language.
func inside(raw string) (string, error) {
	if len(raw) > toolcall.MaxBytes || !utf8.ValidString(raw) || strings.IndexByte(raw, 0) >= 0 {
		return "", ErrRefused
	}
	text := strings.Trim(raw, "`\n ")
	if !strings.HasPrefix(text, "[") {
		text = "[" + text
	}
	if !strings.HasSuffix(text, "]") {
		text += "]"
	}
	if len(text) < 2 { // "[" alone
		return "", nil
	}
	return text[1 : len(text)-1], nil
}

// kind says what a node is, as far as the walks over a tree ask.
type kind uint8

const (
	joined   kind = iota // anything else
	leaf                 // a token
	ident                // an identifier
	literal              // a string or a character
	call                 // kids: the function, its arguments
	member               // kids: object, ".", name
	index                // a subscript
	creation             // new T(args); kids: type, arguments, and the body if there is one
	array                // new T[]{…}; kids: type, initializer
	sized                // new T[n]; kids: type, sizes
	class                // T.class
	assign               // kids: left, operator, right
	list                 // of arguments
	truth                // true
)

// A node is a part of the tree, from byte start to byte end of the text.
type node struct {
	kind       kind
	start, end int
	kids       []*node
}

// A parser reads one text. Once it is bad, it stays so, and what its methods return does not matter.
type parser struct {
	text     string
	pos      int
	last     int // end of the last token
	depth    int
	bad      bool
	comments []comment
	blank    func(string) int
	steps    *int // how often it looked for a token, with all ways that it tried
}

type comment struct{ start, end int }

func newParser(text string, blank func(string) int) parser {
	return parser{text: text, blank: blank, steps: new(int)}
}

func (p *parser) fail() *node {
	p.bad = true
	return &node{start: p.pos, end: p.pos}
}

// enter counts the depth; the caller leaves.
func (p *parser) enter() bool {
	p.depth++
	if p.depth > toolcall.MaxDepth {
		p.bad = true
	}
	return !p.bad
}

func (p *parser) leave() { p.depth-- }

// again counts the turns of a loop that nests one node in another; too many are as bad as too deep.
func (p *parser) again(turns *int) bool {
	*turns++
	p.bad = p.bad || *turns > toolcall.MaxDepth
	return !p.bad
}

// skip goes to the next token. A text for which two ways are tried again and again ends the work.
func (p *parser) skip() {
	if *p.steps++; *p.steps > 200*len(p.text)+10_000 {
		p.bad = true
	}
	for p.pos < len(p.text) {
		rest := p.text[p.pos:]
		switch n := p.blank(rest); {
		case n > 0:
			p.pos += n
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			p.comment(end)
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				p.bad = true
				p.pos = len(p.text)
				return
			}
			p.comment(end + 4)
		default:
			return
		}
	}
}

// comment skips one of the given length, and keeps its place.
func (p *parser) comment(length int) {
	p.comments = append(p.comments, comment{p.pos, p.pos + length})
	p.pos += length
}

func (p *parser) end() bool {
	p.skip()
	return p.pos == len(p.text)
}

// at reports whether token is next.
func (p *parser) at(token string) bool {
	p.skip()
	return strings.HasPrefix(p.text[p.pos:], token)
}

// take skips token if it is next.
func (p *parser) take(token string) bool {
	if p.bad || !p.at(token) {
		return false
	}
	p.pos += len(token)
	p.last = p.pos
	return true
}

// want fails if token is not next.
func (p *parser) want(token string) *node {
	p.skip()
	start := p.pos
	if !p.take(token) {
		return p.fail()
	}
	return &node{kind: leaf, start: start, end: p.pos}
}

// token takes the first of the operators that is next; the longer ones must stand before their prefixes.
func (p *parser) token(operators ...string) *node {
	for _, op := range operators {
		if p.at(op) {
			return p.want(op)
		}
	}
	return nil
}

// span makes a node from start to the last token.
func (p *parser) span(k kind, start int, kids ...*node) *node {
	return &node{kind: k, start: start, end: p.last, kids: kids}
}

// advance makes a leaf of the next n bytes.
func (p *parser) advance(k kind, n int) *node {
	start := p.pos
	p.pos += n
	p.last = p.pos
	return &node{kind: k, start: start, end: p.pos}
}

// commented reports whether a comment begins between two offsets.
func (p *parser) commented(start, end int) bool {
	at, _ := slices.BinarySearchFunc(p.comments, start, func(c comment, at int) int { return c.start - at })
	return at < len(p.comments) && p.comments[at].start < end
}

// arguments collects the named arguments of a call. value gives the text of a value.
func (p *parser) arguments(args *node, name, value func(*node) (string, error)) ([]toolcall.Arg, error) {
	var all []toolcall.Arg
	seen := map[string]bool{}
	for _, a := range args.kids {
		var arg toolcall.Arg
		of := a
		switch a.kind {
		case assign:
			s, err := name(a.kids[0])
			if err != nil {
				return nil, err
			}
			arg.Name, of = s, a.kids[2]
		case ident, class, truth: // without a name, which no tool has
		default:
			continue
		}
		s, err := value(of)
		if err != nil {
			return nil, err
		}
		if seen[arg.Name] {
			return nil, ErrTwice
		}
		seen[arg.Name] = true
		arg.Value = toolcall.Text(s)
		all = append(all, arg)
	}
	return all, nil
}
