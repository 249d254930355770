package toolcall

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of every reader.

const (
	MaxBytes  = 1 << 20 // of one answer
	MaxDepth  = 200     // of brackets and operators, as in CPython's tokenizer
	MaxDigits = 4300    // of one int, as in CPython: longer ones take quadratic time
)

// A SyntaxError names the place at which an answer is no tool call any more, and what was
// expected there.
type SyntaxError struct {
	Offset int    // byte offset into the text that was given
	Want   string // what was expected
	Got    string // what the text has there, shortened
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("toolcall: byte %d: want %s, got %s", e.Offset, e.Want, e.Got)
}

func offsetOf(err error) int {
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		return syntax.Offset
	}
	return -1
}

type cursor struct {
	text  string
	pos   int
	depth int
	shift int  // added to offsets in errors: bytes of the answer before text
	bytes bool // literals such as b'x' are read, too

	plain bool // a name is no value, unless it is a constant

	exact bool // read what Python reads, and nothing else: see DecodeEdition
	lines bool // a line end outside all brackets ends the expression
	open  int  // brackets that are open, counted if lines is set

	lost string // see Turn.Lost

	unsure bool // it refused something that Python may read
	loose  bool // it read something that Python may refuse
}

// newCursor refuses a text that is too long or not valid UTF-8.
func newCursor(text string) (*cursor, error) {
	c := &cursor{text: text}
	if len(text) > MaxBytes {
		return nil, &SyntaxError{Offset: MaxBytes, Want: "at most 1 MiB", Got: strconv.Itoa(len(text)) + " bytes"}
	}
	if !utf8.ValidString(text) {
		for c.pos < len(text) {
			r, size := utf8.DecodeRuneInString(text[c.pos:])
			if r == utf8.RuneError && size == 1 {
				return nil, c.want("valid UTF-8")
			}
			c.pos += size
		}
	}
	return c, nil
}

func (c *cursor) want(what string) *SyntaxError {
	got := "the end"
	if rest := c.text[c.pos:]; rest != "" {
		if len(rest) > 20 {
			rest = rest[:20]
			for !utf8.ValidString(rest) && len(rest) > 17 {
				rest = rest[:len(rest)-1]
			}
		}
		got = strconv.Quote(rest)
	}
	return &SyntaxError{Offset: max(c.pos+c.shift, 0), Want: what, Got: got}
}

func (c *cursor) end() bool { return c.pos >= len(c.text) }

// peek returns the next byte, 0 at the end.
func (c *cursor) peek() byte { return c.peekAt(0) }

func (c *cursor) peekAt(ahead int) byte {
	if c.pos+ahead < len(c.text) {
		return c.text[c.pos+ahead]
	}
	return 0
}

// take skips token, if it is next.
func (c *cursor) take(token string) bool {
	if strings.HasPrefix(c.text[c.pos:], token) {
		c.pos += len(token)
		return true
	}
	return false
}

func (c *cursor) enter() error {
	c.depth++
	if c.depth > MaxDepth {
		c.unsure = true
		return c.want("at most 200 levels of nesting")
	}
	return nil
}

func (c *cursor) leave() { c.depth-- }

func (c *cursor) blanks() {
	for !c.end() {
		switch c.text[c.pos] {
		case ' ', '\t', '\n', '\r', '\f':
			c.pos++
		default:
			return
		}
	}
}

func identStart(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.Nl, r) }

func identPart(r rune) bool {
	return identStart(r) || unicode.IsDigit(r) || unicode.In(r, unicode.Mn, unicode.Mc, unicode.Pc)
}

// ident reads a Python identifier; "" if none is next.
func (c *cursor) ident() string {
	start := c.pos
	for !c.end() {
		r, size := utf8.DecodeRuneInString(c.text[c.pos:])
		if c.pos == start && !identStart(r) || !identPart(r) {
			break
		}
		c.pos += size
	}
	return c.text[start:c.pos]
}
