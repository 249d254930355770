package jinja

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// spec is how a value is written: of printf-style formats and of str.format.
type spec struct {
	fill      string
	align     byte // '<', '>', '^', '=' or 0: numbers to the right, texts to the left
	sign      byte // '+', ' ', '-' (the same as none, but not allowed for texts) or 0
	alternate bool // '#'
	group     byte // ',' or '_' between thousands, or 0
	width     int
	precision int // −1: none
	verb      byte
}

const maxWidth = 1 << 20

// text pads a text.
func (f spec) text(x *exec, s string) string {
	if f.align == 0 {
		f.align = '<'
	}
	return f.pad(x, "", s)
}

// number pads a number; head is its sign and the prefix of its base.
func (f spec) number(x *exec, head, digits string) string {
	if f.align == 0 {
		f.align = '>'
	}
	return f.pad(x, head, digits)
}

func (f spec) pad(x *exec, head, s string) string {
	if f.width > maxWidth {
		overLimit("a width of %d", f.width)
	}
	room := f.width - length(head) - length(s)
	if room <= 0 {
		return head + s
	}
	fill := f.fill
	if fill == "" {
		fill = " "
	}
	x.spend(room * len(fill))
	switch f.align {
	case '<':
		return head + s + strings.Repeat(fill, room)
	case '^':
		return strings.Repeat(fill, room/2) + head + s + strings.Repeat(fill, room-room/2)
	case '=':
		return head + strings.Repeat(fill, room) + s
	}
	return strings.Repeat(fill, room) + head + s
}

// signOf is the sign of a number as the format writes it.
func (f spec) signOf(negative bool) string {
	switch {
	case negative:
		return "-"
	case f.sign == '+' || f.sign == ' ':
		return string(f.sign)
	}
	return ""
}

// integer returns the sign and the prefix of i, and its digits.
func (f spec) integer(x *exec, i *big.Int) (head, digits string) {
	base, prefix := 10, ""
	switch f.verb {
	case 'x', 'X':
		base, prefix = 16, "0"+string(f.verb)
	case 'o':
		base, prefix = 8, "0o"
	case 'b':
		base, prefix = 2, "0b"
	}
	abs := new(big.Int).Abs(i)
	if base == 10 {
		digits = decimal(abs)
	} else {
		x.spend(abs.BitLen())
		digits = abs.Text(base)
	}
	if f.verb == 'X' {
		digits = strings.ToUpper(digits)
	}
	if n := f.precision - len(digits); n > 0 {
		x.spend(n)
		digits = strings.Repeat("0", n) + digits
	}
	every := 3
	if base != 10 {
		every = 4
	}
	head = f.signOf(i.Sign() < 0)
	if f.alternate {
		head += prefix
	}
	return head, f.grouped(digits, every)
}

// grouped writes the group sign between digits, up to a point.
func (f spec) grouped(digits string, every int) string {
	if f.group == 0 {
		return digits
	}
	whole, rest := digits, ""
	if i := strings.IndexAny(digits, ".en%"); i >= 0 {
		whole, rest = digits[:i], digits[i:]
	}
	var b strings.Builder
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%every == 0 {
			b.WriteByte(f.group)
		}
		b.WriteRune(c)
	}
	return b.String() + rest
}

// float returns the sign of v and its digits as one of e, f, g and %, or without a verb.
func (f spec) float(x *exec, v float64) (head, digits string) {
	verb := f.verb | 0x20
	if f.verb == '%' {
		v, verb = v*100, 'f'
	}
	precision := f.precision
	if precision < 0 {
		precision = 6
	}
	x.spend(precision)
	switch a := math.Abs(v); {
	case math.IsInf(v, 0):
		digits = "inf"
	case math.IsNaN(v):
		digits = "nan"
	case f.verb == 0 && f.precision < 0:
		digits = floatText(a)
	case f.verb == 0:
		if digits = f.general(a, precision, 1); !strings.ContainsAny(digits, ".e") {
			digits += ".0"
		}
	case verb == 'g':
		digits = f.general(a, precision, 0)
	default:
		digits = f.pointed(strconv.FormatFloat(a, verb, precision, 64))
	}
	digits = f.grouped(digits, 3)
	if f.verb == '%' {
		digits += "%"
	}
	if f.verb >= 'A' && f.verb <= 'Z' {
		digits = strings.ToUpper(digits)
	}
	return f.signOf(math.Signbit(v) && !math.IsNaN(v)), digits
}

// pointed adds the point that the flag # wants.
func (f spec) pointed(digits string) string {
	if !f.alternate || strings.Contains(digits, ".") {
		return digits
	}
	if i := strings.IndexByte(digits, 'e'); i >= 0 {
		return digits[:i] + "." + digits[i:]
	}
	return digits + "."
}

// general is the format g. An exponent is written from 10 to the power of precision−less on.
func (f spec) general(a float64, precision, less int) string {
	precision = max(precision, 1)
	e := strconv.FormatFloat(a, 'e', precision-1, 64)
	exponent, _ := strconv.Atoi(e[strings.IndexByte(e, 'e')+1:])
	if exponent < -4 || exponent >= precision-less {
		mantissa, rest, _ := strings.Cut(e, "e")
		return f.pointed(f.trimmed(mantissa) + "e" + rest)
	}
	return f.pointed(f.trimmed(strconv.FormatFloat(a, 'f', precision-1-exponent, 64)))
}

// trimmed is a number without the zeros at its end, which the flag # keeps.
func (f spec) trimmed(s string) string {
	if f.alternate || !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}
