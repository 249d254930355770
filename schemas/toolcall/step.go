package toolcall

import "strings"

// DecodeStep reads the raw text of one step as the checker of BFCL's multi-turn categories
// does. It removes backticks, newlines and blanks, adds a missing outer bracket, and then
// removes all brackets and single quotes at both ends. The rest is a Python expression: one
// call, or calls with commas between them; two lines are no expression. What is kept of a call
// is as in Decode. An empty tuple gives no calls and no error.
func DecodeStep(raw string) ([]Call, error) {
	text := strings.Trim(raw, "`\n ")
	if !strings.HasPrefix(text, "[") {
		text = "[" + text
	}
	if !strings.HasSuffix(text, "]") {
		text += "]"
	}
	text = strings.Trim(text, "[]'")
	if err := oneExpression(text); err != nil {
		return nil, err
	}
	// In parentheses a comma makes a tuple, as it does without; the line end closes a comment.
	e, err := ReadExpression("(" + text + "\n)")
	if err != nil {
		return nil, err
	}
	n := e.node
	switch n.form {
	case callForm:
		n = &node{form: listForm, kids: []*node{n}}
	case listForm, tupleForm, setForm:
	default:
		return nil, &SyntaxError{Offset: n.pos, Want: "calls", Got: "another expression"}
	}
	return decodeCalls(n, false)
}

// oneExpression refuses what Python's parser sees before it sees the expression: no code, a
// first line that is indented, code behind a line end outside brackets, and brackets without
// partners.
func oneExpression(text string) error {
	c, err := newCursor(text)
	if err != nil {
		return err
	}
	var open []byte
	code, ended, indented := false, false, false
	for ; !c.end(); c.pos++ {
		b := c.peek()
		switch {
		case b == '\n' || b == '\r':
			indented = false
			ended = code && len(open) == 0
			continue
		case b == ' ' || b == '\t' || b == '\f':
			indented = indented || !code
			continue
		case b == '#':
			c.skipComment()
			continue
		case ended || !code && indented:
			return c.want("one expression without indentation")
		}
		code = true
		if open, err = c.bracketOrText(open); err != nil {
			return err
		}
	}
	if !code || len(open) > 0 {
		return c.want("a call and its closing brackets")
	}
	return nil
}

// skipComment goes to the last byte of the line.
func (c *cursor) skipComment() {
	for next := c.peekAt(1); c.pos+1 < len(c.text) && next != '\n' && next != '\r'; next = c.peekAt(1) {
		c.pos++
	}
}

// bracketOrText steps over one byte of code, or to the last one of a string or of a continued
// line. open are the brackets that wait for their partner.
func (c *cursor) bracketOrText(open []byte) ([]byte, error) {
	switch b := c.peek(); b {
	case '(', '[', '{':
		return append(open, b), nil
	case ')', ']', '}':
		if len(open) == 0 || strings.IndexByte("([{", open[len(open)-1]) != strings.IndexByte(")]}", b) {
			return open, c.want("an opening bracket before it")
		}
		return open[:len(open)-1], nil
	case '\\':
		if next := c.peekAt(1); next == '\n' || next == '\r' {
			c.pos++
		}
	case '\'', '"':
		if _, err := c.quoted(true); err != nil { // raw: only the end matters
			return open, err
		}
		c.pos--
	}
	return open, nil
}
