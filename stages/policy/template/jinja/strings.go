package jinja

import (
	"strings"
	"unicode"
)

// strMethod is a method of str: s is the text, the result a str, a list of them, a number or a bool.
type strMethod struct {
	params []string
	call   func(x *exec, s string, a []any) any
}

// stringMethod returns a method bound to of, a str or a Markup. Of a Markup, arguments are escaped and texts that
// come back are Markup.
func stringMethod(of any, name string) (any, bool) {
	s, _ := text(of)
	if name == "format" {
		return &function{name, func(x *exec, a args) any { return sameKind(of, format(x, s, a, isMarkup(of))) }}, true
	}
	m, ok := strMethods[name]
	if !ok {
		for _, other := range otherMethods[typeName(of)] {
			if other == name {
				unsupported("the method %s of a str", name)
			}
		}
		return nil, false
	}
	return &function{name, func(x *exec, a args) any {
		x.work(len(s) / 16)
		bound := bind("str."+name, a, m.params...)
		if !isMarkup(of) {
			return m.call(x, s, bound)
		}
		for i, v := range bound {
			if t, plain := v.(string); plain {
				bound[i] = escapeHTML(t)
			}
		}
		return asMarkup(m.call(x, s, bound))
	}}, true
}

func asMarkup(v any) any {
	switch v := v.(type) {
	case string:
		return markup(v)
	case *List:
		for i := range v.Items {
			v.Items[i] = asMarkup(v.Items[i])
		}
	case *Tuple:
		for i := range v.Items {
			v.Items[i] = asMarkup(v.Items[i])
		}
	}
	return v
}

func mapped(f func(string) string) strMethod {
	return strMethod{nil, func(x *exec, s string, _ []any) any { return x.made(f(s)) }}
}

func asked(f func(string) bool) strMethod {
	return strMethod{nil, func(_ *exec, s string, _ []any) any { return f(s) }}
}

func stripper(left, right bool) strMethod {
	return strMethod{[]string{"chars/="}, func(x *exec, s string, a []any) any {
		return x.made(strip(s, or(a[0], nil), left, right))
	}}
}

// strip removes white space, or the characters of chars, from the ends of s.
func strip(s string, chars any, left, right bool) string {
	is := isSpace
	if chars != nil {
		set, ok := text(chars)
		if !ok {
			typeError("strip arg must be None or str")
		}
		is = func(r rune) bool { return strings.ContainsRune(set, r) }
	}
	if left {
		s = strings.TrimLeftFunc(s, is)
	}
	if right {
		s = strings.TrimRightFunc(s, is)
	}
	return s
}

func justified(place func(room int) (left int)) strMethod {
	return strMethod{[]string{"width/", "fillchar/="}, func(x *exec, s string, a []any) any {
		fill := argText("just", or(a[1], " "))
		if length(fill) != 1 {
			typeError("The fill character must be exactly one character long")
		}
		return pad(x, s, count(a[0]), fill, place)
	}}
}

// pad adds fill characters up to width code points, some of them to the left.
func pad(x *exec, s string, width int, fill string, place func(room int) int) string {
	room := width - length(s)
	if room <= 0 {
		return s
	}
	if room > x.limits.Bytes/len(fill) {
		overLimit("a padded text creates more than %d bytes", x.limits.Bytes)
	}
	x.spend(len(s) + room*len(fill))
	left := place(room)
	return strings.Repeat(fill, left) + s + strings.Repeat(fill, room-left)
}

// centered puts the odd character as Python's str.center does.
func centered(width int) func(int) int {
	return func(room int) int { return room/2 + room&width&1 }
}

// affix is startswith and endswith: of one text or a tuple of them, within a slice.
func affix(name string, has func(s, part string) bool) strMethod {
	return strMethod{[]string{"prefix/", "start/=", "end/="}, func(_ *exec, s string, a []any) any {
		s, within := window(s, a[1], a[2])
		parts := []any{a[0]}
		if t, ok := a[0].(*Tuple); ok {
			parts = t.Items
		}
		for _, p := range parts {
			part, ok := text(p)
			if !ok {
				typeError("%s first arg must be str or a tuple of str, not %s", name, typeName(p))
			}
			if within && has(s, part) {
				return true
			}
		}
		return false
	}}
}

// window is s[from:to]; within is false where from lies behind the end of s.
func window(s string, from, to any) (part string, within bool) {
	if !given(from) && !given(to) {
		return s, true
	}
	runes := []rune(s)
	first, end := bound(or(from, nil), 0, len(runes)), bound(or(to, nil), len(runes), len(runes))
	if first > len(runes) || first > end {
		return "", false
	}
	return string(runes[first:end]), true
}

func bound(v any, none, n int) int {
	if v == nil {
		return none
	}
	i := count(v)
	if i < 0 {
		return max(i+n, 0)
	}
	if none == n {
		return min(i, n)
	}
	return i
}

// search is find and index, from either end.
func search(name string, last, must bool) strMethod {
	return strMethod{[]string{"sub/", "start/=", "end/="}, func(_ *exec, s string, a []any) any {
		sub := argText(name, a[0])
		part, within := window(s, a[1], a[2])
		at := -1
		if within {
			if last {
				at = strings.LastIndex(part, sub)
			} else {
				at = strings.Index(part, sub)
			}
		}
		if at < 0 {
			if must {
				valueError("substring not found")
			}
			return -1
		}
		return bound(or(a[1], nil), 0, length(s)) + length(part[:at])
	}}
}

func countText(_ *exec, s string, a []any) any {
	sub := argText("count", a[0])
	part, within := window(s, a[1], a[2])
	if !within {
		return 0
	}
	return strings.Count(part, sub) // of "" the places between characters, as in Python
}

func replaceText(x *exec, s string, a []any) any {
	old, with := argText("replace", a[0]), argText("replace", a[1])
	return replace(x, s, old, with, count(or(a[2], -1)))
}

func replace(x *exec, s, old, with string, n int) string {
	times := strings.Count(s, old)
	if n >= 0 {
		times = min(times, n)
	}
	if grows := len(with) - len(old); grows > 0 && times > x.limits.Bytes/grows {
		overLimit("a replacement creates more than %d bytes", x.limits.Bytes)
	}
	x.spend(max(0, len(s)+times*(len(with)-len(old))))
	return strings.Replace(s, old, with, n)
}

func joinText(x *exec, s string, a []any) any {
	var b strings.Builder
	next := iterate(x, a[0])
	for i := 0; ; i++ {
		v, ok := next()
		if !ok {
			return b.String()
		}
		part, ok := text(v)
		if !ok {
			typeError("sequence item %d: expected str instance, %s found", i, typeName(v))
		}
		if i > 0 {
			b.WriteString(x.made(s))
		}
		b.WriteString(x.made(part))
	}
}

// splitText is split and, with right, rsplit; sep None splits at white space. most < 0: everywhere.
// splitLines is splitlines: at Python's line boundaries, which are more than "\n".
// partition splits at the first, or with last at the last, sep into three.
func zfill(x *exec, s string, a []any) any {
	width := count(a[0])
	sign := ""
	if s != "" && (s[0] == '+' || s[0] == '-') && width > length(s) {
		sign, s, width = s[:1], s[1:], width-1
	}
	return sign + pad(x, s, width, "0", func(room int) int { return room })
}

func expandTabs(x *exec, s string, a []any) any {
	size := count(or(a[0], 8))
	var b strings.Builder
	column := 0
	for _, r := range s {
		switch r {
		case '\t':
			if size > 0 {
				n := size - column%size
				column += n
				x.spend(n)
				b.WriteString(strings.Repeat(" ", n))
			}
			continue
		case '\n', '\r':
			column = -1
		}
		column++
		b.WriteRune(r)
	}
	return x.made(b.String())
}

// every tells whether s is not empty and is holds for all of it.
func every(is func(rune) bool) strMethod {
	return asked(func(s string) bool {
		return s != "" && strings.IndexFunc(s, func(r rune) bool { return !is(r) }) < 0
	})
}

var strMethods = map[string]strMethod{
	"capitalize": mapped(capitalize), "casefold": mapped(casefold), "lower": mapped(lower), "upper": mapped(upper),
	"swapcase": mapped(swapCase), "title": mapped(title),
	"isalnum": every(isAlnum), "isalpha": every(unicode.IsLetter), "isdigit": every(isDigit), "isspace": every(isSpace),
	"isdecimal": every(func(r rune) bool { return unicode.Is(unicode.Nd, r) }), "isnumeric": every(unicode.IsNumber),
	"isascii":      asked(func(s string) bool { return len(s) == len(strings.Map(asciiOnly, s)) }),
	"isidentifier": asked(isIdentifier), "islower": asked(isLower), "isupper": asked(isUpper),
	"istitle":     asked(isTitle),
	"isprintable": asked(func(s string) bool { return strings.IndexFunc(s, notPrintable) < 0 }),
	"strip":       stripper(true, true), "lstrip": stripper(true, false), "rstrip": stripper(false, true),
	"startswith": affix("startswith", strings.HasPrefix), "endswith": affix("endswith", strings.HasSuffix),
	"find": search("find", false, false), "index": search("index", false, true),
	"rfind": search("rfind", true, false), "rindex": search("rindex", true, true),
	"count":     {[]string{"sub/", "start/=", "end/="}, countText},
	"replace":   {[]string{"old/", "new/", "count="}, replaceText},
	"join":      {[]string{"iterable/"}, joinText},
	"split":     {[]string{"sep=", "maxsplit="}, split},
	"rsplit":    {[]string{"sep=", "maxsplit="}, rsplit},
	"partition": partition(false), "rpartition": partition(true),
	"zfill":      {[]string{"width/"}, zfill},
	"expandtabs": {[]string{"tabsize="}, expandTabs},
	"ljust":      justified(func(int) int { return 0 }),
	"rjust":      justified(func(room int) int { return room }),
	"center":     {[]string{"width/", "fillchar/="}, centerText},
	"encode":     {[]string{"encoding=", "errors="}, encode},
	"translate":  {[]string{"table/"}, translate},
	"maketrans":  {[]string{"x/", "y/=", "z/="}, makeTrans},
	"splitlines": {[]string{"keepends="}, func(x *exec, s string, a []any) any {
		x.spend(len(s) + 16*strings.Count(s, "\n"))
		return &List{texts(splitLines(s, truth(or(a[0], false))))}
	}},
	"removeprefix": {[]string{"prefix/"}, func(x *exec, s string, a []any) any {
		return x.made(strings.TrimPrefix(s, argText("removeprefix", a[0])))
	}},
	"removesuffix": {[]string{"suffix/"}, func(x *exec, s string, a []any) any {
		return x.made(strings.TrimSuffix(s, argText("removesuffix", a[0])))
	}},
}

// encode is str.encode, to UTF-8 and ASCII.
// translate maps characters by their numbers: to a text, a character's number, or None, which drops it.
// makeTrans makes a table for translate.
func centerText(x *exec, s string, a []any) any {
	return justified(centered(count(a[0]))).call(x, s, a)
}

func asciiOnly(r rune) rune {
	if r < 0x80 {
		return r
	}
	return -1
}

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }

func isAlnum(r rune) bool { return unicode.IsLetter(r) || isDigit(r) || unicode.IsNumber(r) }

// isDigit is str.isdigit: decimal digits and those in superscripts, subscripts and circles.
func isDigit(r rune) bool {
	if unicode.Is(unicode.Nd, r) {
		return true
	}
	return r == 0xb2 || r == 0xb3 || r == 0xb9 || r == 0x2070 || r >= 0x2074 && r <= 0x2079 ||
		r >= 0x2080 && r <= 0x2089 || r >= 0x2460 && r <= 0x2468 || r >= 0x2474 && r <= 0x247c ||
		r >= 0x2488 && r <= 0x2490 || r == 0x24ea || r >= 0x24f5 && r <= 0x24fd || r == 0x24ff ||
		r >= 0x2776 && r <= 0x277e || r >= 0x2780 && r <= 0x2788 || r >= 0x278a && r <= 0x2792 ||
		r >= 0x1369 && r <= 0x1371 || r == 0x19da || r >= 0x10a40 && r <= 0x10a43 ||
		r >= 0x10e60 && r <= 0x10e68 || r >= 0x11052 && r <= 0x1105a || r >= 0x1f100 && r <= 0x1f10a
}
