package toolcall

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Edition names an edition of BFCL's reader of Python answers. The checker behind it is the same.
type Edition uint8

const (
	// V3 is the reader of BFCL v3: of bfcl-eval before 2025.8.25. It removes all brackets and single quotes at both
	// ends and reads the rest as one expression: a call, or a list, tuple or set of calls. A list on several lines is
	// such an expression only if every line end is inside parentheses.
	V3 Edition = iota
	// V4 is the reader since then. It adds a missing outer bracket and reads a list.
	V4
)

// DecodeEdition reads a raw answer exactly as one edition of BFCL's reader does, with Python 3.11. What it reads is
// what Decode describes, with three differences: halves of surrogate pairs stay halves, bytes and complex numbers are
// values, and names are normalized (NFKC). It never reads what the original refuses.
//
// It refuses some answers that the original may read: those with f-strings or \N escapes; lambdas, comprehensions,
// assignments and comparisons in a call without keywords that is a value; operations with names, calls, comparisons,
// dicts, bytes, complex numbers or the formatting operator; a backslash that continues the line before the first call
// or behind the last one; and what is beyond the limits of size and depth. The error then is an ErrUnsure.
func DecodeEdition(raw string, edition Edition) ([]Call, error) {
	text := strings.Trim(raw, "`\n ")
	if !strings.HasPrefix(text, "[") {
		text = "[" + text
	}
	if !strings.HasSuffix(text, "]") {
		text += "]"
	}
	if edition == V3 {
		text = strings.Trim(text, "[]'")
	}
	shift := max(strings.Index(raw, strings.Trim(text, "[]")), 0)
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text) // as Python does before it reads
	c, err := newCursor(text)
	if err != nil {
		return nil, unsure(err)
	}
	c.exact, c.bytes, c.lines, c.shift = true, true, true, shift
	if at := strings.IndexByte(text, 0); at >= 0 {
		c.pos = at
		return nil, c.want("no zero byte")
	}
	list, err := c.answerOf()
	var calls []Call
	if err == nil {
		calls, _, err = decodeCalls(list, false)
	}
	if err == nil && c.loose || err != nil && c.unsure {
		return nil, unsure(err)
	}
	return calls, err
}

// ErrUnsure is wrapped in an error of DecodeEdition if the answer holds something about which it does not know whether
// the original reads it.
var ErrUnsure = errors.New("toolcall: not read exactly as Python reads it")

func unsure(err error) error {
	if err == nil {
		return ErrUnsure
	}
	return fmt.Errorf("%w: %w", ErrUnsure, err)
}

// answerOf reads the expression and returns the list of its calls.
func (c *cursor) answerOf() (*node, error) {
	if err := c.firstLine(); err != nil {
		return nil, err
	}
	n, err := c.tupleOfLine()
	if err != nil {
		return nil, err
	}
	if err := c.onlyBlankLines(); err != nil {
		return nil, err
	}
	switch n.form {
	case callForm:
		return c.newNode(listForm, "", n)
	case listForm, tupleForm, setForm:
		return n, nil
	}
	return nil, &SyntaxError{Offset: n.pos, Want: "a list of calls", Got: "another expression"}
}

// firstLine moves to the first line that is not blank. Python refuses one that is indented.
func (c *cursor) firstLine() error {
	for {
		start := c.pos
		c.sameLine()
		if blank, next := c.lineEnd(); blank && !c.end() {
			c.pos = next
			continue
		}
		c.loose = c.peek() == '\\' // what Python takes for the indentation is not known
		c.unsure = c.loose
		if at := strings.LastIndexByte(c.text[start:c.pos], '\f'); start+at+1 != c.pos {
			return c.want("no blank at the beginning of the line")
		}
		return nil
	}
}

// sameLine skips blanks, but no line end.
func (c *cursor) sameLine() {
	for b := c.peek(); b == ' ' || b == '\t' || b == '\f'; b = c.peek() {
		c.pos++
	}
}

// lineEnd reports whether nothing but a comment stands before the end of the line, and where the next line begins.
func (c *cursor) lineEnd() (blank bool, next int) {
	end := strings.IndexByte(c.text[c.pos:], '\n')
	if end < 0 {
		end, next = len(c.text), len(c.text)
	} else {
		end, next = c.pos+end, c.pos+end+1
	}
	return c.pos == end || c.peek() == '#', next
}

// tupleOfLine reads one expression, or several with commas between them: a tuple without parentheses.
func (c *cursor) tupleOfLine() (*node, error) {
	first, err := c.expression()
	if err != nil {
		return nil, err
	}
	items := []*node{first}
	comma := false
	for {
		c.trivia()
		if !c.take(",") {
			break
		}
		comma = true
		c.trivia()
		if blank, _ := c.lineEnd(); blank {
			break
		}
		item, err := c.expression()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	if !comma {
		return first, nil
	}
	return c.newNode(tupleForm, "", items...)
}

// onlyBlankLines reads the rest of the text, in which nothing may follow: not even the blanks of a last line that does
// not end. Python takes them for an indented line.
func (c *cursor) onlyBlankLines() error {
	for first := true; !c.end(); first = false {
		start := c.pos
		c.sameLine()
		blank, next := c.lineEnd()
		indented := c.pos > start && c.text[c.pos-1] != '\f'
		if !blank || c.end() && indented && !first {
			c.unsure = c.peek() == '\\' // the line that it continues may be blank
			return c.want("the end")
		}
		c.pos = next
	}
	return nil
}

// normal returns an identifier in the form in which Python compares it.
func (c *cursor) normal(name string) (string, error) {
	if !c.exact {
		return name, nil
	}
	s := norm.NFKC.String(name)
	for i, r := range s {
		if !identPart(r) || i == 0 && !identStart(r) {
			return "", c.want("an identifier")
		}
	}
	return s, nil
}

// surrogate encodes half of a surrogate pair in three bytes, as if it were a character. They are no valid UTF-8, and so
// a text that holds one is equal to no text of a dataset.
func surrogate(half rune) string {
	return string([]byte{0xED, 0x80 | byte(half>>6)&0x3F, 0x80 | byte(half)&0x3F})
}

// surrogateAt decodes what surrogate wrote, at the beginning of s.
func surrogateAt(s string) (rune, bool) {
	if len(s) < 3 || s[0] != 0xED || s[1]&0xE0 != 0xA0 || s[2]&0xC0 != 0x80 {
		return 0, false
	}
	return 0xD000 | rune(s[1]&0x3F)<<6 | rune(s[2]&0x3F), true
}
