package jinja

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

func formatFilter(x *exec, of any, a args) any {
	v := softStr(x, of)
	s, _ := text(v)
	if len(a.positional) > 0 && len(a.names) > 0 {
		raise("FilterArgumentError", "can't handle positional and keyword arguments at the same time")
	}
	var value any = &Tuple{Items: a.positional}
	if len(a.names) > 0 {
		d := NewDict()
		for i, n := range a.names {
			d.Set(n, a.named[i])
		}
		value = d
	}
	return sameKind(v, printf(x, s, value, isMarkup(v)))
}

func indent(x *exec, of any, a args) any {
	b := bind("indent", a, "width=", "first=", "blank=")
	var by string
	switch w := or(b[0], 4).(type) {
	case string:
		by = w
	case markup:
		by = string(w)
	default:
		n := count(w)
		if n > maxWidth {
			overLimit("indentation by %d", n)
		}
		by = strings.Repeat(" ", max(n, 0))
	}
	s, ok := text(of)
	if !ok {
		add(x, of, "\n") // raises what Python raises
	}
	lines := splitLines(s+"\n", false)
	x.spend(len(s) + len(lines)*(len(by)+1))
	for i, line := range lines {
		if i > 0 && (line != "" || truth(or(b[2], false))) || i == 0 && truth(or(b[1], false)) {
			lines[i] = by + line
		}
	}
	return sameKind(of, strings.Join(lines, "\n"))
}

func replaceFilter(x *exec, of any, a args) any {
	b := bind("replace", a, "old", "new", "count=")
	n := -1
	if c := or(b[2], nil); c != nil {
		n = count(c)
	}
	if x.autoescape {
		unsupported("replace with autoescape")
	}
	return replace(x, str(x, of), str(x, b[0]), str(x, b[1]), n)
}

func trim(x *exec, of any, a args) any {
	b := bind("trim", a, "chars=")
	return onStr(x, of, "strip", or(b[0], nil))
}

func truncate(x *exec, of any, a args) any {
	b := bind("truncate", a, "length=", "killwords=", "end=", "leeway=")
	most, end := count(or(b[0], 255)), or(b[2], "...")
	tail := argText("truncate", end)
	leeway := 5
	if l := or(b[3], nil); l != nil {
		leeway = count(l)
	}
	if most < length(tail) || leeway < 0 {
		raise("AssertionError", "expected length >= %d, got %d", length(tail), most)
	}
	n, _ := size(of)
	if n == 0 && !isText(of) {
		lengthFilter(x, of, args{}) // raises what has no length
	}
	if n <= most+leeway {
		return of
	}
	s, ok := text(of)
	if !ok {
		typeError("can only concatenate str to str, not to %s", typeName(of))
	}
	cut := firstRunes(s, most-length(tail))
	if !truth(or(b[1], false)) {
		if i := strings.LastIndex(cut, " "); i >= 0 {
			cut = cut[:i]
		}
	}
	return add(x, sameKind(of, cut), end)
}

func wordCount(x *exec, of any, a args) any {
	bind("wordcount", a)
	s, _ := text(softStr(x, of))
	x.work(len(s))
	return len(strings.FieldsFunc(s, func(r rune) bool { return !isAlnum(r) && r != '_' }))
}

func centerFilter(x *exec, of any, a args) any {
	b := bind("center", a, "width=")
	return onStr(x, of, "center", or(b[0], 80))
}

// wordTitle is jinja2's filter title, which differs from str.title in what begins a word.
func wordTitle(s string) string {
	var b strings.Builder
	var word []rune
	flush := func() {
		for i := range word {
			if i == 0 {
				b.WriteString(upper(string(word[0])))
				continue
			}
			b.WriteString(lowerAt(word[1:], i-1))
		}
		word = word[:0]
	}
	for _, r := range s {
		begins := isSpace(r) || strings.ContainsRune("-({[<", r)
		if begins {
			flush()
			b.WriteRune(r)
			continue
		}
		word = append(word, r)
	}
	flush()
	return b.String()
}

func fileSize(x *exec, of any, a args) any {
	b := bind("filesizeformat", a, "binary=")
	f := toFloat(of)
	base, prefixes, infix := int64(1000), "kMGTPEZY", "B"
	if truth(or(b[0], false)) {
		base, prefixes, infix = 1024, "KMGTPEZY", "iB"
	}
	switch {
	case f-f != 0:
		unsupported("the size of %v bytes", f)
	case f == 1:
		return "1 Byte"
	case f < float64(base):
		return toInt(f).String() + " Bytes"
	}
	unit := big.NewInt(base)
	for i := range prefixes {
		unit.Mul(unit, big.NewInt(base)) // exact, as Python compares: 1e24 is less than 1000⁸
		exact := new(big.Float).SetInt(unit)
		if big.NewFloat(f).Cmp(exact) < 0 || i == len(prefixes)-1 {
			size, _ := exact.Float64()
			return fixed(float64(base)*f/size, 1) + " " + prefixes[i:i+1] + infix
		}
	}
	return nil
}

// fixed is Python's "%.*f".
func fixed(f float64, decimals int) string {
	if math.IsInf(f, 1) {
		return "inf"
	}
	return strconv.FormatFloat(f, 'f', decimals, 64)
}
