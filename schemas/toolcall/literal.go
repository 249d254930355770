package toolcall

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Literal reads one Python literal, such as {'name': 'f', 'on': True}, with nothing but blanks
// around it. It evaluates nothing, and a name, such as NaN, is no literal. The error is a
// *SyntaxError.
func Literal(text string) (Value, error) {
	c, err := newCursor(text)
	if err != nil {
		return Value{}, err
	}
	c.plain = true
	c.blanks()
	v, err := c.value()
	if err != nil {
		return Value{}, err
	}
	if c.blanks(); !c.end() {
		return Value{}, c.want("the end")
	}
	return v, nil
}

// Number and string literals, as Python writes them.

func digit(b byte) bool { return b >= '0' && b <= '9' }

func (c *cursor) atNumber() bool {
	return digit(c.peek()) || c.peek() == '.' && digit(c.peekAt(1))
}

// number reads an unsigned int or float literal in Python's syntax: 0x1f, 1_000, .5, 1e3. A
// name that follows without a blank is an error.
func (c *cursor) number() (Value, error) {
	if c.peek() == '0' && strings.IndexByte("xXoObB", c.peekAt(1)) >= 0 && c.peekAt(1) != 0 {
		return c.prefixedInt()
	}
	start, float := c.pos, false
	if err := c.digits(); err != nil {
		return Value{}, err
	}
	if c.peek() == '.' {
		float = true
		c.pos++
		if err := c.digits(); err != nil {
			return Value{}, err
		}
	}
	if b := c.peek(); b == 'e' || b == 'E' {
		signed := c.peekAt(1) == '+' || c.peekAt(1) == '-'
		if digit(c.peekAt(1)) || signed && digit(c.peekAt(2)) {
			float = true
			c.pos++
			if signed {
				c.pos++
			}
			if err := c.digits(); err != nil {
				return Value{}, err
			}
		}
	}
	literal := strings.ReplaceAll(c.text[start:c.pos], "_", "")
	imaginary := c.exact && (c.take("j") || c.take("J"))
	if r, _ := utf8.DecodeRuneInString(c.text[c.pos:]); !c.end() && identPart(r) {
		c.unsure = true // Python reads 1or 2
		return Value{}, c.want("the end of a number")
	}
	if imaginary {
		return Value{Kind: Complex, Text: literal + "j"}, nil
	}
	if float {
		f, _ := strconv.ParseFloat(literal, 64) // out of range is an infinity, as in Python
		return Number(f), nil
	}
	digits := strings.TrimLeft(literal, "0")
	if digits == "" {
		digits = "0"
	} else if len(digits) != len(literal) || len(digits) > MaxDigits {
		c.pos = start
		return Value{}, c.want("an int without leading zeros and of at most 4300 digits")
	}
	return Value{Kind: Int, Text: digits}, nil
}

// digits skips decimal digits with single underscores between them.
func (c *cursor) digits() error {
	for digit(c.peek()) {
		c.pos++
		if c.peek() == '_' {
			c.pos++
			if !digit(c.peek()) {
				return c.want("a digit")
			}
		}
	}
	return nil
}

func (c *cursor) prefixedInt() (Value, error) {
	start := c.pos
	c.pos += 2
	for !c.end() && (c.peek() == '_' || identPart(rune(c.peek()))) {
		c.pos++
	}
	literal := c.text[start:c.pos]
	n, ok := new(big.Int), false
	if len(literal) <= MaxDigits {
		n, ok = n.SetString(literal, 0)
	}
	if !ok || len(n.Text(10)) > MaxDigits {
		c.pos, c.unsure = start, c.unsure || ok || len(literal) > MaxDigits
		return Value{}, c.want("an int")
	}
	return Value{Kind: Int, Text: n.String()}, nil
}

// quoted reads a string literal in single or triple quotes, with Python's escapes. With raw,
// backslashes are kept. An unknown escape keeps its backslash.
func (c *cursor) quoted(raw bool) (string, error) {
	start := c.pos
	quote := c.text[c.pos : c.pos+1]
	long := c.take(quote + quote + quote)
	if long {
		quote += quote + quote
	} else {
		c.pos++
	}
	var b strings.Builder
	for {
		switch {
		case c.end() || !long && (c.peek() == '\n' || c.peek() == '\r'):
			at := &SyntaxError{Offset: max(c.pos+c.shift, 0), Want: "a closing " + quote}
			at.Got = fmt.Sprintf("a string that opens at byte %d", max(start+c.shift, 0))
			return "", at
		case c.take(quote):
			return b.String(), nil
		case c.peek() == '\\' && raw:
			c.rawEscape(&b)
		case c.peek() == '\\':
			if err := c.escape(&b); err != nil {
				return "", err
			}
		case c.peek() == '\r': // Python reads every line end as \n
			c.pos++
			c.take("\n")
			b.WriteByte('\n')
		default:
			b.WriteByte(c.text[c.pos])
			c.pos++
		}
	}
}

// rawEscape keeps the backslash and the character after it.
func (c *cursor) rawEscape(b *strings.Builder) {
	b.WriteByte('\\')
	c.pos++
	if !c.end() {
		_, size := utf8.DecodeRuneInString(c.text[c.pos:])
		b.WriteString(c.text[c.pos : c.pos+size])
		c.pos += size
	}
}

const plainEscapes = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v"

func (c *cursor) escape(b *strings.Builder) error {
	c.pos++
	letter := c.peek()
	for i := 0; i < len(plainEscapes); i += 2 {
		if plainEscapes[i] == letter {
			b.WriteByte(plainEscapes[i+1])
			c.pos++
			return nil
		}
	}
	switch {
	case c.take("\r\n") || c.take("\n") || c.take("\r"): // a continued line
	case letter == 'x':
		return c.hexEscape(b, 2)
	case letter == 'u':
		return c.hexEscape(b, 4)
	case letter == 'U':
		return c.hexEscape(b, 8)
	case letter == 'N':
		c.unsure = true
		return c.want("an escape other than \\N, which is not supported")
	case letter >= '0' && letter <= '7':
		code := 0
		for n := 0; n < 3 && c.peek() >= '0' && c.peek() <= '7'; n++ {
			code = code*8 + int(c.peek()-'0')
			c.pos++
		}
		b.WriteRune(rune(code))
	default:
		b.WriteByte('\\')
	}
	return nil
}

// hexEscape reads \x, \u and \U. A surrogate pair becomes its character, a single half is an error. If the cursor is
// exact, both halves are kept, as Python keeps them; see surrogate.
func (c *cursor) hexEscape(b *strings.Builder, digits int) error {
	start := c.pos - 1
	r, ok := c.hex(digits)
	if ok && c.exact && r >= 0xD800 && r < 0xE000 {
		b.WriteString(surrogate(r))
		return nil
	}
	if ok && r >= 0xD800 && r < 0xDC00 && c.take(`\u`) {
		low, lowOK := c.hex4()
		ok = lowOK && low >= 0xDC00 && low < 0xE000
		r = 0x10000 + (r-0xD800)<<10 + (low - 0xDC00)
	}
	if !ok || !utf8.ValidRune(r) {
		c.pos = start
		return c.want("an escape that names a character")
	}
	b.WriteRune(r)
	return nil
}

// hex reads the letter x, u or U and the digits after it.
func (c *cursor) hex(digits int) (rune, bool) {
	c.pos++
	return c.hexDigits(digits)
}

func (c *cursor) hex4() (rune, bool) { return c.hexDigits(4) }

func (c *cursor) hexDigits(digits int) (rune, bool) {
	if c.pos+digits > len(c.text) {
		return 0, false
	}
	n, err := strconv.ParseUint(c.text[c.pos:c.pos+digits], 16, 32)
	if err != nil {
		return 0, false
	}
	c.pos += digits
	if n > unicode.MaxRune {
		return 0, false
	}
	return rune(n), true
}
