package jinja

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
)

// str is Python's str(v).
func str(x *exec, v any) string {
	switch v := v.(type) {
	case string:
		return v
	case markup:
		return string(v)
	case *undefined:
		return ""
	}
	p := &printer{x: x}
	p.repr(v)
	return p.b.String()
}

// repr is Python's repr(v), of a value that has no parts that could be many.
func repr(v any) string {
	p := &printer{}
	p.repr(v)
	return p.b.String()
}

// reprOf is Python's repr(v), counted.
func reprOf(x *exec, v any) string {
	p := &printer{x: x}
	p.repr(v)
	return p.b.String()
}

const maxDigits = 4300 // of an integer that is written or read in base 10: Python's limit

// decimal writes an integer.
func decimal(i *big.Int) string {
	s := ""
	if i.BitLen() < 4*maxDigits {
		s = i.String()
	}
	if s == "" || len(strings.TrimPrefix(s, "-")) > maxDigits {
		valueError("Exceeds the limit (%d digits) for integer string conversion", maxDigits)
	}
	return s
}

// printer writes values as Python's repr.
type printer struct {
	x        *exec // counts what is written; may be nil
	b        strings.Builder
	depth    int
	sortKeys bool // as pprint does
}

const maxReprDepth = 100

func (p *printer) add(s string) {
	if p.x != nil {
		p.x.spend(len(s))
	}
	p.b.WriteString(s)
}

func (p *printer) repr(v any) {
	if p.depth++; p.depth > maxReprDepth {
		overLimit("a value is nested deeper than %d", maxReprDepth)
	}
	defer func() { p.depth-- }()
	switch v := v.(type) {
	case nil:
		p.add("None")
	case bool:
		p.add(map[bool]string{true: "True", false: "False"}[v])
	case int:
		p.add(strconv.Itoa(v))
	case *big.Int:
		p.add(decimal(v))
	case float64:
		p.add(floatText(v))
	case string:
		p.add(quote(v))
	case markup:
		p.add("Markup(" + quote(string(v)) + ")")
	case bytesValue:
		p.add(quoteBytes(string(v)))
	case *undefined:
		p.add("Undefined")
	case *List:
		p.items("[", "]", v.Items)
	case *Tuple:
		if len(v.Items) == 1 {
			p.items("(", ",)", v.Items)
			return
		}
		p.items("(", ")", v.Items)
	case *Dict:
		p.pairs(v)
	default:
		p.object(v)
	}
}

// object writes values that templates seldom print.
func (p *printer) object(v any) {
	switch v := v.(type) {
	case *rangeValue:
		if v.step == 1 {
			p.add(fmt.Sprintf("range(%d, %d)", v.start, v.stop))
			return
		}
		p.add(fmt.Sprintf("range(%d, %d, %d)", v.start, v.stop, v.step))
	case *view:
		items := make([]any, v.of.Len())
		for i := range items {
			items[i] = v.at(i)
		}
		p.items(v.kind+"([", "])", items)
	case *namespace:
		p.add("<Namespace ")
		p.pairs(v.attrs)
		p.add(">")
	case *macro:
		if v.node.name == "" {
			p.add("<Macro anonymous>")
			return
		}
		p.add("<Macro " + quote(v.node.name) + ">")
	case *loopContext:
		p.add(fmt.Sprintf("<LoopContext %d/%d>", v.index+1, v.len()))
	default:
		unsupported("printing a %s, which Python does with its address in memory", typeName(v))
	}
}

func (p *printer) items(open, end string, items []any) {
	p.add(open)
	for i, item := range items {
		if i > 0 {
			p.add(", ")
		}
		p.repr(item)
	}
	p.add(end)
}

func (p *printer) pairs(d *Dict) {
	order := make([]any, d.Len())
	for i := range order {
		order[i] = i
	}
	if p.sortKeys {
		order = sorted(p.x, order, func(i any) any { return d.keys[i.(int)] }, false)
	}
	p.add("{")
	for n, i := range order {
		if n > 0 {
			p.add(", ")
		}
		p.repr(d.keys[i.(int)])
		p.add(": ")
		p.repr(d.values[i.(int)])
	}
	p.add("}")
}

// floatText writes f as Python's repr: the shortest text that reads back, with a point or an
// exponent, exponents below −4 and from 16.
func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// quote writes s as Python's repr.
func quote(s string) string {
	q := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	var b strings.Builder
	b.WriteByte(q)
	for _, r := range s {
		switch {
		case r == rune(q) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte(q)
	return b.String()
}

// iterate is Python's iter(v): each call returns the next item.
func iterate(x *exec, v any) func() (any, bool) {
	n, at := 0, func(int) any { return nil }
	switch v := v.(type) {
	case *List:
		n, at = len(v.Items), func(i int) any { return v.Items[i] }
	case *Tuple:
		n, at = len(v.Items), func(i int) any { return v.Items[i] }
	case *Dict:
		n, at = v.Len(), func(i int) any { return v.keys[i] }
	case *view:
		n, at = v.of.Len(), v.at
	case *rangeValue:
		n, at = v.len(), func(i int) any { return v.start + i*v.step }
	case bytesValue:
		n, at = len(v), func(i int) any { return int(v[i]) }
	case *undefined:
	case *generator:
		return func() (any, bool) { x.step(); return v.next() }
	case *loopContext:
		return func() (any, bool) {
			if !v.advance() {
				return nil, false
			}
			return &Tuple{Items: []any{v.current, v}}, true
		}
	case string:
		return characters(x, v)
	case markup:
		return characters(x, string(v))
	default:
		typeError("'%s' object is not iterable", typeName(v))
	}
	i := 0
	return func() (any, bool) {
		if i >= n {
			return nil, false
		}
		x.step()
		i++
		return at(i - 1), true
	}
}

// characters are those of a text, each a str.
func characters(x *exec, s string) func() (any, bool) {
	rest := []rune(s)
	x.spend(len(s))
	return func() (any, bool) {
		if len(rest) == 0 {
			return nil, false
		}
		x.step()
		r := rest[0]
		rest = rest[1:]
		return string(r), true
	}
}

// list is Python's list(v), as a slice of its own.
func list(x *exec, v any) []any {
	var items []any
	next := iterate(x, v)
	for item, ok := next(); ok; item, ok = next() {
		items = append(items, item)
		x.spend(16)
	}
	return items
}

// quoteBytes writes Python's repr of bytes.
func quoteBytes(s string) string {
	q := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	var b strings.Builder
	b.WriteString("b" + string(q))
	for i := range len(s) {
		switch c := s[i]; {
		case c == q || c == '\\':
			b.WriteString(`\` + string(c))
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte(q)
	return b.String()
}
