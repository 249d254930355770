package pattern

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"itool/stages/policy/tokenizer/codepoint"
)

// kind is what a node of an expression's tree is.
type kind uint8

const (
	kindSet      kind = iota // one code point of a set
	kindSequence             // its subs one behind the other; without any, the empty text
	kindChoice               // one of its subs, the first that leads to a match
	kindRepeat               // its sub min to max times; max −1: without end
	kindAhead                // its sub matches what follows
	kindBehind               // one of its subs, which are sequences of sets, stands before
	kindAtomic               // its sub, which is not tried in another way later
	kindStart                // the beginning of the text
	kindEnd                  // the end of the text
)

type node struct {
	kind     kind
	set      int // index in tree.sets
	subs     []*node
	min, max int
	lazy     bool // as few repetitions as possible
	place    bool // an assertion without length, such as ^: Oniguruma does not repeat it
	negate   bool
}

// empty tells whether n can match the empty text.
func (n *node) empty() bool {
	switch n.kind {
	case kindSet:
		return false
	case kindSequence:
		for _, s := range n.subs {
			if !s.empty() {
				return false
			}
		}
		return true
	case kindChoice:
		for _, s := range n.subs {
			if s.empty() {
				return true
			}
		}
		return false
	case kindRepeat:
		return n.min == 0 || n.subs[0].empty()
	case kindAtomic:
		return n.subs[0].empty()
	}
	return true
}

// tree is an expression that was read.
type tree struct {
	expr string
	root *node
	sets []set
}

// parser reads an expression. The first error ends it: it panics with *Error, which parse returns.
type parser struct {
	tree
	at     int // the next byte
	depth  int
	fold   bool // within (?i: )
	before byte // within (?i: ): the letter that the last atom was, in lower case; 0: it was none
	known  map[codepoint.Set]set
}

func parse(expr string) (t *tree, err error) {
	p := &parser{tree: tree{expr: expr}, known: map[codepoint.Set]set{}}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *Error:
			t, err = nil, e
		default:
			panic(e)
		}
	}()
	if len(expr) > maxBytes {
		p.fail(0, "it has %d bytes, more than %d", len(expr), maxBytes)
	}
	if !utf8.ValidString(expr) {
		p.fail(0, "it is no UTF-8")
	}
	p.root = p.choice()
	if p.at < len(p.expr) {
		p.fail(p.at, "a ) that closes no group")
	}
	return &p.tree, nil
}

func (p *parser) fail(at int, format string, args ...any) {
	panic(&Error{p.expr, at, fmt.Sprintf(format, args...)})
}

// peek tells whether s comes next.
func (p *parser) peek(s string) bool { return strings.HasPrefix(p.expr[p.at:], s) }

// accept reads s if it comes next.
func (p *parser) accept(s string) bool {
	if p.peek(s) {
		p.at += len(s)
		return true
	}
	return false
}

// rune reads the next code point.
func (p *parser) rune() rune {
	r, n := utf8.DecodeRuneInString(p.expr[p.at:])
	p.at += n
	return r
}

func (p *parser) enter() {
	if p.depth++; p.depth > maxDepth {
		p.fail(p.at, "more than %d groups or brackets in one another", maxDepth)
	}
}

// choice reads alternatives up to the end of the group.
func (p *parser) choice() *node {
	all := &node{kind: kindChoice}
	for {
		all.subs = append(all.subs, p.sequence())
		if !p.accept("|") {
			break
		}
	}
	if len(all.subs) == 1 {
		return all.subs[0]
	}
	return all
}

func (p *parser) sequence() *node {
	seq := &node{kind: kindSequence}
	p.before = 0
	for p.at < len(p.expr) && !p.peek("|") && !p.peek(")") {
		seq.subs = append(seq.subs, p.repeated())
	}
	return seq
}

// repeated reads an atom and how often it comes.
func (p *parser) repeated() *node {
	from := p.at
	n := p.atom()
	at := p.at
	least, most, interval, ok := p.times()
	if !ok {
		return n
	}
	p.before = 0
	if n.place {
		p.fail(at, "a repetition of something that has no length")
	}
	if most != 0 && most != 1 && n.empty() {
		p.fail(from, "a repetition of something that can be empty")
	}
	r := &node{kind: kindRepeat, subs: []*node{n}, min: least, max: most}
	switch {
	case p.peek("?") && interval && least == most:
		p.fail(at, "{n}? is not supported: libraries disagree on what it means")
	case p.accept("?"):
		r.lazy = true
	case !interval && p.accept("+"):
		r = &node{kind: kindAtomic, subs: []*node{r}}
	}
	// Oniguruma reads {n,m}+ as a repetition of the repetition, not as a possessive one.
	if interval && !r.lazy && p.peek("+") {
		if r.empty() {
			p.fail(from, "a repetition of something that can be empty")
		}
		p.at++
		r = &node{kind: kindRepeat, subs: []*node{r}, min: 1, max: -1}
	}
	if _, _, _, again := p.times(); again {
		p.fail(at, "a repetition of a repetition: put the inner one into (?: )")
	}
	return r
}

// times reads *, +, ? or {n,m}, if one comes next.
func (p *parser) times() (least, most int, interval, ok bool) {
	switch {
	case p.accept("*"):
		return 0, -1, false, true
	case p.accept("+"):
		return 1, -1, false, true
	case p.accept("?"):
		return 0, 1, false, true
	case !p.peek("{"):
		return 0, 0, false, false
	}
	at := p.at
	body, _, closed := strings.Cut(p.expr[p.at+1:], "}")
	from, to, comma := strings.Cut(body, ",")
	number := func(s string, missing int) int {
		if s == "" {
			return missing
		}
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || n > maxRepeat {
			p.fail(at, "{%s}: it takes numbers up to %d; a { that is meant itself is written \\{", body, maxRepeat)
		}
		return int(n)
	}
	if !closed || from == "" && to == "" || len(body) > 20 {
		p.fail(at, "a { that is meant itself is written \\{")
	}
	p.at += len(body) + 2
	least, most = number(from, 0), number(to, -1)
	if !comma {
		most = least
	}
	if most >= 0 && most < least {
		p.fail(at, "{%s}: the second number is less than the first", body)
	}
	return least, most, true, true
}

// atom reads one code point, a set, a group or an assertion.
func (p *parser) atom() *node {
	at := p.at
	letter := p.before
	p.before = 0
	switch {
	case p.peek("("):
		return p.group()
	case p.peek("["):
		s := p.brackets()
		return p.setNode(s)
	case p.accept("."):
		return p.setNode(single('\n').negated())
	case p.accept("^"): // the beginning of a line; there is none behind a line end that ends the text
		return place(choice(&node{kind: kindStart},
			sequence(p.lookBehind(single('\n'), false), p.lookAhead(anyRune, false))))
	case p.accept("$"): // the end of a line
		return place(choice(&node{kind: kindEnd}, p.lookAhead(single('\n'), false)))
	case p.peek("*") || p.peek("+") || p.peek("?") || p.peek("{"):
		if p.peek("{") && !p.interval() {
			break
		}
		p.fail(at, "a repetition of nothing")
	case p.peek(`\`):
		if n := p.assertion(); n != nil {
			return place(n)
		}
		return p.setNode(p.escape(false))
	}
	return p.literal(at, p.rune(), letter)
}

// interval tells whether { begins what Oniguruma could read as {n,m}.
func (p *parser) interval() bool {
	rest := p.expr[p.at+1:]
	return rest != "" && strings.IndexByte("0123456789,", rest[0]) >= 0
}

// literal is a code point that stands for itself. letter is the letter directly before it.
func (p *parser) literal(at int, r rune, letter byte) *node {
	if !p.fold {
		return p.setNode(single(r))
	}
	s := p.folded(at, single(r))
	if r < utf8.RuneSelf {
		p.before = byte(r | 0x20)
		switch string([]byte{letter, p.before}) {
		case "ss", "st", "ff", "fi", "fl":
			p.fail(at, "(?i: ) with %q: one letter of some alphabets stands for both, which is not supported",
				p.expr[at-1:at+1])
		}
	}
	return p.setNode(s)
}

// assertion reads an escape that has no length; nil if another one comes next.
func (p *parser) assertion() *node {
	word := p.classSet(wordSet)
	boundary := func(inside bool) *node { // two ways to be at a border of a word, or two not to be
		return choice(
			sequence(p.lookBehind(word, false), p.lookAhead(word, !inside)),
			sequence(p.lookBehind(word, true), p.lookAhead(word, inside)))
	}
	switch {
	case p.accept(`\A`):
		return &node{kind: kindStart}
	case p.accept(`\z`):
		return &node{kind: kindEnd}
	case p.accept(`\Z`):
		end := &node{kind: kindEnd}
		line := &node{kind: kindAhead, subs: []*node{sequence(p.setNode(single('\n')), end)}}
		return choice(end, line)
	case p.accept(`\b`):
		return boundary(false)
	case p.accept(`\B`):
		return boundary(true)
	}
	return nil
}

func place(n *node) *node {
	n.place = true
	return n
}

func sequence(subs ...*node) *node { return &node{kind: kindSequence, subs: subs} }
func choice(subs ...*node) *node   { return &node{kind: kindChoice, subs: subs} }

func (p *parser) lookAhead(s set, negate bool) *node {
	return &node{kind: kindAhead, subs: []*node{p.setNode(s)}, negate: negate}
}

func (p *parser) lookBehind(s set, negate bool) *node {
	return &node{kind: kindBehind, subs: []*node{sequence(p.setNode(s))}, negate: negate}
}

// setNode is a node for one code point of s.
func (p *parser) setNode(s set) *node {
	if len(p.sets) == maxSteps {
		p.fail(p.at, "it has more than %d characters and brackets", maxSteps)
	}
	p.sets = append(p.sets, s)
	return &node{kind: kindSet, set: len(p.sets) - 1}
}
