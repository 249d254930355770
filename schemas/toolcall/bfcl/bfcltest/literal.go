package bfcltest

import (
	"embed"
	"strings"
)

// literals are values of a language, one a line, and the characters that mutations insert. The symbols
// ⏎ ␍ ␉ ␌ ␋ ␀ stand for the control characters that they picture.
//
//go:embed literals
var literals embed.FS

func lines(name string) []string {
	text, err := literals.ReadFile("literals/" + name + ".txt")
	if err != nil {
		panic(err) // it is part of the package
	}
	all := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	control := strings.NewReplacer("⏎", "\n", "␍", "\r", "␉", "\t", "␌", "\f", "␋", "\v", "␀", "\x00")
	for i := range all {
		all[i] = control.Replace(all[i])
	}
	return all
}

// atom chooses a literal of the language.
func (w writer) atom() string { return w.pick(w.atoms...) }

// literal makes a value of the random grammar of the language. depth is how deep it is nested.
func (w writer) literal(depth int) string {
	switch w.lang {
	case java:
		return w.javaLiteral(depth)
	case javaScript:
		return w.scriptLiteral(depth)
	}
	return w.pythonLiteral(depth)
}

func (w writer) pythonLiteral(depth int) string {
	if depth > 2 || w.IntN(3) > 0 {
		return w.atom()
	}
	in := func() string { return w.pythonLiteral(depth + 1) }
	switch w.IntN(9) {
	case 0:
		return "[" + in() + ", " + in() + "]"
	case 1:
		return "(" + in() + ", " + in() + w.pick("", ",") + ")"
	case 2:
		return "{" + in() + ": " + in() + ", 'k': " + in() + "}"
	case 3:
		return in() + w.pick(" + ", " - ", "*", " / ", "//", " % ", " | ", " & ", "<<", "^", " @ ", " in ",
			" or ") + in()
	case 4:
		return w.pick("g", "a.b", "print", "x()") + "(" + in() + ", " + w.pick("", "k=") + in() + ")"
	case 5:
		return w.pick("-", "+", "~", "not ", "*") + in()
	case 6:
		return in() + "[" + in() + w.pick("", ":", ", 1", ":2:") + "]"
	case 7:
		return "(" + in() + ")"
	}
	return in() + w.pick(".x", "()", " # c\n", "\\\n", " if x else 1", " x", "\n", "''")
}

func (w writer) javaLiteral(depth int) string {
	if depth > 2 || w.IntN(3) > 0 {
		return w.atom()
	}
	in := func() string { return w.javaLiteral(depth + 1) }
	switch w.IntN(9) {
	case 0:
		return "new " + w.pick("int", "String", "Foo", "a.b.C", "Map<A, B>") + w.pick("[]", "[] ",
			"[][]") + "{" + in() + ", " + in() + "}"
	case 1:
		return "new " + w.pick("Foo", "a.B", "ArrayList<>", "Map<A, List<B>>",
			"HashMap") + "(" + in() + w.pick("", ", "+in()) + ")"
	case 2:
		return w.pick("f", "a.f", "a.b().c", "this.f") + "(" + in() + w.pick("", ", "+in()) + ")"
	case 3:
		return in() + w.pick(" + ", " - ", "*", "/", " % ", " == ", " && ", " < ", " > ", " | ", ">>", " != ") + in()
	case 4:
		return w.pick("-", "!", "~", "+", "++", "(int) ", "(Foo) ", "(Foo<Bar>) ") + in()
	case 5:
		return "(" + in() + ")"
	case 6:
		return in() + " ? " + in() + " : " + in()
	case 7:
		return in() + w.pick(".x", ".f()", "[0]", "++", "::g", ".class", " x", ";", ".new Foo()", "()", "{}")
	}
	return "new ArrayList<>(Arrays.asList(" + in() + ", " + in() + "))"
}

func (w writer) scriptLiteral(depth int) string {
	if depth > 2 || w.IntN(3) > 0 {
		return w.atom()
	}
	in := func() string { return w.scriptLiteral(depth + 1) }
	switch w.IntN(9) {
	case 0:
		return "[" + in() + ", " + in() + w.pick("", ",") + "]"
	case 1:
		return "{" + w.pick("a", "'a'", "\"a\"", "1", "[x]", "get",
			"if") + ": " + in() + ", b: " + in() + w.pick("", ",", "}") + "}"
	case 2:
		return w.pick("f", "a.f", "new Foo", "new Array", "a.b().c", "this.f", "import") + "(" + in() + w.pick("",
			", "+in(), ",") + ")"
	case 3:
		return in() + w.pick(" + ", " - ", "*", "/", " % ", " == ", " === ", " && ", " < ", " ?? ", "**", ">>>",
			" in ", " = ") + in()
	case 4:
		return w.pick("-", "!", "~", "+", "++", "typeof ", "await ", "...", "void ", "- ") + in()
	case 5:
		return "(" + in() + ")"
	case 6:
		return in() + " ? " + in() + " : " + in()
	case 7:
		return in() + w.pick(".x", ".f()", "[0]", "++", "?.y", "`t`", " x", ";", "?.()", "()", "{}", "\n", " => 1")
	}
	return w.pick("x => ", "(a) => ", "async () => ", "() => { return ", "function() { ") + in() + w.pick("",
		" }", "; }")
}

// anything makes an answer to a question that has no possible answers.
func (w writer) anything() string {
	plain := []string{
		"", " ", "\n", "[]", "[ ]", "[,]", "()", "{}", "None", "I cannot do that.", "No function fits", "42",
		"42 (about)", "Yes (both)",
		"f", "f()", "[f()]", "[f(a=1)]", "f(a=1)", "f(1)", "[f(a=1), g(b='x')]", "f(a=1), g()", "f(a=1)\ng(b=2)",
		"[[f(a=1)]]", "{f(a=1)}",
		"(f(a=1), g())", "'[f(a=1)]'", "``` ```", "```\n[f(a=1)]\n```", "```python\nf()\n```",
		`{"name": "f", "arguments": {}}`, "f(a=)",
		"f(a=1", "f a=1", "no_function()", "[no_function()]", "a.b.c(d=1)", "f(a=1)()", "f(a=1)[0]", "x = f(a=1)",
		"[f(a=1),]",
		"[f(a=1),, g()]", "[f(a=1);]", "[1, 2]", "['a']", "[x]", "f(a=1) # c", "# c\nf()", " f(a=1)", "\tf(a=1)",
		"[f(a=1)]'", "]f(a=1)[",
		"[]f(a=1)", "f(a=1)[]", "Sure! [f(a=1)]", "f(a=1).", "[f(a=1)] Done.", "f(a={)", "f(a=b=1)",
		"[f(a=1)]\n\n[g(b=2)]", "(f())", "f(),",
	}
	if w.rarely(2) {
		return w.pick(plain...)
	}
	return w.print([]call{{w.pick("f", "a.b", "no_function"), []arg{{"a", w.literal(0)}, {w.pick("b", ""),
		w.literal(1)}}}})
}
