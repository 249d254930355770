package constrain

import (
	"itool/schemas/toolcall"
)

// language is how a format writes values.
type language struct {
	name                   string
	quotes                 string // that a text may stand in; the first is for keys
	escapes                string // letters behind a backslash that stand for one character
	yes, no, null          string
	literal                func(v toolcall.Value) string
	afterColon, afterComma string // "": spaces, as the model likes
}

var (
	jsonText = &language{
		name: "JSON", quotes: `"`, escapes: `"\/bfnrt`, yes: "true", no: "false", null: "null",
		literal: toolcall.Value.JSON,
	}
	pythonText = &language{
		name: "Python", quotes: `'"`, escapes: `'"\nrt`, yes: "True", no: "False", null: "None",
		literal: toolcall.Value.String, afterColon: " ", afterComma: " ",
	}
)

// space is nothing, a blank, or a line end with indentation. It is bounded, so that no answer is all blanks.
func (b *builder) space(next int32) int32 {
	const indent = 40
	return b.oneOf(next, b.bytes(' ', ' ', next), b.bytes('\n', '\n', b.times(0, indent, func(next int32) int32 {
		return b.bytes(' ', ' ', next)
	}, next)))
}

// gap is the given text, or space if there is none.
func (b *builder) gap(text string, next int32) int32 {
	if text != "" {
		return b.text(text, next)
	}
	return b.call(b.spaces, next)
}

// anyText is a rule for a text of any length.
func (b *builder) anyText(l *language) int32 {
	if r, ok := b.strings[l]; ok {
		return r
	}
	r := b.rule(func(next int32) int32 {
		return b.quoted(l, func(char func(next int32) int32, next int32) int32 { return b.any(char, next) }, next)
	})
	b.strings[l] = r
	return r
}

// quoted is a text in each of the language's quotes; inner says how many characters it has.
func (b *builder) quoted(l *language, inner func(char func(next int32) int32, next int32) int32, next int32) int32 {
	var forms []int32
	for i := range len(l.quotes) {
		quote := l.quotes[i]
		char := func(next int32) int32 { return b.char(l, quote, next) }
		forms = append(forms, b.bytes(quote, quote, inner(char, b.bytes(quote, quote, next))))
	}
	return b.oneOf(forms...)
}

// char is one character of a text: itself, or escaped. Halves of surrogate pairs, which are no characters, cannot
// be written, and invalid UTF-8 neither.
func (b *builder) char(l *language, quote byte, next int32) int32 {
	return b.oneOf(b.plain(quote, next), b.wide(next), b.bytes('\\', '\\', b.escape(l, next)))
}

// plain is a character of ASCII that needs no escape.
func (b *builder) plain(quote byte, next int32) int32 {
	low, high := min(quote, '\\'), max(quote, '\\')
	return b.oneOf(b.bytes(' ', low-1, next), b.bytes(low+1, high-1, next), b.bytes(high+1, 0x7e, next))
}

// wide is a character of two to four bytes: the well-formed sequences of Unicode's table 3-7.
func (b *builder) wide(next int32) int32 {
	one := b.bytes(0x80, 0xbf, next)
	two := b.bytes(0x80, 0xbf, one)
	return b.oneOf(
		b.bytes(0xc2, 0xdf, one),
		b.bytes(0xe0, 0xe0, b.bytes(0xa0, 0xbf, one)), b.bytes(0xe1, 0xec, two),
		b.bytes(0xed, 0xed, b.bytes(0x80, 0x9f, one)), b.bytes(0xee, 0xef, two),
		b.bytes(0xf0, 0xf0, b.bytes(0x90, 0xbf, two)), b.bytes(0xf1, 0xf3, b.bytes(0x80, 0xbf, two)),
		b.bytes(0xf4, 0xf4, b.bytes(0x80, 0x8f, two)),
	)
}

// escape is what stands behind a backslash.
func (b *builder) escape(l *language, next int32) int32 {
	var forms []int32
	for i := range len(l.escapes) {
		forms = append(forms, b.bytes(l.escapes[i], l.escapes[i], next))
	}
	three := b.times(3, 3, b.hex, next)
	two := b.times(2, 2, b.hex, next)
	first := b.oneOf(
		b.bytes('0', '9', three), b.bytes('a', 'c', three), b.bytes('A', 'C', three), b.bytes('e', 'f', three),
		b.bytes('E', 'F', three), b.oneOf(b.bytes('d', 'd', b.bytes('0', '7', two)),
			b.bytes('D', 'D', b.bytes('0', '7', two))),
	)
	return b.oneOf(append(forms, b.bytes('u', 'u', first))...)
}

func (b *builder) hex(next int32) int32 {
	return b.oneOf(b.bytes('0', '9', next), b.bytes('a', 'f', next), b.bytes('A', 'F', next))
}

func (b *builder) digit(next int32) int32 { return b.bytes('0', '9', next) }

// Numbers have few digits, so that every reader has them exactly and no answer is all digits.
const (
	maxDigits   = 15 // of an integer, and behind a point
	maxExponent = 2
)

// natural is an integer without a sign.
func (b *builder) natural(next int32) int32 {
	return b.oneOf(b.bytes('0', '0', next), b.bytes('1', '9', b.times(0, maxDigits-1, b.digit, next)))
}

// fraction is a point and digits, or nothing.
func (b *builder) fraction(next int32) int32 {
	return b.oneOf(next, b.bytes('.', '.', b.times(1, maxDigits, b.digit, next)))
}

// exponent is an exponent, or nothing.
func (b *builder) exponent(next int32) int32 {
	digits := b.times(1, maxExponent, b.digit, next)
	signed := b.oneOf(digits, b.bytes('+', '+', digits), b.bytes('-', '-', digits))
	return b.oneOf(next, b.bytes('e', 'e', signed), b.bytes('E', 'E', signed))
}

// minus is a sign, or nothing.
func (b *builder) minus(next int32) int32 { return b.oneOf(next, b.bytes('-', '-', next)) }

func (b *builder) integer(next int32) int32 { return b.minus(b.natural(next)) }

func (b *builder) number(next int32) int32 { return b.minus(b.natural(b.fraction(b.exponent(next)))) }

// freeRules are rules for values that no schema describes.
type freeRules struct{ value, object, list int32 }

// free makes the rules for any value, any object and any list.
func (b *builder) free(l *language) freeRules {
	if f, ok := b.frees[l]; ok {
		return f
	}
	f := freeRules{b.reserve(), b.reserve(), b.reserve()}
	b.frees[l] = f
	end := b.add(node{op: opReturn})
	text := b.anyText(l)
	b.rules[f.value] = b.oneOf(b.call(text, end), b.number(end), b.text(l.yes, end), b.text(l.no, end),
		b.text(l.null, end), b.call(f.list, end), b.call(f.object, end))
	pair := b.rule(func(next int32) int32 {
		return b.call(text, b.bytes(':', ':', b.gap(l.afterColon, b.call(f.value, next))))
	})
	b.rules[f.object] = b.enclosed(l, '{', '}', pair, 0, -1, end)
	b.rules[f.list] = b.enclosed(l, '[', ']', f.value, 0, -1, end)
	return f
}

// enclosed is least to most items between brackets, with commas; most −1: any number.
func (b *builder) enclosed(l *language, opening, closing byte, item int32, least, most int, next int32) int32 {
	inner := func(next int32) int32 { return next } // blanks within brackets
	if l.afterComma == "" {
		inner = func(next int32) int32 { return b.call(b.spaces, next) }
	}
	end := b.bytes(closing, closing, next)
	if most == 0 {
		return b.bytes(opening, opening, end)
	}
	more := func(next int32) int32 {
		return b.bytes(',', ',', b.gap(l.afterComma, b.call(item, next)))
	}
	closed := inner(end)
	var rest int32
	if most < 0 {
		rest = b.times(max(0, least-1), max(0, least-1), more, b.any(more, closed))
	} else {
		rest = b.times(max(0, least-1), most-1, more, closed)
	}
	full := inner(b.call(item, rest))
	if least == 0 {
		full = b.oneOf(end, full)
	}
	return b.bytes(opening, opening, full)
}
