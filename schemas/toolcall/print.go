package toolcall

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Print writes calls in one canonical form, close to Python: one blank after a comma, strings
// quoted as by Python's repr, floats in the shortest form that reads back. Parse(Print(x)) is
// x for every x that Parse returned, and for every x of Decode whose names Parse can read.
// Calls built by hand need such names, too.
func Print(calls []Call) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, c := range calls {
		comma(&b, i)
		writeCall(&b, c, false)
	}
	b.WriteByte(']')
	return b.String()
}

// Key is Print with arguments and dict entries sorted by name. Two answers have the same key
// if and only if they are Equal.
func Key(calls []Call) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, c := range calls {
		comma(&b, i)
		writeCall(&b, c, true)
	}
	b.WriteByte(']')
	return b.String()
}

// Equal reports whether two answers mean the same: the same calls in the same order, with the
// same arguments in any order. The kinds of values must agree, too (1 is not 1.0), because
// the checker treats them differently.
func Equal(a, b []Call) bool {
	return len(a) == len(b) && Key(a) == Key(b)
}

// String returns the value as Print writes it.
func (v Value) String() string { return printValue(v) }

func printValue(v Value) string {
	var b strings.Builder
	writeValue(&b, v, false)
	return b.String()
}

func comma(b *strings.Builder, i int) {
	if i > 0 {
		b.WriteString(", ")
	}
}

func writeCall(b *strings.Builder, c Call, sorted bool) {
	args := c.Args
	if sorted {
		args = slices.Clone(args)
		slices.SortStableFunc(args, func(x, y Arg) int { return strings.Compare(x.Name, y.Name) })
	}
	b.WriteString(c.Name)
	b.WriteByte('(')
	for i, a := range args {
		comma(b, i)
		b.WriteString(a.Name)
		b.WriteByte('=')
		writeValue(b, a.Value, sorted)
	}
	b.WriteByte(')')
}

func writeValue(b *strings.Builder, v Value, sorted bool) {
	switch v.Kind {
	case None:
		b.WriteString("None")
	case Bool:
		if v.Bool {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case Int, Complex:
		b.WriteString(v.Text)
	case Float:
		b.WriteString(printFloat(v.Float))
	case String:
		writeString(b, v.Text)
	case List:
		writeItems(b, "[", v.Items, "]", sorted)
	case Tuple:
		closing := ")"
		if len(v.Items) == 1 {
			closing = ",)"
		}
		writeItems(b, "(", v.Items, closing, sorted)
	case Dict:
		writeDict(b, v.Pairs, sorted)
	case Nested:
		writeCall(b, *v.Call, sorted)
	case Bytes:
		writeBytes(b, v.Text)
	}
}

func writeItems(b *strings.Builder, opening string, items []Value, closing string, sorted bool) {
	b.WriteString(opening)
	for i, item := range items {
		comma(b, i)
		writeValue(b, item, sorted)
	}
	b.WriteString(closing)
}

func writeDict(b *strings.Builder, pairs []Pair, sorted bool) {
	if sorted {
		pairs = slices.Clone(pairs)
		slices.SortStableFunc(pairs, func(x, y Pair) int {
			return strings.Compare(printValue(x.Key), printValue(y.Key))
		})
	}
	b.WriteByte('{')
	for i, p := range pairs {
		comma(b, i)
		writeValue(b, p.Key, sorted)
		b.WriteString(": ")
		writeValue(b, p.Value, sorted)
	}
	b.WriteByte('}')
}

// printFloat writes a float as Python's repr: the fewest digits, with an exponent below 1e-4
// and from 1e16 on. An infinity is written as a number that overflows, so that it reads back.
func printFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "1e999"
	case math.IsInf(f, -1):
		return "-1e999"
	case f != 0 && (math.Abs(f) < 1e-4 || math.Abs(f) >= 1e16):
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// writeString writes a string as Python's repr: in single quotes, unless double quotes avoid
// an escape.
func writeString(b *strings.Builder, s string) {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.WriteByte(quote)
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if half, ok := surrogateAt(s[i:]); ok {
			writeHex(b, `\u`, half, 4)
			i += 3
			continue
		}
		writeRune(b, r, quote)
		i += size
	}
	b.WriteByte(quote)
}

func writeRune(b *strings.Builder, r rune, quote byte) {
	switch {
	case r == rune(quote) || r == '\\':
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
		writeHex(b, `\x`, r, 2)
	case r < 0x10000:
		writeHex(b, `\u`, r, 4)
	default:
		writeHex(b, `\U`, r, 8)
	}
}

func writeHex(b *strings.Builder, prefix string, r rune, digits int) {
	hex := strconv.FormatInt(int64(r), 16)
	b.WriteString(prefix)
	b.WriteString(strings.Repeat("0", digits-len(hex)))
	b.WriteString(hex)
}
