package toolcall

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// Java and JavaScript answers: one call whose arguments are named,
// name(a=new int[]{1, 2}, b="x"). Values stay source text, a string literal without its
// quotes; the check converts them by the parameter's declared type, and what does not
// convert stays a string. Unlike BFCL, which prints Java's syntax tree again and loses
// the body of new HashMap<>() {{ ... }}, the text is kept as it was written.

// DecodeJava reads a raw answer to a Java question.
func DecodeJava(raw string) ([]Call, error) { return decodeForeign(raw, `"'`) }

// DecodeJavaScript reads a raw answer to a JavaScript question.
func DecodeJavaScript(raw string) ([]Call, error) { return decodeForeign(raw, "\"'`") }

func decodeForeign(raw, quotes string) ([]Call, error) {
	text := strings.Trim(raw, "`\n ")
	shift := strings.Index(raw, text)
	if strings.HasPrefix(text, "[") {
		text, shift = text[1:], shift+1
	}
	text = strings.TrimSuffix(text, "]")
	c, err := newCursor(text)
	if err != nil {
		return nil, err
	}
	c.shift = shift
	call, err := c.foreignCall(quotes)
	if err != nil {
		return nil, err
	}
	c.blanks()
	c.take(";")
	if c.blanks(); !c.end() {
		return nil, c.want("the end")
	}
	return []Call{call}, nil
}

func (c *cursor) foreignCall(quotes string) (Call, error) {
	var call Call
	c.blanks()
	c.takeWord("new")
	c.blanks()
	call.Name = c.path()
	if c.blanks(); call.Name == "" || !c.take("(") {
		return call, c.want(`a call, such as name(key="value")`)
	}
	seen := map[string]bool{}
	for c.blanks(); !c.take(")"); c.blanks() {
		arg, err := c.foreignArg(quotes)
		if err != nil {
			return call, err
		}
		if seen[arg.Name] {
			return call, c.want("an argument that is not given yet")
		}
		seen[arg.Name] = true
		call.Args = append(call.Args, arg)
		if c.blanks(); !c.take(",") && c.peek() != ')' {
			return call, c.want(`"," or ")"`)
		}
	}
	return call, nil
}

// path reads a name such as com.example.$f.
func (c *cursor) path() string {
	start := c.pos
	for {
		before := c.pos
		c.ident()
		if !c.take("$") && !c.take(".") && c.pos == before {
			return c.text[start:c.pos]
		}
	}
}

func (c *cursor) foreignArg(quotes string) (Arg, error) {
	name := c.path()
	if c.blanks(); name == "" || c.peek() != '=' || c.peekAt(1) == '=' {
		return Arg{}, c.want("an argument, such as key=value")
	}
	c.pos++
	c.blanks()
	start := c.pos
	if err := c.foreignValue(quotes); err != nil {
		return Arg{}, err
	}
	value := strings.TrimSpace(c.text[start:c.pos])
	if value == "" {
		return Arg{}, c.want("a value")
	}
	return Arg{name, Text(unquote(value))}, nil
}

// unquote strips the quotes of a text that begins and ends with the same ones.
func unquote(s string) string {
	if last := len(s) - 1; last > 0 && s[0] == s[last] && (s[0] == '"' || s[0] == '\'') {
		return s[1:last]
	}
	return s
}

// foreignValue steps over source text up to a comma or the closing parenthesis outside
// all quotes and brackets.
func (c *cursor) foreignValue(quotes string) error {
	var open []byte
	for ; !c.end(); c.pos++ {
		b := c.text[c.pos]
		switch {
		case strings.IndexByte(quotes, b) >= 0:
			if err := c.foreignString(b); err != nil {
				return err
			}
		case b == '<':
			c.pos += typeArguments(c.text[c.pos:])
		case b == '(':
			open = append(open, ')')
		case b == '[':
			open = append(open, ']')
		case b == '{':
			open = append(open, '}')
		case len(open) == 0 && (b == ',' || b == ')'):
			return nil
		case b == ')' || b == ']' || b == '}':
			if len(open) == 0 || open[len(open)-1] != b {
				return c.want("balanced brackets")
			}
			open = open[:len(open)-1]
		}
	}
	return c.want(`")"`)
}

// typeArguments gives the length up to the ">" that closes the "<" here, when between
// them stand only type names: a comma there separates nothing. 0 if it is no such "<".
// The search is short, so that many "<" do not cost many long ones.
func typeArguments(s string) int {
	depth := 0
	for i := 0; i < len(s) && i < 128; i++ {
		switch b := s[i]; {
		case b == '<':
			depth++
		case b == '>':
			if depth--; depth == 0 {
				return i
			}
		case identPart(rune(b)) || strings.IndexByte(" ,.?[]", b) >= 0:
		default:
			return 0
		}
	}
	return 0
}

// foreignString steps to the closing quote.
func (c *cursor) foreignString(quote byte) error {
	for c.pos++; !c.end() && c.text[c.pos] != quote; c.pos++ {
		if c.text[c.pos] == '\\' {
			c.pos++
		}
	}
	if c.end() {
		c.pos = len(c.text)
		return c.want("a closing " + string(quote))
	}
	return nil
}

// convert reads source text by the declared type; Python values are values already.
func (lang language) convert(v Value, param Param) Value {
	element := ""
	if lang.hasElements(param.Type) && param.Items != nil {
		element = param.Items.Type
	}
	switch lang {
	case java:
		return javaValue(v.Text, param.Type, element)
	case javaScript:
		return scriptValue(v.Text, param.Type, element)
	}
	return v
}

// wholeText reads an int literal with an optional suffix ("" for none).
func wholeText(s, suffix string) (Value, bool) {
	digits := strings.TrimRight(s, suffix)
	if suffix != "" && len(digits) != len(s)-1 || len(digits) > maxDigits || !allDigits(strings.TrimPrefix(digits, "-")) {
		return Value{}, false
	}
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return Value{}, false
	}
	return Value{Kind: Int, Text: n.String()}, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !digit(s[i]) {
			return false
		}
	}
	return s != ""
}

// guess reads a literal without a declared type: bool, quoted text, number, else text.
func guess(s string) Value {
	if s == "true" || s == "false" {
		return Truth(s == "true")
	}
	if u := unquote(s); u != s {
		return Text(u)
	}
	if v, ok := wholeText(s, ""); ok {
		return v
	}
	if decimal.MatchString(s) {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return Number(f)
		}
	}
	return Text(s)
}

var decimal = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$`)

// pieces cuts the inside of a literal at its commas; BFCL does not look for quotes.
func pieces(s string, read func(string) Value) []Value {
	var items []Value
	if strings.TrimSpace(s) == "" {
		return nil
	}
	for piece := range strings.SplitSeq(s, ",") {
		items = append(items, read(strings.TrimSpace(piece)))
	}
	return items
}
