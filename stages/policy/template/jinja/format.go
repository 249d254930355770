package jinja

import (
	"strconv"
	"strings"
)

// formatter is Python's string.Formatter, which the sandbox has in place of str.format.
type formatter struct {
	x      *exec
	args   args
	lookup func(name string) any // of named arguments
	escape bool                  // the format is a Markup: what it writes is escaped
	at     int                   // of the next field without a name
	manual bool                  // a field has a number: no other may go without a name
}

func formatMethod(x *exec, s string, a args, escape bool) string {
	f := &formatter{x: x, args: a, escape: escape}
	f.lookup = func(name string) any {
		for i, n := range a.names {
			if n == name {
				return a.named[i]
			}
		}
		raise("KeyError", "%s", repr(name))
		return nil
	}
	return f.format(s, 2)
}

func formatMap(x *exec, s string, a args, escape bool) string {
	mapping := bind("format_map", a, "mapping/")[0]
	f := &formatter{x: x, escape: escape}
	f.lookup = func(name string) any {
		d, ok := mapping.(*Dict)
		if !ok {
			typeError("'%s' object is not subscriptable by a name", typeName(mapping))
		}
		v, ok := d.Get(name)
		if !ok {
			raise("KeyError", "%s", repr(name))
		}
		return v
	}
	return f.format(s, 2)
}

// format writes a format. Formats of fields have fields, too, depth levels deep.
func (f *formatter) format(s string, depth int) string {
	if depth < 0 {
		valueError("Max string recursion exceeded")
	}
	var b strings.Builder
	for s != "" {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		c, rest := s[i], s[i+1:]
		switch {
		case rest != "" && rest[0] == c:
			b.WriteByte(c)
			s = rest[1:]
			continue
		case c == '}' || rest == "":
			valueError("Single '%c' encountered in format string", c)
		}
		var fd field
		fd, s = parseField(rest)
		b.WriteString(f.x.made(f.field(fd, depth)))
	}
	return f.x.made(b.String())
}

// field is the inside of a pair of braces.
type field struct {
	name, spec string
	conversion string // "", or the character behind "!"
}

// parseField reads a field and returns what follows its closing brace.
func parseField(s string) (fd field, rest string) {
	end := 0
	for ; end < len(s) && strings.IndexByte("}:!", s[end]) < 0; end++ {
		switch s[end] {
		case '{':
			valueError("unexpected '{' in field name")
		case '[':
			n := strings.IndexByte(s[end:], ']')
			if n < 0 {
				n = len(s) - end
			}
			end += n - 1 // the loop goes on at the bracket
		}
	}
	if end >= len(s) {
		valueError("expected '}' before end of string")
	}
	fd.name = s[:end]
	c, s := s[end], s[end+1:]
	if c == '}' {
		return fd, s
	}
	if c == '!' {
		r, n := decode(s)
		if n == 0 {
			valueError("end of string while looking for conversion specifier")
		}
		fd.conversion, s = string(r), s[n:]
		if strings.HasPrefix(s, "}") {
			return fd, s[1:]
		}
		if s != "" && s[0] != ':' {
			valueError("expected ':' after conversion specifier")
		}
		s = strings.TrimPrefix(s, ":")
	}
	open := 1
	for i := range len(s) {
		switch s[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				fd.spec = s[:i]
				return fd, s[i+1:]
			}
		}
	}
	valueError("unmatched '{' in format spec")
	return fd, ""
}

func (f *formatter) field(fd field, depth int) string {
	name := fd.name
	switch {
	case name == "":
		if f.manual {
			valueError("cannot switch from manual field specification to automatic field numbering")
		}
		name = strconv.Itoa(f.at)
		f.at++
	case allDigits(name):
		if f.at > 0 {
			valueError("cannot switch from manual field specification to automatic field numbering")
		}
		f.manual = true
	}
	v := f.value(name)
	switch fd.conversion {
	case "":
	case "s":
		v = str(f.x, v)
	case "r":
		v = reprOf(f.x, v)
	case "a":
		v = asciiEscapes(reprOf(f.x, v))
	default:
		valueError("Unknown conversion specifier %s", fd.conversion)
	}
	text := f.format(fd.spec, depth-1)
	if !f.escape {
		return formatValue(f.x, v, text)
	}
	if isMarkup(v) {
		if text != "" {
			valueError("Unsupported format specification for Markup.")
		}
		return str(f.x, v)
	}
	return escapeHTML(formatValue(f.x, v, text))
}

// value looks up the name of a field: "0", "name", "0.attribute[item]".
func (f *formatter) value(name string) any {
	end := strings.IndexAny(name, ".[")
	if end < 0 {
		end = len(name)
	}
	first, rest := name[:end], name[end:]
	var v any
	if i, ok := fieldNumber(first); !ok {
		v = f.lookup(first)
	} else if i < len(f.args.positional) {
		v = f.args.positional[i]
	} else {
		raise("IndexError", "Replacement index %d out of range for positional args tuple", i)
	}
	for rest != "" {
		part := ""
		switch rest[0] {
		case '.':
			end := strings.IndexAny(rest[1:]+".", ".[") + 1
			part, rest = rest[1:end], rest[end:]
			if part != "" {
				v = getAttr(f.x, v, part)
			}
		case '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				valueError("Missing ']' in format string")
			}
			part, rest = rest[1:end], rest[end+1:]
			if i, ok := fieldNumber(part); ok {
				v = getItem(f.x, v, i)
			} else if part != "" {
				v = getItem(f.x, v, part)
			}
		default:
			valueError("Only '.' or '[' may follow ']' in format field specifier")
		}
		if part == "" {
			valueError("Empty attribute in format string")
		}
	}
	return v
}

// fieldNumber reads decimal digits.
func fieldNumber(s string) (n int, ok bool) {
	for _, r := range s {
		d, ok := digitValue(r)
		if !ok {
			return 0, false
		}
		if n = 10*n + d; n > 1<<31 {
			valueError("Too many decimal digits in format string")
		}
	}
	return n, s != ""
}

// formatValue is Python's format(v, text).
func formatValue(x *exec, v any, text string) string {
	if text == "" {
		return str(x, v)
	}
	i, isInt := integer(v)
	_, isFloat := v.(float64)
	if !isText(v) && !isInt && !isFloat {
		typeError("unsupported format string passed to %s.__format__", typeName(v))
	}
	f := parseSpec(x, text, !isText(v))
	isVerb := func(verbs string) bool { return f.verb != 0 && strings.IndexByte(verbs, f.verb) >= 0 }
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
		return f.text(x, s)
	case isInt && (f.verb == 0 || isVerb("dxXob")):
		if f.precision >= 0 {
			valueError("Precision not allowed in integer format specifier")
		}
		if f.group == ',' && isVerb("xXob") {
			valueError("Cannot specify ',' with '%c'.", f.verb)
		}
		head, digits := f.integer(x, i)
		return f.number(x, head, digits)
	case isVerb("eEfFgG%") || f.verb == 0:
		head, digits := f.float(x, toFloat(v))
		return f.number(x, head, digits)
	}
	if isVerb("cn") {
		unsupported("the format %s of a %s", repr(text), typeName(v))
	}
	valueError("Unknown format code '%c' for object of type '%s'", f.verb, typeName(v))
	return ""
}

// parseSpec reads [[fill]align][sign][#][0][width][group][.precision][type].
func parseSpec(x *exec, s string, number bool) spec {
	f := spec{precision: -1}
	text := s
	r, n := decode(s)
	isAlign := func(i int) bool { return i < len(s) && strings.IndexByte("<>^=", s[i]) >= 0 }
	switch {
	case isAlign(n):
		f.fill, f.align, s = string(r), s[n], s[n+1:]
	case isAlign(0):
		f.align, s = s[0], s[1:]
	}
	take := func(set string) byte {
		if s != "" && strings.IndexByte(set, s[0]) >= 0 {
			c := s[0]
			s = s[1:]
			return c
		}
		return 0
	}
	f.sign = take("+- ")
	f.alternate = take("#") != 0
	if f.fill == "" && take("0") != 0 {
		if f.fill = "0"; f.align == 0 && number {
			f.align = '='
		}
	}
	f.width, s = formatSize(s, 0)
	if f.group = take(",_"); f.group != 0 && take(",_") != 0 {
		valueError("Cannot specify both ',' and '_'.")
	}
	if take(".") != 0 {
		if f.precision, s = formatSize(s, -1); f.precision < 0 {
			valueError("Format specifier missing precision")
		}
	}
	if len(s) == 1 {
		f.verb, s = s[0], ""
	}
	if s != "" {
		valueError("Invalid format specifier %s", repr(text))
	}
	if f.fill == "0" && f.align == '=' && f.group != 0 && f.width > 0 {
		unsupported("zeros and grouping together in the format %s", repr(text))
	}
	return f
}

// formatSize reads a width or a precision.
func formatSize(s string, none int) (int, string) {
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
