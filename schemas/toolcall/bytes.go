package toolcall

import "strings"

// Literals of bytes: b'x'.

// atBytes reports whether a literal of bytes is next, and may be read.
func (c *cursor) atBytes() bool {
	if !c.bytes {
		return false
	}
	prefix := c.text[c.pos:min(c.pos+3, len(c.text))]
	if at := strings.IndexAny(prefix, `'"`); at > 0 {
		switch strings.ToLower(prefix[:at]) {
		case "b", "br", "rb":
			return true
		}
	}
	return false
}

// bytesLiteral reads one or more adjacent literals, which Python joins.
func (c *cursor) bytesLiteral() (*node, error) {
	var joined strings.Builder
	for c.atBytes() {
		raw := strings.ContainsAny(c.ident(), "rR")
		start := c.pos
		if _, err := c.quoted(true); err != nil { // finds the end; escapes are read below
			return nil, err
		}
		if err := c.bytesOf(&joined, c.text[start:c.pos], raw); err != nil {
			return nil, err
		}
		c.trivia()
	}
	n, err := c.newNode(constantForm, "")
	if err == nil {
		n.value = Value{Kind: Bytes, Text: joined.String()}
	}
	return n, err
}

// bytesOf reads the inside of a literal, which may hold ASCII only.
func (c *cursor) bytesOf(b *strings.Builder, literal string, raw bool) error {
	quote := 1
	if len(literal) >= 6 && literal[1] == literal[0] && literal[2] == literal[0] {
		quote = 3
	}
	inner := &cursor{text: literal[quote : len(literal)-quote]}
	for !inner.end() {
		next := inner.peek()
		switch {
		case next >= 0x80:
			return c.want("bytes of ASCII characters")
		case next != '\\' || raw:
			b.WriteByte(next)
			inner.pos++
		default:
			if err := inner.byteEscape(b); err != nil {
				return c.want("an escape of bytes")
			}
		}
	}
	return nil
}

// byteEscape knows the escapes of strings but for those of characters beyond a byte.
func (c *cursor) byteEscape(b *strings.Builder) error {
	switch letter := c.peekAt(1); {
	case letter == 'x':
		c.pos++
		r, ok := c.hex(2)
		if !ok {
			return c.want("two hex digits")
		}
		b.WriteByte(byte(r))
		return nil
	case letter == 'u', letter == 'U', letter == 'N':
		b.WriteByte('\\')
		c.pos++
		return nil
	case letter >= '0' && letter <= '7':
		c.pos++
		code := 0
		for n := 0; n < 3 && c.peek() >= '0' && c.peek() <= '7'; n++ {
			code = code*8 + int(c.peek()-'0')
			c.pos++
		}
		b.WriteByte(byte(code))
		return nil
	}
	return c.escape(b)
}

// writeBytes writes bytes as Python's repr.
func writeBytes(b *strings.Builder, s string) {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.WriteByte('b')
	b.WriteByte(quote)
	for i := range len(s) {
		switch x := s[i]; {
		case x == quote, x == '\\', x == '\n', x == '\r', x == '\t':
			writeRune(b, rune(x), quote)
		case x >= ' ' && x < 0x7f:
			b.WriteByte(x)
		default:
			writeHex(b, `\x`, rune(x), 2)
		}
	}
	b.WriteByte(quote)
}
