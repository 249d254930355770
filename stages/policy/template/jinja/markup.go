package jinja

import (
	"html"
	"strconv"
	"strings"
	"unicode"
)

// markupMethods are the methods of Markup that str does not have, or that escape more than one argument.
var markupMethods = map[string]func(x *exec, s string, a args) any{
	"join": func(x *exec, s string, a args) any {
		next := iterate(x, bind("join", a, "iterable/")[0])
		var b strings.Builder
		for i := 0; ; i++ {
			v, ok := next()
			if !ok {
				return markup(b.String())
			}
			if i > 0 {
				b.WriteString(x.made(s))
			}
			part, _ := text(escapeFilter(x, v, args{}))
			b.WriteString(part)
		}
	},
	"striptags": func(x *exec, s string, a args) any { return stripTags(x, markup(s), a) },
	"unescape":  func(x *exec, s string, a args) any { bind("unescape", a); return x.made(unescapeHTML(s)) },
	"escape":    func(x *exec, _ string, a args) any { return escapeFilter(x, bind("escape", a, "s/")[0], args{}) },
}

func stripTags(x *exec, of any, a args) any {
	bind("striptags", a)
	s := str(x, of)
	s = x.without(x.without(s, "<!--", "-->"), "<", ">")
	x.work(len(s))
	return x.made(unescapeHTML(strings.Join(strings.FieldsFunc(s, isSpace), " ")))
}

// without removes what stands between open and end, both included, again and again.
func (x *exec) without(s, open, end string) string {
	for {
		i := strings.Index(s, open)
		if i < 0 {
			return s
		}
		n := strings.Index(s[i:], end)
		if n < 0 {
			return s
		}
		x.spend(len(s))
		s = s[:i] + s[i+n+len(end):]
	}
}

// unescapeHTML is Python's html.unescape. Go's knows the same names, but not the numbers that HTML forbids.
func unescapeHTML(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '&')
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i:]
		var n int
		if strings.HasPrefix(s, "&#") {
			n = numericReference(s)
			b.WriteString(numbered(s[:n]))
		} else {
			n = namedReference(s)
			b.WriteString(html.UnescapeString(s[:n]))
		}
		s = s[n:]
	}
}

// namedReference is the length of what may be a reference by name.
func namedReference(s string) int {
	end := strings.IndexFunc(s[1:], func(r rune) bool { return strings.ContainsRune("\t\n\f <&#;", r) }) + 1
	switch {
	case end == 0:
		return len(s)
	case s[end] == ';':
		return end + 1
	}
	return end
}

// numericReference is the length of a reference by number, or of the "&#" that begins none.
func numericReference(s string) int {
	first, is := 2, isDecimal
	if len(s) > 2 && s[2]|0x20 == 'x' {
		first, is = 3, func(c byte) bool { return isDecimal(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
	}
	end := first
	for end < len(s) && is(s[end]) {
		end++
	}
	switch {
	case end == first:
		return 2
	case end < len(s) && s[end] == ';':
		return end + 1
	}
	return end
}

// numbered is the character of a reference by number.
func numbered(ref string) string {
	digits, base := strings.TrimSuffix(ref[2:], ";"), 10
	if digits == "" {
		return ref
	}
	if digits[0]|0x20 == 'x' {
		digits, base = digits[1:], 16
	}
	if base == 10 && len(digits) > maxDigits {
		valueError("Exceeds the limit (%d digits) for integer string conversion", maxDigits)
	}
	n, err := strconv.ParseUint(digits, base, 32)
	r := rune(n)
	switch {
	case err != nil || n == 0 || n > unicode.MaxRune || n >= 0xd800 && n < 0xe000:
		return "\ufffd"
	case n >= 0x80 && n < 0xa0:
		return html.UnescapeString(ref)
	case r <= 8 || r == 0xb || r >= 0xe && r < ' ' || r == 0x7f || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe:
		return ""
	}
	return string(r)
}
