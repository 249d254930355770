package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// encode is str.encode, to UTF-8 and ASCII.
func encode(_ *exec, s string, a []any) any {
	switch name := codecName(argText("encode", or(a[0], "utf-8"))); {
	case name == "utf8":
		return bytesValue(s)
	case name == "ascii" && isASCII(s):
		return bytesValue(s)
	}
	unsupported("encode to %s", repr(a[0]))
	return nil
}

// codecName is one of the names that a codec has.
func codecName(name string) string {
	name = strings.NewReplacer("_", "-", " ", "-").Replace(strings.ToLower(name))
	if name == "utf-8" {
		return "utf8"
	}
	return name
}

func bytesMethod(b bytesValue, name string) (any, bool) {
	if name != "decode" {
		unsupported("the attribute %s of bytes", name)
	}
	return &function{name, func(_ *exec, a args) any {
		codec := codecName(argText(name, or(bind(name, a, "encoding=", "errors=")[0], "utf-8")))
		if codec != "utf8" || !utf8.ValidString(string(b)) {
			unsupported("decode of bytes by %s", codec)
		}
		return string(b)
	}}, true
}

// translate maps characters by their numbers: to a text, a character's number, or None, which drops it.
func translate(x *exec, s string, a []any) any {
	switch v := a[0].(type) {
	case *Dict, *List, *Tuple, *rangeValue, string, markup:
	case *undefined:
		v.fail()
	default:
		typeError("'%s' object is not subscriptable", typeName(v))
	}
	x.work(len(s))
	var b strings.Builder
	for _, r := range s {
		v, ok := item(x, a[0], int(r))
		if !ok {
			v = string(r)
		}
		switch to := v.(type) {
		case nil:
		case int:
			if to < 0 || to > unicode.MaxRune {
				valueError("character mapping must be in range(0x110000)")
			}
			if to >= 0xd800 && to < 0xe000 {
				unsupported("half a surrogate pair in a text")
			}
			b.WriteRune(rune(to))
		default:
			t, ok := text(v)
			if !ok {
				typeError("character mapping must return integer, None or str")
			}
			b.WriteString(t)
		}
	}
	return x.made(b.String())
}

// makeTrans makes a table for translate.
func makeTrans(_ *exec, _ string, a []any) any {
	table := NewDict()
	if d, ok := a[0].(*Dict); ok && !given(a[1]) {
		for i, k := range d.keys {
			if s, ok := text(k); ok && length(s) == 1 {
				r, _ := decode(s)
				k = int(r)
			} else if _, ok := k.(int); !ok {
				valueError("keys in translate table must be strings of length 1 or integers")
			}
			table.Set(k, d.values[i])
		}
		return table
	}
	from, to := []rune(argText("maketrans", a[0])), []rune(argText("maketrans", a[1]))
	if len(from) != len(to) {
		valueError("the first two maketrans arguments must have equal length")
	}
	for i, r := range from {
		table.Set(int(r), int(to[i]))
	}
	for _, r := range argText("maketrans", or(a[2], "")) {
		table.Set(int(r), nil)
	}
	return table
}
