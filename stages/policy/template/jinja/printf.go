package jinja

import (
	"math/big"
	"strings"
	"unicode/utf8"
)

// printfArgs are the values of the operator % of a text.
type printfArgs struct {
	x       *exec
	mapping any // the value, where it has items; else nil
	items   []any
	used    int
	escape  bool // the text is a Markup: values are escaped
}

// printf is the operator % of a text.
func printf(x *exec, s string, value any, escape bool) string {
	p := &printfArgs{x: x, items: []any{value}, escape: escape}
	switch v := value.(type) {
	case *Tuple:
		p.items = v.Items
	case *Dict, *List, *rangeValue, *undefined, bytesValue:
		p.mapping = v
	}
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		if strings.HasPrefix(s, "%") {
			b.WriteByte('%')
			s = s[1:]
			continue
		}
		var part string
		part, s = p.directive(s)
		b.WriteString(x.made(part))
	}
	if p.used < len(p.items) && p.mapping == nil {
		typeError("not all arguments converted during string formatting")
	}
	return x.made(b.String())
}

func (p *printfArgs) next() any {
	if p.used >= len(p.items) {
		typeError("not enough arguments for format string")
	}
	p.used++
	return p.items[p.used-1]
}

// directive writes one directive behind its sign and returns what follows it.
func (p *printfArgs) directive(s string) (text, rest string) {
	f := spec{precision: -1}
	if strings.HasPrefix(s, "(") {
		s = p.key(s)
	}
	s = p.flags(&f, s)
	if s != "" && strings.IndexByte("hlL", s[0]) >= 0 {
		s = s[1:]
	}
	if s == "" {
		valueError("incomplete format")
	}
	f.verb = s[0]
	_, n := utf8.DecodeRuneInString(s)
	return p.write(f, p.next()), s[n:]
}

// key takes the item of a mapping for the only value, as in %(name)s.
func (p *printfArgs) key(s string) (rest string) {
	if p.mapping == nil {
		typeError("format requires a mapping")
	}
	open, end := 1, 1
	for ; end < len(s) && open > 0; end++ {
		switch s[end] {
		case '(':
			open++
		case ')':
			open--
		}
	}
	if open > 0 {
		valueError("incomplete format key")
	}
	name := s[1 : end-1]
	switch m := p.mapping.(type) {
	case *undefined:
		m.fail()
	case *Dict:
		v, ok := m.Get(name)
		if !ok {
			raise("KeyError", "%s", repr(name))
		}
		p.items, p.used = []any{v}, 0
		return s[end:]
	}
	typeError("%s indices must be integers or slices, not str", typeName(p.mapping))
	return ""
}

func (p *printfArgs) flags(f *spec, s string) string {
	left, zero := false, false
	for ; s != "" && strings.IndexByte("-+ #0", s[0]) >= 0; s = s[1:] {
		switch s[0] {
		case '-':
			left = true
		case '#':
			f.alternate = true
		case '0':
			zero = true
		case '+':
			f.sign = '+'
		case ' ':
			if f.sign == 0 {
				f.sign = ' '
			}
		}
	}
	if f.width, s = p.size(s, 0); f.width < 0 {
		left, f.width = true, -f.width
	}
	if strings.HasPrefix(s, ".") {
		f.precision, s = p.size(s[1:], 0)
		f.precision = max(f.precision, 0)
	}
	switch {
	case left:
		f.align = '<'
	case zero && strings.IndexByte("diuxXoeEfFgG", verbOf(s)) >= 0:
		f.fill, f.align = "0", '='
	default:
		f.align = '>'
	}
	return s
}

// verbOf is the letter of a directive behind its length, or 0.
func verbOf(s string) byte {
	if s != "" && strings.IndexByte("hlL", s[0]) >= 0 {
		s = s[1:]
	}
	if s == "" {
		return 0
	}
	return s[0]
}

// size reads a width or a precision, of which * takes the next argument.
func (p *printfArgs) size(s string, none int) (int, string) {
	if !strings.HasPrefix(s, "*") {
		return formatSize(s, none)
	}
	v := p.next()
	if i, ok := integer(v); !ok || p.escape {
		typeError("* wants int")
	} else if i.BitLen() > 31 {
		raise("OverflowError", "Python int too large to convert to C int")
	}
	return count(v), s[1:]
}

func (p *printfArgs) write(f spec, v any) string {
	x := p.x
	switch f.verb {
	case 's', 'r', 'a':
		s := p.text(f.verb, v)
		if f.precision >= 0 {
			s = firstRunes(s, f.precision)
		}
		return f.text(x, s)
	case 'd', 'i', 'u', 'x', 'X', 'o':
		head, digits := f.integer(x, p.integer(f.verb, v))
		return f.number(x, head, digits)
	case 'e', 'E', 'f', 'F', 'g', 'G':
		if u, ok := v.(*undefined); ok {
			u.fail()
		}
		if !isNumber(v) && !p.escape {
			typeError("must be real number, not %s", typeName(v))
		}
		head, digits := f.float(x, toFloat(v))
		return f.number(x, head, digits)
	case 'c':
		return f.text(x, p.character(v))
	}
	valueError("unsupported format character '%c' (0x%x)", f.verb, f.verb)
	return ""
}

func (p *printfArgs) text(verb byte, v any) string {
	if verb == 's' {
		s := str(p.x, v)
		if p.escape && !isMarkup(v) {
			s = escapeHTML(s)
		}
		return s
	}
	s := reprOf(p.x, v)
	if p.escape {
		s = escapeHTML(s)
	}
	if verb == 'a' {
		s = asciiEscapes(s)
	}
	return s
}

func (p *printfArgs) character(v any) string {
	if s, ok := text(v); ok && length(s) == 1 && !p.escape {
		return s
	}
	i, ok := small(v)
	if !ok || p.escape {
		typeError("%%c requires int or char")
	}
	if i < 0 || i > 0x10ffff {
		raise("OverflowError", "%%c arg not in range(0x110000)")
	}
	if i >= 0xd800 && i < 0xe000 {
		unsupported("half a surrogate pair in a text")
	}
	return string(rune(i))
}

// integer is the value of %d and the like. A Markup wraps its values, and what wraps them is a number for %d alone.
func (p *printfArgs) integer(verb byte, v any) *big.Int {
	decimal := verb == 'd' || verb == 'i' || verb == 'u'
	if p.escape && decimal {
		return toInt(v)
	}
	if i, ok := integer(v); ok && !p.escape {
		return i
	}
	if f, ok := v.(float64); ok && decimal {
		return toInt(f)
	}
	if u, ok := v.(*undefined); ok && decimal {
		u.fail()
	}
	typeError("%%%c format: a real number is required, not %s", verb, typeName(v))
	return nil
}
