package jinja

import (
	"math/big"
	"strconv"
	"strings"
)

func printf(x *exec, s string, value any, escaped bool) string {
	p := &printfArgs{x: x, value: value}
	if t, ok := value.(*Tuple); ok {
		p.items = t.Items
	} else {
		p.items = []any{value}
	}
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		part, n := p.directive(s[i+1:], escaped)
		b.WriteString(part)
		s = s[i+1+n:]
	}
	mapping := false
	switch value.(type) {
	case *Dict, *List, *rangeValue, *undefined, *loopContext: // what has items passes for a mapping
		mapping = true
	}
	if p.used < len(p.items) && !mapping {
		typeError("not all arguments converted during string formatting")
	}
	return x.made(b.String())
}

type printfArgs struct {
	x     *exec
	value any
	items []any
	used  int
}

func (p *printfArgs) next() any {
	if p.used >= len(p.items) {
		typeError("not enough arguments for format string")
	}
	p.used++
	return p.items[p.used-1]
}

func (p *printfArgs) directive(s string, escaped bool) (string, int) {
	rest := s
	f := spec{precision: -1}
	var named any
	byName := false
	if strings.HasPrefix(rest, "(") {
		end := strings.IndexByte(rest, ')')
		d, ok := p.value.(*Dict)
		if end < 0 {
			valueError("incomplete format key")
		}
		if !ok {
			typeError("format requires a mapping")
		}
		if named, ok = d.Get(rest[1:end]); !ok {
			raise("KeyError", "%s", repr(rest[1:end]))
		}
		byName = true
		rest = rest[end+1:]
	}
	rest = p.flags(&f, rest)
	rest = strings.TrimLeft(rest, "hlL")
	if rest == "" {
		valueError("incomplete format")
	}
	f.verb = rest[0]
	n := len(s) - len(rest) + 1
	if f.verb == '%' {
		return "%", n
	}
	v := named
	if !byName {
		v = p.next()
	}
	return p.write(f, v, escaped), n
}

func (p *printfArgs) flags(f *spec, s string) string {
	for s != "" && strings.ContainsRune("-+ #0", rune(s[0])) {
		switch s[0] {
		case '-':
			f.align = '<'
		case '#':
			f.alternate = true
		case '0':
			f.fill = "0"
		case '+':
			f.sign = '+'
		case ' ':
			if f.sign == 0 {
				f.sign = ' '
			}
		}
		s = s[1:]
	}
	f.width, s = p.size(s, 0)
	if f.width < 0 {
		f.align, f.width = '<', -f.width
	}
	if strings.HasPrefix(s, ".") {
		f.precision, s = p.size(s[1:], 0)
		f.precision = max(f.precision, 0)
	}
	switch {
	case f.align == '<':
		f.fill = " "
	case f.fill == "0":
		f.align = '='
	default:
		f.align = '>'
	}
	return s
}

func (p *printfArgs) size(s string, none int) (int, string) {
	if strings.HasPrefix(s, "*") {
		return count(p.next()), s[1:]
	}
	n := 0
	for n < len(s) && isDecimal(s[n]) {
		n++
	}
	if n == 0 {
		return none, s
	}
	v, err := strconv.Atoi(s[:n])
	if err != nil || v > maxWidth {
		overLimit("a width of %.20s", s[:n])
	}
	return v, s[n:]
}

func (p *printfArgs) write(f spec, v any, escaped bool) string {
	x := p.x
	switch f.verb {
	case 's', 'r', 'a':
		s := ""
		switch f.verb {
		case 's':
			s = str(x, v)
		case 'r':
			s = (&printer{x: x}).text(v)
		default:
			unsupported("the format %%a")
		}
		if escaped && !isMarkup(v) {
			s = escapeHTML(s)
		}
		if f.precision >= 0 {
			s = firstRunes(s, f.precision)
		}
		if f.align == '=' {
			f.align, f.fill = '>', " "
		}
		return f.pad(x, s, false)
	case 'd', 'i', 'u', 'x', 'X', 'o':
		return f.pad(x, f.integer(printfInt(f.verb, v)), true)
	case 'e', 'E', 'f', 'F', 'g', 'G':
		if !isNumber(v) {
			if u, ok := v.(*undefined); ok {
				u.fail()
			}
			typeError("must be real number, not %s", typeName(v))
		}
		return f.pad(x, f.float(toFloat(v)), true)
	case 'c':
		if s, ok := text(v); ok && length(s) == 1 {
			return f.pad(x, s, false)
		}
		i, ok := small(v)
		if !ok {
			typeError("%%c requires int or char")
		}
		if i < 0 || i > 0x10ffff {
			raise("OverflowError", "%%c arg not in range(0x110000)")
		}
		return f.pad(x, string(rune(i)), false)
	}
	valueError("unsupported format character '%c' (0x%x)", f.verb, f.verb)
	return ""
}

func printfInt(verb byte, v any) *big.Int {
	if i, ok := integer(v); ok {
		return i
	}
	if f, ok := v.(float64); ok && (verb == 'd' || verb == 'i' || verb == 'u') {
		return toInt(f)
	}
	if u, ok := v.(*undefined); ok {
		u.fail()
	}
	typeError("%%%c format: a real number is required, not %s", verb, typeName(v))
	return nil
}
