package toolcall

import (
	"strings"
	"unicode/utf8"
)

// A parser for those Python expressions that an answer can hold. Expressions that BFCL refuses as values (lambda,
// comprehension, f-string, walrus, await, yield) are a syntax error here, unless the cursor is exact: BFCL passes over
// them in arguments without a name. Bytes and complex numbers are read only if it is exact, too.

type form uint8

const (
	constantForm  form = iota // value
	ellipsisForm              // ...
	nameForm                  // text
	attributeForm             // kids[0].text
	callForm                  // kids[0](kids[1:]..., args)
	indexForm                 // kids[0][kids[1]]
	sliceForm                 // kids: lower, upper, step; nil when left out
	listForm
	tupleForm
	setForm
	dictForm    // kids: key, value, key, value; key nil for **value
	unaryForm   // text: the operator
	binaryForm  // text: the operator
	compareForm // text: the first operator; also and, or, if-else: never evaluated
	starForm    // *kids[0]
	passedForm  // an expression that has no value for BFCL; see passed.go
)

type node struct {
	form  form
	text  string
	value Value
	kids  []*node
	args  []keyword
	pos   int // byte offset into the raw answer: its start, or where it was read up to
	depth int // height of the tree below
}

type keyword struct {
	name  string // "" for **value
	value *node
}

// newNode makes a node over kids and limits the height of the tree. The limit of recursion
// is not enough: a loop builds 1+1+1+...
func (c *cursor) newNode(f form, text string, kids ...*node) (*node, error) {
	n := &node{form: f, text: text, kids: kids, pos: max(c.pos+c.shift, 0)}
	for _, kid := range kids {
		if kid != nil && kid.depth >= n.depth {
			n.depth = kid.depth + 1
		}
	}
	if n.depth > MaxDepth {
		c.unsure = true
		return nil, c.want("at most 200 levels of nesting")
	}
	return n, nil
}

// trivia skips blanks, comments and continued lines: Python ignores them inside brackets. Outside of them it
// stops at a line end if lines is set.
func (c *cursor) trivia() {
	for {
		if c.lines && c.open == 0 {
			c.sameLine()
		} else {
			c.blanks()
		}
		switch {
		case c.peek() == '#':
			for !c.end() && c.peek() != '\n' && c.peek() != '\r' {
				c.pos++
			}
		case c.take("\\\r\n") || c.take("\\\n") || c.take("\\\r"):
			c.loose = c.loose || c.lines && c.open == 0 && (c.end() || c.peek() == '#') // no line is continued there
		default:
			return
		}
	}
}

func reserved(word string) bool {
	switch word {
	case "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class",
		"continue", "def", "del", "elif", "else", "except", "finally", "for", "from", "global",
		"if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise",
		"return", "try", "while", "with", "yield":
		return true
	}
	return false
}

// takeWord skips a keyword, if the whole word is next.
func (c *cursor) takeWord(word string) bool {
	rest := c.text[c.pos:]
	if !strings.HasPrefix(rest, word) {
		return false
	}
	if r, _ := utf8.DecodeRuneInString(rest[len(word):]); len(rest) > len(word) && identPart(r) {
		return false
	}
	c.pos += len(word)
	return true
}

// expression reads any expression: a if b else c, or one that binds tighter.
func (c *cursor) expression() (*node, error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.leave()
	c.trivia()
	start := max(c.pos+c.shift, 0)
	if c.exact && c.takeWord("lambda") {
		return c.lambda()
	}
	left, err := c.operators(0)
	if err != nil {
		return nil, err
	}
	left.pos = start
	if c.trivia(); !c.takeWord("if") {
		return left, nil
	}
	test, err := c.operators(0)
	if err != nil {
		return nil, err
	}
	if c.trivia(); !c.takeWord("else") {
		return nil, c.want("else")
	}
	other, err := c.expression()
	if err != nil {
		return nil, err
	}
	return c.newNode(compareForm, "if", left, test, other)
}

// tight reads an expression that binds tighter than a comparison.
func (c *cursor) tight() (*node, error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.leave()
	return c.operators(arithLevel)
}

// levels are the binary operators by how tightly they bind, the loosest first. An operator
// comes before its own prefixes. Power and the unary operators are in unary.
var levels = [...][]string{
	{"or"}, {"and"}, {"not in", "is not", "in", "is", "<=", ">=", "==", "!=", "<", ">"},
	{"|"}, {"^"}, {"&"}, {"<<", ">>"}, {"+", "-"}, {"*", "//", "/", "%", "@"},
}

const (
	notLevel   = 2 // "not" binds between "and" and the comparisons
	arithLevel = 3 // from here on operators make binaryForm
	unaryLevel = len(levels)
	powerLevel = unaryLevel + 1
)

func (c *cursor) operators(level int) (*node, error) {
	if level == unaryLevel {
		return c.unary()
	}
	c.trivia()
	if level == notLevel && c.takeWord("not") {
		return c.prefix("not", notLevel)
	}
	left, err := c.operators(level + 1)
	for err == nil {
		op := c.operator(level)
		if op == "" {
			return left, nil
		}
		var right *node
		if right, err = c.operators(level + 1); err != nil {
			break
		}
		f := compareForm
		if level >= arithLevel {
			f = binaryForm
		}
		left, err = c.newNode(f, op, left, right)
	}
	return nil, err
}

// operator skips an operator of the level and returns it; "" if none is next.
func (c *cursor) operator(level int) string {
	c.trivia()
	for _, op := range levels[level] {
		first, second, two := strings.Cut(op, " ")
		start := c.pos
		switch {
		case two && c.takeWord(first):
			if c.trivia(); c.takeWord(second) {
				return op
			}
			c.pos = start
		case !two && op[0] >= 'a' && op[0] <= 'z' && c.takeWord(op):
			return op
		case !two && (op[0] < 'a' || op[0] > 'z') && strings.HasPrefix(c.text[c.pos:], op):
			next := c.peekAt(len(op))
			if op == "*" && next == '*' || next == '=' && level >= arithLevel {
				continue
			}
			c.pos += len(op)
			return op
		}
	}
	return ""
}

// prefix reads the operand of a prefix operator, after the operator.
func (c *cursor) prefix(op string, level int) (*node, error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.leave()
	operand, err := c.operators(level)
	if err != nil {
		return nil, err
	}
	return c.newNode(unaryForm, op, operand)
}

// unary reads -x, +x, ~x and x ** y. The power binds tighter than a sign on its left, but not
// than one on its right.
func (c *cursor) unary() (*node, error) {
	c.trivia()
	for _, op := range []string{"-", "+", "~"} {
		if c.take(op) {
			return c.prefix(op, unaryLevel)
		}
	}
	left, err := c.awaited()
	if err != nil {
		return nil, err
	}
	if c.trivia(); !c.take("**") {
		return left, nil
	}
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.leave()
	right, err := c.unary()
	if err != nil {
		return nil, err
	}
	return c.newNode(binaryForm, "**", left, right)
}
