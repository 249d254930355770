package jinja

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// spec is how a value is written: of printf-style formats and of str.format.
type spec struct {
	fill      string
	align     byte // '<', '>', '^', '=' or 0
	sign      byte // '+', ' ' or 0
	alternate bool // '#'
	group     byte // ',' or '_' between thousands, or 0
	width     int
	precision int // −1: none
	verb      byte
}

const maxWidth = 1 << 20

// pad aligns a text; numbers go right and texts left where nothing is said.
func (f spec) pad(x *exec, s string, number bool) string {
	if f.width > maxWidth {
		overLimit("a width of %d", f.width)
	}
	room := f.width - length(s)
	if room <= 0 {
		return s
	}
	fill, align := f.fill, f.align
	if fill == "" {
		fill = " "
	}
	if align == 0 {
		align = '<'
		if number {
			align = '>'
		}
	}
	x.spend(room * len(fill))
	switch align {
	case '<':
		return s + strings.Repeat(fill, room)
	case '^':
		return strings.Repeat(fill, room/2) + s + strings.Repeat(fill, room-room/2)
	case '=':
		n := signLength(s)
		return s[:n] + strings.Repeat(fill, room) + s[n:]
	}
	return strings.Repeat(fill, room) + s
}

// signLength is the length of the sign and the prefix of a base.
func signLength(s string) int {
	n := 0
	if s != "" && strings.ContainsRune("+- ", rune(s[0])) {
		n = 1
	}
	if len(s) > n+1 && s[n] == '0' && strings.ContainsRune("xXobB", rune(s[n+1])) {
		n += 2
	}
	return n
}

func (f spec) signed(negative bool, digits string) string {
	switch {
	case negative:
		return "-" + digits
	case f.sign != 0:
		return string(f.sign) + digits
	}
	return digits
}

// integer writes digits of a base.
func (f spec) integer(i *big.Int) string {
	base, prefix := 10, ""
	switch f.verb {
	case 'x', 'X':
		base, prefix = 16, "0"+string(f.verb)
	case 'o':
		base, prefix = 8, "0o"
	case 'b':
		base, prefix = 2, "0b"
	}
	digits := new(big.Int).Abs(i).Text(base)
	if f.verb == 'X' {
		digits = strings.ToUpper(digits)
	}
	if f.precision > len(digits) {
		digits = strings.Repeat("0", min(f.precision, maxWidth)-len(digits)) + digits
	}
	every := 3
	if base != 10 {
		every = 4
	}
	digits = f.grouped(digits, every)
	if f.alternate {
		digits = prefix + digits
	}
	return f.signed(i.Sign() < 0, digits)
}

// grouped writes the group sign between digits, up to a point.
func (f spec) grouped(digits string, every int) string {
	if f.group == 0 {
		return digits
	}
	whole, rest := digits, ""
	if i := strings.IndexAny(digits, ".e"); i >= 0 {
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

// float writes f as one of e, f, g and %.
func (f spec) float(v float64) string {
	verb := f.verb | 0x20
	if f.verb == '%' {
		v, verb = v*100, 'f'
	}
	digits := ""
	precision := f.precision
	if precision < 0 {
		precision = 6
	}
	precision = min(precision, 1000)
	switch a := math.Abs(v); {
	case math.IsInf(v, 0):
		digits = "inf"
	case math.IsNaN(v):
		digits = "nan"
	case verb == 'g':
		digits = general(a, precision, f.alternate)
	default:
		digits = strconv.FormatFloat(a, verb, precision, 64)
		if f.alternate && precision == 0 {
			unsupported("the flag # of a float without digits")
		}
	}
	digits = f.grouped(digits, 3)
	if f.verb == '%' {
		digits += "%"
	}
	if f.verb >= 'A' && f.verb <= 'Z' {
		digits = strings.ToUpper(digits)
	}
	return f.signed(math.Signbit(v) && !math.IsNaN(v), digits)
}

// general is the format g.
func general(a float64, precision int, keepZeros bool) string {
	precision = max(precision, 1)
	e := strconv.FormatFloat(a, 'e', precision-1, 64)
	exponent, _ := strconv.Atoi(e[strings.IndexByte(e, 'e')+1:])
	if exponent < -4 || exponent >= precision {
		mantissa, rest, _ := strings.Cut(e, "e")
		if !keepZeros && strings.Contains(mantissa, ".") {
			mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
		}
		return mantissa + "e" + rest
	}
	s := strconv.FormatFloat(a, 'f', precision-1-exponent, 64)
	if !keepZeros && strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// printf is the operator % of a text.
// directive writes one directive behind its sign and returns its length.
// size reads a width or a precision, of which * takes the next argument.
func (p *printer) text(v any) string {
	p.repr(v)
	return p.b.String()
}

// firstRunes are the first n characters.
func firstRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// formatValue is Python's format(v, spec).
func formatValue(x *exec, v any, text string) string {
	if text == "" {
		return str(x, v)
	}
	f := parseSpec(text)
	_, isInt := integer(v)
	_, isFloat := v.(float64)
	_, isBool := v.(bool)
	switch {
	case isText(v):
		if f.verb != 0 && f.verb != 's' {
			valueError("Unknown format code '%c' for object of type 'str'", f.verb)
		}
		if f.sign != 0 || f.alternate || f.group != 0 || f.align == '=' {
			valueError("a sign, #, = or grouping is not allowed in the format of a str")
		}
		s := str(x, v)
		if f.precision >= 0 {
			s = firstRunes(s, f.precision)
		}
		return f.pad(x, s, false)
	case isInt && (f.verb == 0 && !isBool || strings.IndexByte("dxXob", f.verb) >= 0 && f.verb != 0):
		if f.precision >= 0 {
			valueError("Precision not allowed in integer format specifier")
		}
		i, _ := integer(v)
		return f.pad(x, f.integer(i), true)
	case (isInt || isFloat) && strings.IndexByte("eEfFgG%", f.verb) >= 0 && f.verb != 0:
		return f.pad(x, f.float(toFloat(v)), true)
	case isFloat && f.verb == 0 && f.precision < 0:
		s := floatText(math.Abs(v.(float64)))
		return f.pad(x, f.signed(math.Signbit(v.(float64)), f.grouped(s, 3)), true)
	}
	if isInt || isFloat {
		unsupported("the format %s of a %s", repr(text), typeName(v))
	}
	typeError("unsupported format string passed to %s.__format__", typeName(v))
	return ""
}

// parseSpec reads [[fill]align][sign][#][0][width][group][.precision][type].
func parseSpec(s string) spec {
	f := spec{precision: -1}
	text := s
	runes := []rune(s)
	isAlign := func(i int) bool { return i < len(runes) && strings.ContainsRune("<>^=", runes[i]) }
	switch {
	case isAlign(1):
		f.fill, f.align, runes = string(runes[0]), byte(runes[1]), runes[2:]
	case isAlign(0):
		f.align, runes = byte(runes[0]), runes[1:]
	}
	s = string(runes)
	take := func(set string) byte {
		if s != "" && strings.IndexByte(set, s[0]) >= 0 {
			c := s[0]
			s = s[1:]
			return c
		}
		return 0
	}
	if f.sign = take("+- "); f.sign == '-' {
		f.sign = 0
	}
	f.alternate = take("#") != 0
	if take("0") != 0 && f.fill == "" {
		f.fill = "0"
		if f.align == 0 {
			f.align = '='
		}
	}
	p := &printfArgs{}
	f.width, s = p.size(s, 0)
	f.group = take(",_")
	if take(".") != 0 {
		if f.precision, s = p.size(s, -1); f.precision < 0 {
			valueError("Format specifier missing precision")
		}
	}
	if len(s) == 1 {
		f.verb, s = s[0], ""
	}
	if s != "" {
		valueError("Invalid format specifier %s", repr(text))
	}
	if f.fill == "0" && f.group != 0 && f.width > 0 {
		unsupported("zeros and grouping together in the format %s", repr(text))
	}
	return f
}

// format is str.format in the sandbox.
func format(x *exec, s string, a args, escaped bool) string {
	var b strings.Builder
	next := &numbering{}
	for s != "" {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		c := s[i]
		s = s[i+1:]
		if s != "" && s[0] == c {
			b.WriteByte(c)
			s = s[1:]
			continue
		}
		if c == '}' {
			valueError("Single '}' encountered in format string")
		}
		end := strings.IndexAny(s, "{}")
		if end < 0 {
			valueError("expected '}' before end of string")
		}
		if s[end] == '{' {
			unsupported("a field within a field of a format")
		}
		v := field(x, s[:end], a, next)
		if escaped {
			v = escapeHTML(v)
		}
		b.WriteString(x.made(v))
		s = s[end+1:]
	}
	return x.made(b.String())
}

// numbering counts fields without a name. Python allows either those or numbered ones.
type numbering struct {
	automatic, manual bool
	at                int
}

// name is the name of a field, the next number where it has none.
func (n *numbering) name(first string) string {
	_, err := strconv.Atoi(first)
	n.automatic, n.manual = n.automatic || first == "", n.manual || err == nil
	if n.automatic && n.manual {
		valueError("cannot switch between automatic field numbering and manual field specification")
	}
	if first != "" {
		return first
	}
	n.at++
	return strconv.Itoa(n.at - 1)
}

// field writes a replacement field, without its braces.
func field(x *exec, s string, a args, next *numbering) string {
	name, text, _ := strings.Cut(s, ":")
	name, conversion, converted := strings.Cut(name, "!")
	first := name
	if i := strings.IndexAny(name, ".["); i >= 0 {
		first = name[:i]
	}
	v := fieldValue(a, next.name(first))
	for rest := name[min(len(name), strings.IndexAny(name+".", ".[")):]; rest != ""; {
		if rest[0] == '.' {
			end := strings.IndexAny(rest[1:]+".", ".[") + 1
			v, rest = getAttr(x, v, rest[1:end]), rest[end:]
			continue
		}
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			valueError("Missing ']' in format string")
		}
		var at any = rest[1:end]
		if i, err := strconv.Atoi(rest[1:end]); err == nil {
			at = i
		}
		v, rest = getItem(x, v, at), rest[end+1:]
	}
	if converted {
		switch conversion {
		case "s":
			v = str(x, v)
		case "r":
			v = (&printer{x: x}).text(v)
		default:
			unsupported("the conversion !%s of a format", conversion)
		}
	}
	return formatValue(x, v, text)
}

func fieldValue(a args, name string) any {
	if i, err := strconv.Atoi(name); err == nil {
		if i >= len(a.positional) {
			raise("IndexError", "%s", fmt.Sprintf("Replacement index %d out of range for positional args tuple", i))
		}
		return a.positional[i]
	}
	for i, n := range a.names {
		if n == name {
			return a.named[i]
		}
	}
	raise("KeyError", "%s", repr(name))
	return nil
}
