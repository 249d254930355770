package bfcltest

import (
	"strings"

	"itool/schemas/toolcall"
)

// print writes the calls with random white space.
func (w writer) print(calls []call) string {
	comma, equals, inside := ", ", "=", ""
	if w.rarely(4) {
		comma = w.pick(",", " , ", ",  ", ",\n", ",\n    ", ", # c\n", ",\t", ", /* c */ ", ", // c\n", ",\\\n")
	}
	if w.rarely(8) {
		equals = w.pick(" = ", "= ", " =", ":", "==", ": ", "=\n", " =\t", "= /*c*/ ")
	}
	if w.rarely(10) {
		inside = w.pick(" ", "\n", "\t", "/**/", "  ")
	}
	between := ", "
	if w.rarely(5) {
		between = w.pick(",", ",\n", ",\n ", "; ", "\n", " ", "],[", ", \n", "\n,")
	}
	var all []string
	for _, c := range calls {
		var args []string
		for _, a := range c.args {
			if a.name == "" {
				args = append(args, a.value)
				continue
			}
			args = append(args, a.name+equals+a.value)
		}
		end := ""
		if w.rarely(20) {
			end = w.pick(",", ", ", ",,", "\n")
		}
		all = append(all, c.name+"("+inside+strings.Join(args, comma)+end+inside+")")
	}
	text := strings.Join(all, between)
	switch {
	case w.IntN(6) > 0:
		return "[" + text + "]"
	case w.rarely(3):
		return text
	}
	return w.pick("[", "[ ", "[\n", "", "[[", "(", "{", "```\n[", "```python\n[", "`", " [", "\n[", "[\n    ",
		"\t") + text +
		w.pick("]", " ]", "\n]", "", "]]", ")", "}", "]\n```", "]```", "`", "] ", ";]", "];", "]\n\n", ",]", "]]'")
}

// value writes a value as the source text that the language has for it, or nearly so.
func (w writer) value(v toolcall.Value, param toolcall.Param) string {
	switch w.lang {
	case java:
		return w.javaValue(v, param)
	case javaScript:
		return w.scriptValue(v, param)
	}
	return w.pythonValue(v)
}

func (w writer) pythonValue(v toolcall.Value) string {
	switch v.Kind {
	case toolcall.String:
		return w.pythonText(v.Text)
	case toolcall.List, toolcall.Tuple:
		open, closing := "[", "]"
		if w.rarely(20) {
			open, closing = "(", ")"
		}
		return open + w.join(v.Items, w.pythonValue) + closing
	case toolcall.Dict:
		return "{" + w.pairs(v.Pairs, w.pythonText, w.pythonValue) + "}"
	case toolcall.Int:
		if w.rarely(15) {
			return w.pick(v.Text+".0", "'"+v.Text+"'", v.Text+" + 0", "0x"+v.Text, v.Text+"_0", "+"+v.Text,
				"int("+v.Text+")",
				"0"+v.Text, v.Text+"j", v.Text+"*1", "("+v.Text+")", v.Text+"L", v.Text+"e0", "-"+v.Text)
		}
	case toolcall.Bool:
		if w.rarely(6) {
			return strings.ToLower(v.String())
		}
	}
	return v.String()
}

func (w writer) join(items []toolcall.Value, write func(toolcall.Value) string) string {
	all := make([]string, len(items))
	for i, item := range items {
		all[i] = write(item)
	}
	s := strings.Join(all, w.comma())
	if w.rarely(20) {
		s += ","
	}
	return s
}

func (w writer) comma() string {
	if w.rarely(6) {
		return w.pick(",", " , ", ",\n", ",  ")
	}
	return ", "
}

func (w writer) pairs(pairs []toolcall.Pair, key func(string) string, write func(toolcall.Value) string) string {
	all := make([]string, len(pairs))
	colon := ": "
	if w.rarely(6) {
		colon = w.pick(":", " : ", "=", ":\n")
	}
	for i, p := range pairs {
		all[i] = key(p.Key.Text) + colon + write(p.Value)
	}
	return strings.Join(all, w.comma())
}

// pythonText writes a string in one of Python's many ways.
func (w writer) pythonText(s string) string {
	s = w.mutateWord(s)
	plain := toolcall.Text(s).String()
	if w.IntN(6) > 0 {
		return plain
	}
	body := plain[1 : len(plain)-1]
	half := len(s) / 2
	for half > 0 && s[half]&0xC0 == 0x80 {
		half--
	}
	return w.pick(`"""`+s+`"""`, `'''`+s+`'''`, `"`+s+`"`, `'`+s+`'`, "r"+plain, "u"+plain, "b"+plain, "f"+plain,
		"R"+plain,
		"rb"+plain, s, `'\u0041`+body+`'`, toolcall.Text(s[:half]).String()+" "+toolcall.Text(s[half:]).String(),
		toolcall.Text(s[:half]).String()+" + "+toolcall.Text(s[half:]).String(), plain+"''", plain+" * 1", "`"+s+"`",
		plain+".lower()", plain+" % ()", "["+plain+"]", "("+plain+")", "("+plain+",)", "str("+plain+")",
		`'`+body+`\`+`'`,
		`'`+body+`\n'`, `'`+strings.ReplaceAll(body, " ", `\x20`)+`'`, `'`+strings.ReplaceAll(body, "a", `\141`)+`'`,
		`'\N{LATIN SMALL LETTER A}'`, `'`+body+`\ud83d\ude00'`, `'`+body+`\ud83d'`, `'`+body+"\n'", `'`+body+"\\\n'",
		`'`+body+`😀'`, "“"+s+"”")
}

func (w writer) javaValue(v toolcall.Value, param toolcall.Param) string {
	switch v.Kind {
	case toolcall.String:
		if param.Type == "any" && w.IntN(5) > 0 {
			return v.Text
		}
		return w.javaText(w.mutateWord(v.Text))
	case toolcall.Int:
		if param.Type == "long" && w.IntN(8) > 0 {
			return v.Text + "L"
		}
		return v.Text + w.pick("", "", "", "", "", "L", "f", ".0", "d", "l", "LL", "_0", "e0")
	case toolcall.Float:
		return v.String() + w.pick("", "", "f", "F", "d", "D", "e0")
	case toolcall.List:
		return w.javaList(v, param)
	case toolcall.Dict:
		entries := make([]string, len(v.Pairs))
		for i, p := range v.Pairs {
			entries[i] = "put(" + w.javaText(p.Key.Text) + ", " + w.javaValue(p.Value, toolcall.Param{}) + ");"
		}
		return "new HashMap<" + w.pick("", "String, Object", "String,String") + ">()" +
			w.pick(" {{ ", "{{", " { { ", "{\n{\n") + strings.Join(entries, " ") + w.pick(" }}", "}}", " } }", "}\n}")
	}
	return strings.ToLower(v.String())
}

func (w writer) javaText(s string) string {
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
	if w.IntN(10) > 0 {
		return quoted
	}
	return w.pick(s, `'`+s+`'`, `"""`+s+`"""`, quoted+` + ""`, "new String("+quoted+")", "`"+s+"`",
		"\"\"\"\n"+s+"\"\"\"",
		`"`+s+`"`, quoted+quoted, "("+quoted+")", `"\u0041"`, `"\{x}"`, `"\s"`, `"\q"`, `"\x41"`, "\""+s+"\n\"",
		quoted+".trim()")
}

func (w writer) javaList(v toolcall.Value, param toolcall.Param) string {
	element := toolcall.Param{}
	if param.Items != nil {
		element = *param.Items
	}
	items := w.join(v.Items, func(item toolcall.Value) string { return w.javaValue(item, element) })
	if param.Type == "ArrayList" && w.IntN(5) > 0 {
		return "new ArrayList<" + w.pick("", "", "String", "Long", "Integer") + ">(Arrays.asList(" + items + "))"
	}
	boxed := w.pick("String", "int", "Integer", "Object", "char", "long", "Foo", "Foo<Bar>", "java.lang.String")
	return w.pick("new "+boxed+"[]{"+items+"}", "new "+boxed+"[]{"+items+"}", "new "+boxed+"[] { "+items+" }",
		"{"+items+"}",
		"["+items+"]", "Arrays.asList("+items+")", "List.of("+items+")", "new ArrayList<>(List.of("+items+"))",
		"new ArrayList<>() {{ add("+items+"); }}", "new "+boxed+"[3]", "new "+boxed+"[][]{{"+items+"}}")
}

func (w writer) scriptValue(v toolcall.Value, param toolcall.Param) string {
	switch v.Kind {
	case toolcall.String:
		if param.Type == "any" && w.IntN(3) > 0 {
			return v.Text
		}
		return w.scriptText(w.mutateWord(v.Text))
	case toolcall.List:
		write := func(item toolcall.Value) string { return w.scriptValue(item, toolcall.Param{}) }
		items := w.join(v.Items, write)
		return w.pick("["+items+"]", "["+items+"]", "["+items+"]", "[ "+items+" ]", "new Array("+items+")",
			"[["+items+"]]",
			"Array.of("+items+")", "("+items+")", "{"+items+"}")
	case toolcall.Dict:
		write := func(item toolcall.Value) string { return w.scriptValue(item, toolcall.Param{}) }
		key := w.scriptText
		if w.rarely(2) {
			key = func(s string) string { return s }
		}
		return w.pick("{", "{", "{ ", "{\n") + w.pairs(v.Pairs, key, write) + w.pick("}", "}", " }", "\n}", ",}")
	case toolcall.Int:
		return v.Text + w.pick("", "", "", "", "", "n", ".0", "e0", "_0", ".", "L")
	}
	return strings.ToLower(v.String())
}

func (w writer) scriptText(s string) string {
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
	single := `'` + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(s) + `'`
	if w.IntN(8) > 0 {
		return w.pick(quoted, single)
	}
	return w.pick(s, "`"+s+"`", quoted+" + ''", "`"+s+"${x}`", `"`+s+`"`, `'`+s+`'`, quoted+quoted, "("+quoted+")",
		`"\u0041"`, `"\q"`, `"\x4"`, "'"+s+"\n'", "'"+s+"\\\n'", "new String("+quoted+")", quoted+".trim()", "/"+s+"/g",
		"document.getElementById("+single+")")
}
