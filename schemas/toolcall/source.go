package toolcall

import "strings"

// DecodeSource reads a raw answer in the syntax of Java or JavaScript: one call whose
// arguments are named, name(a=new int[]{1, 2}, b="x"). quotes are the characters that
// open and close a string literal. Every value is a String that holds the argument's
// source text as written, quotes included: what it means depends on the declared type
// of the parameter, see package bfcl.
//
// BFCL instead prints Java's syntax tree again and so loses the body of
// new HashMap<>() {{ ... }}.
func DecodeSource(raw, quotes string) ([]Call, error) {
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
	call, err := c.sourceCall(quotes)
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

func (c *cursor) sourceCall(quotes string) (Call, error) {
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
		arg, err := c.sourceArg(quotes)
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

// path reads a name such as com.example.$f; "" if none is next.
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

func (c *cursor) sourceArg(quotes string) (Arg, error) {
	name := c.path()
	if c.blanks(); name == "" || c.peek() != '=' || c.peekAt(1) == '=' {
		return Arg{}, c.want("an argument, such as key=value")
	}
	c.pos++
	c.blanks()
	start := c.pos
	if err := c.sourceValue(quotes); err != nil {
		return Arg{}, err
	}
	value := strings.TrimSpace(c.text[start:c.pos])
	if value == "" {
		return Arg{}, c.want("a value")
	}
	return Arg{name, Text(value)}, nil
}

// sourceValue skips source text up to a comma or a closing parenthesis that is outside all
// quotes and brackets.
func (c *cursor) sourceValue(quotes string) error {
	var open []byte
	for ; !c.end(); c.pos++ {
		b := c.text[c.pos]
		switch {
		case strings.IndexByte(quotes, b) >= 0:
			if err := c.sourceString(b); err != nil {
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

// typeArguments returns the length up to the ">" that closes the first "<" of s, if there are
// only type names between them: a comma there separates no arguments. Otherwise it returns
// 0. The search is short, because a hostile text has many "<".
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

// sourceString moves to the closing quote.
func (c *cursor) sourceString(quote byte) error {
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
