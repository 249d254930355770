package bfcltest

import (
	"strings"
	"unicode/utf8"
)

// mutateWord changes a text as people and models do: in case, in punctuation that BFCL ignores, or in a letter.
func (w writer) mutateWord(s string) string {
	if w.IntN(10) > 0 {
		return s
	}
	return w.pick(strings.ToUpper(s), strings.ToLower(s), s+".", s+" ", " "+s, s+"s", strings.ReplaceAll(s, " ", "_"),
		strings.ReplaceAll(s, ",", ""), strings.ReplaceAll(s, "i", "İ"), strings.ReplaceAll(s, "s", "ſ"), s+"'", s+`"`,
		strings.ReplaceAll(s, " ", "\u00a0"), strings.ReplaceAll(s, "e", "é"), "^*"+s, s+";", s+"(", s+"]", s+"#",
		s+`\`,
		strings.ReplaceAll(s, "k", "\u212a"), "Σ"+s+"Σ", s+"日本")
}

// mutateCalls changes one call, or how many there are.
func (w writer) mutateCalls(calls *[]call) {
	if len(*calls) == 0 {
		return
	}
	at := w.IntN(len(*calls))
	c := &(*calls)[at]
	c.args = append([]arg(nil), c.args...)
	switch w.IntN(12) {
	case 0:
		c.name = w.pick(strings.ToLower(c.name), c.name+"2", "a."+c.name, w.literal(2), c.name+" ", c.name+".x",
			c.name+"[0]",
			"await "+c.name, "new "+c.name, "this."+c.name, c.name[strings.LastIndexByte(c.name, '.')+1:],
			c.name+"()", "",
			"x="+c.name, c.name+"\n", "("+c.name+")", "!"+c.name)
	case 1:
		*calls = append(*calls, *c)
	case 2:
		*calls = append((*calls)[:at:at], (*calls)[at+1:]...)
	case 3:
		c.args = append(c.args, arg{w.pick("extra", "a", "self", "класс", "x1"), w.literal(0)})
	case 4:
		c.args = append(c.args, arg{"", w.literal(1)})
	default:
		w.mutateArgs(c)
	}
}

func (w writer) mutateArgs(c *call) {
	if len(c.args) == 0 {
		return
	}
	i := w.IntN(len(c.args))
	switch w.IntN(12) {
	case 0:
		c.args = append(c.args[:i], c.args[i+1:]...)
	case 1:
		c.args = append(c.args, c.args[i])
	case 2:
		c.args[i].name = w.pick(strings.ToUpper(c.args[i].name), c.args[i].name+"_", "class", "None", "true", "",
			"**", "*", "a.b",
			`"`+c.args[i].name+`"`, c.args[i].name+" x", "a[0]")
	case 3:
		j := w.IntN(len(c.args))
		c.args[i], c.args[j] = c.args[j], c.args[i]
	case 4:
		c.args[i].value = w.wrap(c.args[i].value)
	case 5:
		c.args[i].value = w.pick("", " ") + c.args[w.IntN(len(c.args))].value + w.pick("", " ", " x", ";", ".y",
			"()", "[0]")
	default:
		c.args[i].value = w.literal(0)
	}
}

// wrap puts a value into something that may or may not mean the same.
func (w writer) wrap(v string) string {
	return w.pick("("+v+")", "["+v+"]", "{"+v+"}", "-"+v, "not "+v, "!"+v, v+" + "+v, "+"+v, "f("+v+")",
		"f(x="+v+")", "("+v+",)",
		"*"+v, v+" if True else 0", v+" ? 1 : 2", "lambda: "+v, "await "+v, "{'k': "+v+"}", "~"+v, "--"+v, "(int) "+v,
		"new Foo("+v+")", "x = "+v, "() -> "+v, "() => "+v, "..."+v, v+"!", "typeof "+v, v+" // c", v+" # c",
		"/* c */ "+v,
		v+" /* c */", v+" == 1", v+" and x", v+" || x", "(a, "+v+")", "$"+v, "@"+v, v+".z", v+"::new", "Foo.class")
}

// mutateText inserts, removes, doubles or moves characters, or puts words around.
func (w writer) mutateText(s string) string {
	switch w.IntN(8) {
	case 0:
		return w.pick("Sure: ", "I will call ", "\n", "\n ", " ", "\t", "# c\n", "// c\n", "/* c */ ", "x = ",
			"return ", "print(", "'",
			"await ", "<tool_call>", "```json\n", "new ", "int x = ", "var x = ", "const x = ", "; ", "[]", "]",
			"f();", "a\n") + s
	case 1:
		return s + w.pick(" # c", "// c", "\n# c", " done", "\n\nDone.", ".", "'", "]", "[", "[]", ";", ";;",
			"\n;", " \n\n ", "```", "\t",
			"\r\n", ", g(b=2)", "; g(b=2);", "\ng(b=2)", "()", ".x", "\\", "\n", " /* c */", ")", "\x00", "\n }")
	}
	for range 1 + w.IntN(2) {
		from := w.place(s)
		to := min(len(s), from+w.IntN(4))
		for to < len(s) && !utf8.RuneStart(s[to]) {
			to++
		}
		switch w.IntN(4) {
		case 0:
			s = s[:from] + s[to:]
		case 1:
			s = s[:to] + s[from:to] + s[to:]
		default:
			s = s[:from] + w.pick(w.alphabet...) + s[from:]
		}
	}
	return s
}

// place is the beginning of a character of s, or its end.
func (w writer) place(s string) int {
	at := w.IntN(len(s) + 1)
	for at < len(s) && !utf8.RuneStart(s[at]) {
		at++
	}
	return at
}
