package jinja

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/runenames"
)

// text reads a string literal.
func (l *lexer) text(rest string, quote byte) {
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++ // of a longer character the first byte: its others are no quotes
		case quote:
			value, problem := l.unescape(rest[1:i])
			if problem != "" {
				raiseAt(l.line, "TemplateSyntaxError", "%s", problem)
			}
			l.add(token{kind: tokenString, text: value})
			l.advance(i + 1)
			return
		}
	}
	raiseAt(l.line, "TemplateSyntaxError", "unexpected char %s at %d", repr(string(quote)), l.at)
}

// unescape reads s as Python's codec "unicode-escape" does after everything beyond ASCII was
// written as an escape, which is how jinja2 reads its literals.
func (l *lexer) unescape(s string) (value, problem string) {
	if !strings.Contains(s, `\`) {
		return s, ""
	}
	s = asciiEscapes(s)
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			i++
			continue
		}
		if i+1 == len(s) {
			return "", `\ at end of string`
		}
		n, text, problem := l.escape(s[i+1:])
		if problem != "" {
			return "", problem
		}
		b.WriteString(text)
		i += 1 + n
	}
	return b.String(), ""
}

// asciiEscapes writes what is beyond ASCII as Python's error handler "backslashreplace" does.
func asciiEscapes(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

var simpleEscapes = map[byte]string{
	'\n': "", '\\': `\`, '\'': "'", '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f",
	'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
}

// escape reads one escape behind its backslash and returns its length and its text.
func (l *lexer) escape(s string) (n int, text, problem string) {
	if text, ok := simpleEscapes[s[0]]; ok {
		return 1, text, ""
	}
	switch c := s[0]; {
	case c >= '0' && c <= '7':
		n := 1
		for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			n++
		}
		v, _ := strconv.ParseUint(s[:n], 8, 32)
		return n, string(rune(v)), ""
	case c == 'x':
		return hexEscape(s, 2, `truncated \xXX escape`)
	case c == 'u':
		return hexEscape(s, 4, `truncated \uXXXX escape`)
	case c == 'U':
		return hexEscape(s, 8, `truncated \UXXXXXXXX escape`)
	case c == 'N':
		return l.nameEscape(s)
	}
	return 0, `\`, "" // an unknown escape stays as it is
}

func hexEscape(s string, size int, problem string) (int, string, string) {
	if len(s) < 1+size {
		return 0, "", problem
	}
	v, err := strconv.ParseUint(s[1:1+size], 16, 32)
	if err != nil {
		return 0, "", problem
	}
	if v >= 0xd800 && v < 0xe000 {
		unsupported("half a surrogate pair in a text")
	}
	if v > unicode.MaxRune {
		return 0, "", "illegal Unicode character"
	}
	return 1 + size, string(rune(v)), ""
}

// nameEscape reads \N{NAME}.
func (l *lexer) nameEscape(s string) (int, string, string) {
	end := strings.IndexByte(s, '}')
	if !strings.HasPrefix(s, "N{") || end < 3 {
		return 0, "", `malformed \N character escape`
	}
	if l.characters == nil {
		l.characters = map[string]rune{}
		for r := rune(0); r <= unicode.MaxRune; r++ {
			if name := runenames.Name(r); name != "" {
				l.characters[name] = r
			}
		}
	}
	name := strings.ToUpper(s[2:end])
	r, ok := l.characters[name]
	if !ok {
		unsupported("the character %s: its name is unknown here", repr(name))
	}
	return end + 1, string(r), ""
}

// notInNames are letters whose normal form is no name: Unicode's XID_Start and XID_Continue leave them out.
const notInNames = "\u037a\u2e2f\u309b\u309c\ufc5e\ufc5f\ufc60\ufc61\ufc62\ufc63\ufdfa\ufdfb" +
	"\ufe70\ufe72\ufe74\ufe76\ufe78\ufe7a\ufe7c\ufe7e"

// isIdentifier is Python's str.isidentifier.
func isIdentifier(s string) bool {
	for i, r := range s {
		start := r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.Nl, r) || unicode.Is(unicode.Other_ID_Start, r)
		more := unicode.In(r, unicode.Mn, unicode.Mc, unicode.Nd, unicode.Pc, unicode.Other_ID_Continue)
		switch {
		case !start && !more, !start && i == 0, r >= 0x80 && strings.ContainsRune(notInNames, r):
			return false
		case i == 0 && strings.ContainsRune("\u0e33\u0eb3\uff9e\uff9f", r):
			return false
		}
	}
	return s != ""
}

// number reads an integer or a float. Behind a dot only integers are read: a.0.1.
func (l *lexer) number(rest string) {
	behindDot := l.at > 0 && l.source[l.at-1] == '.'
	if n := floatLength(rest); n > 0 && !behindDot {
		f, _ := strconv.ParseFloat(strings.ReplaceAll(rest[:n], "_", ""), 64) // beyond the range infinity
		l.add(token{kind: tokenNumber, value: f, text: rest[:n]})
		l.advance(n)
		return
	}
	n := integerLength(rest)
	text := strings.ReplaceAll(rest[:n], "_", "")
	hasBase := strings.ContainsAny(text[:min(2, len(text))], "bBoOxX")
	if isDecimal(text[len(text)-1]) && !hasBase && len(text) > maxDigits {
		raiseAt(l.line, "ValueError", "Exceeds the limit (%d digits) for integer string conversion", maxDigits)
	}
	value, _ := new(big.Int).SetString(text, 0)
	l.add(token{kind: tokenNumber, value: normal(value), text: rest[:n], whole: true})
	l.advance(n)
}

// digits is the length of digits of a base with single underscores between them. first: an underscore
// may stand before the first one.
func digits(s string, first bool, is func(byte) bool) int {
	n := 0
	for n < len(s) {
		at := n
		if s[at] == '_' && (n > 0 || first) {
			at++
		}
		if at >= len(s) || !is(s[at]) {
			break
		}
		n = at + 1
	}
	return n
}

func floatLength(s string) int {
	n := digits(s, false, isDecimal)
	if n == 0 {
		return 0
	}
	length := 0
	if n < len(s) && s[n] == '.' {
		if d := digits(s[n+1:], false, isDecimal); d > 0 {
			n += 1 + d
			length = n
		}
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		e := n + 1
		if e < len(s) && (s[e] == '+' || s[e] == '-') {
			e++
		}
		if d := digits(s[e:], false, isDecimal); d > 0 {
			length = e + d
		}
	}
	return length
}

func integerLength(s string) int {
	if len(s) > 1 && s[0] == '0' {
		is := func(byte) bool { return false }
		switch s[1] | 0x20 {
		case 'b':
			is = func(c byte) bool { return c == '0' || c == '1' }
		case 'o':
			is = func(c byte) bool { return c >= '0' && c <= '7' }
		case 'x':
			is = func(c byte) bool { return isDecimal(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
		}
		if n := digits(s[2:], true, is); n > 0 {
			return 2 + n
		}
	}
	if s[0] == '0' {
		return digits(s, false, func(c byte) bool { return c == '0' })
	}
	return digits(s, false, isDecimal)
}
