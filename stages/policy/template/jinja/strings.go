package jinja

import (
	"math"
	"strings"
	"unicode"
)

// strMethod is a method of str: s is the text, the result a str, a list of them, a number or a bool.
type strMethod struct {
	params []string
	call   func(x *exec, s string, a []any) any
}

// escapedParams is the argument that a Markup's method escapes.
var escapedParams = map[string]int{"replace": 1, "ljust": 1, "rjust": 1, "center": 1}

// stringMethod returns a method bound to of, a str or a Markup. Of a Markup, texts that come back are Markup.
func stringMethod(of any, name string) (any, bool) {
	s, _ := text(of)
	switch {
	case name == "format":
		return &function{name, func(x *exec, a args) any {
			return sameKind(of, formatMethod(x, s, a, isMarkup(of)))
		}}, true
	case name == "format_map":
		return &function{name, func(x *exec, a args) any {
			return sameKind(of, formatMap(x, s, a, isMarkup(of)))
		}}, true
	case isMarkup(of):
		if call, ok := markupMethods[name]; ok {
			return &function{name, func(x *exec, a args) any { return call(x, s, a) }}, true
		}
	}
	m, ok := strMethods[name]
	if !ok {
		return nil, false
	}
	return &function{name, func(x *exec, a args) any {
		x.work(len(s) / 16)
		bound := bind("str."+name, a, m.params...)
		if !isMarkup(of) {
			return m.call(x, s, bound)
		}
		if i, ok := escapedParams[name]; ok && given(bound[i]) {
			bound[i] = escapeFilter(x, bound[i], args{})
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
	return strMethod{nil, func(x *exec, s string, _ []any) any {
		x.work(len(s))
		return x.made(f(s))
	}}
}

func predicate(f func(string) bool) strMethod {
	return strMethod{nil, func(x *exec, s string, _ []any) any {
		x.work(len(s) / 4)
		return f(s)
	}}
}

func stripper(left, right bool) strMethod {
	return strMethod{[]string{"chars/="}, func(x *exec, s string, a []any) any {
		x.work(len(s) / 8)
		return x.made(strip(x, s, or(a[0], nil), left, right))
	}}
}

// strip removes white space, or the characters of chars, from the ends of s.
func strip(x *exec, s string, chars any, left, right bool) string {
	is := isSpace
	if chars != nil {
		set, ok := text(chars)
		if !ok {
			typeError("strip arg must be None or str")
		}
		x.work(len(set))
		in := map[rune]bool{}
		for _, r := range set {
			in[r] = true
		}
		is = func(r rune) bool { return in[r] }
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
	return strMethod{[]string{"prefix/", "start/=", "end/="}, func(x *exec, s string, a []any) any {
		s, within := window(x, s, a[1], a[2])
		parts := []any{a[0]}
		if t, ok := a[0].(*Tuple); ok {
			parts = t.Items
			x.work(len(parts))
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
func window(x *exec, s string, from, to any) (part string, within bool) {
	if !given(from) && !given(to) {
		return s, true
	}
	x.spend(len(s))
	runes := []rune(s)
	first, end := edge(or(from, nil), 0, len(runes)), min(edge(or(to, nil), len(runes), len(runes)), len(runes))
	if first > end {
		return "", false
	}
	return string(runes[first:end]), true
}

// edge is where a window of a text of n characters begins or ends: none for None. It can lie behind the text.
func edge(v any, none, n int) int {
	if v == nil {
		return none
	}
	i := position(v)
	if i < 0 {
		return max(i+n, 0)
	}
	return i
}

// search is find and index, from either end.
func search(name string, last, must bool) strMethod {
	return strMethod{[]string{"sub/", "start/=", "end/="}, func(x *exec, s string, a []any) any {
		sub := argText(name, a[0])
		part, within := window(x, s, a[1], a[2])
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
		return edge(or(a[1], nil), 0, length(s)) + length(part[:at])
	}}
}

func countText(x *exec, s string, a []any) any {
	sub := argText("count", a[0])
	part, within := window(x, s, a[1], a[2])
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
	if size > math.MaxInt32 || size < math.MinInt32 {
		raise("OverflowError", "Python int too large to convert to C int")
	}
	x.work(len(s))
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
	return predicate(func(s string) bool {
		return s != "" && strings.IndexFunc(s, func(r rune) bool { return !is(r) }) < 0
	})
}

var strMethods = map[string]strMethod{
	"capitalize": mapped(capitalize), "casefold": mapped(casefold), "lower": mapped(lower), "upper": mapped(upper),
	"swapcase": mapped(swapCase), "title": mapped(title),
	"isalnum": every(isAlnum), "isalpha": every(unicode.IsLetter), "isdigit": every(isDigit), "isspace": every(isSpace),
	"isdecimal": every(func(r rune) bool { return unicode.Is(unicode.Nd, r) }), "isnumeric": every(isNumeric),
	"isascii":      predicate(isASCII),
	"isidentifier": predicate(isIdentifier), "islower": predicate(isLower), "isupper": predicate(isUpper),
	"istitle":     predicate(isTitle),
	"isprintable": predicate(func(s string) bool { return strings.IndexFunc(s, notPrintable) < 0 }),
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
		keep := count(or(a[0], false)) != 0
		x.work(len(s) / 4)
		x.spend(len(s) + 48*countFunc(s, isLineEnd))
		return &List{texts(splitLines(s, keep))}
	}},
	"removeprefix": {[]string{"prefix/"}, func(x *exec, s string, a []any) any {
		return x.made(strings.TrimPrefix(s, argText("removeprefix", a[0])))
	}},
	"removesuffix": {[]string{"suffix/"}, func(x *exec, s string, a []any) any {
		return x.made(strings.TrimSuffix(s, argText("removesuffix", a[0])))
	}},
}

func countFunc(s string, is func(rune) bool) (n int) {
	for _, r := range s {
		if is(r) {
			n++
		}
	}
	return n
}

func centerText(x *exec, s string, a []any) any {
	return justified(centered(count(a[0]))).call(x, s, a)
}
