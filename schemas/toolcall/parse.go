package toolcall

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The strict grammar:
//
//	answer = "[" [ call { "," call } [","] ] "]"
//	call   = name "(" [ arg { "," arg } [","] ] ")"
//	arg    = name "=" value
//	value  = string | ["-"|"+"] number | True | False | None | true | false | null
//	       | "[" values "]" | "(" values ")" | "{" value ":" value ... "}"
//	       | call | dotted bare name (a string)
//
// A call's name can be any text on one line without []{}"=, such as
// "User Feed (Video Posts) V2". Its arguments begin at the first "(" that is followed by ")"
// or by a name and "=". Arguments and dict keys must not repeat.

// maxName limits a name, in bytes: the search for its "(" must not scan a long text.
const maxName = 512

// Parse reads an answer that is a bracketed list of calls, with nothing but blanks around it.
// "[]" is an answer without calls. The error is a *SyntaxError.
func Parse(s string) ([]Call, error) {
	c, err := newCursor(s)
	if err != nil {
		return nil, err
	}
	c.blanks()
	calls, err := c.answer()
	if err != nil {
		return nil, err
	}
	c.blanks()
	if !c.end() {
		return nil, c.want("the end")
	}
	return calls, nil
}

func (c *cursor) answer() ([]Call, error) {
	if !c.take("[") {
		return nil, c.want(`"["`)
	}
	var calls []Call
	err := c.list("]", func() error {
		call, err := c.call()
		calls = append(calls, call)
		return err
	})
	return calls, err
}

// list reads items with commas between them up to the closing bracket, after the opening one.
// A comma before the closing bracket is allowed.
func (c *cursor) list(closing string, item func() error) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	for c.blanks(); !c.take(closing); c.blanks() {
		if err := item(); err != nil {
			return err
		}
		c.blanks()
		if c.take(",") {
			continue
		}
		if c.take(closing) {
			return nil
		}
		return c.want(`"," or "` + closing + `"`)
	}
	return nil
}

func (c *cursor) call() (Call, error) {
	call := Call{Name: c.callName()}
	if call.Name == "" {
		return call, c.want(`a call, such as name(key='value')`)
	}
	c.pos++ // skip the "(" at which callName stopped
	seen := map[string]bool{}
	err := c.list(")", func() error {
		start := c.pos
		name := c.argName()
		if name == "" {
			return c.want(`an argument, such as key='value'`)
		}
		if seen[name] {
			c.pos = start
			return c.want("an argument that is not given yet")
		}
		seen[name] = true
		c.blanks()
		value, err := c.value()
		call.Args = append(call.Args, Arg{name, value})
		return err
	})
	return call, err
}

// callName reads up to the "(" that opens the arguments. If no call begins here, it returns ""
// and does not move the cursor.
func (c *cursor) callName() string {
	start, open, last := c.pos, 0, rune('(')
	for c.pos < len(c.text) && c.pos-start <= maxName {
		r, size := utf8.DecodeRuneInString(c.text[c.pos:])
		switch {
		case strings.ContainsRune(`[]{}"=`, r) || unicode.IsControl(r),
			c.pos == start && strings.ContainsRune(`' ,()`, r),
			r == ',' && last == ')', // f(1), g(): a call with a bare value, not a name
			r == ')' && open == 0,
			r == '(' && open > 0: // f(g(x=1)): the same
			c.pos = start
			return ""
		case r == '(' && c.opensArgs():
			return strings.TrimRight(c.text[start:c.pos], " ")
		case r == '(':
			open++
		case r == ')':
			open--
		}
		if r != ' ' {
			last = r
		}
		c.pos += size
	}
	c.pos = start
	return ""
}

// opensArgs reports whether the next "(" begins an argument list: ")" or name "=" follows it.
func (c *cursor) opensArgs() bool {
	ahead := *c
	ahead.pos++
	ahead.blanks()
	return ahead.peek() == ')' || ahead.argName() != ""
}

// argName reads name "=". The name can be any text on one line without the grammar's special
// characters. If it finds none, it returns "" and does not move the cursor.
func (c *cursor) argName() string {
	start := c.pos
	for c.pos < len(c.text) && c.pos-start <= maxName {
		r, size := utf8.DecodeRuneInString(c.text[c.pos:])
		if r == '=' {
			name := strings.TrimRight(c.text[start:c.pos], " \t")
			c.pos++
			if name == "" || c.peek() == '=' {
				break
			}
			return name
		}
		if strings.ContainsRune(`[](){}"',:`, r) || unicode.IsControl(r) {
			break
		}
		c.pos += size
	}
	c.pos = start
	return ""
}

func (c *cursor) value() (Value, error) {
	switch b := c.peek(); {
	case b == '\'' || b == '"':
		s, err := c.quoted(false)
		return Text(s), err
	case b == '-' || b == '+':
		return c.signed()
	case c.atNumber():
		return c.number()
	case b == '[':
		c.pos++
		items, _, err := c.values("]")
		return Value{Kind: List, Items: items}, err
	case b == '(':
		c.pos++
		return c.tuple()
	case b == '{':
		c.pos++
		return c.dict()
	}
	return c.word()
}

func (c *cursor) signed() (Value, error) {
	negative := c.peek() == '-'
	c.pos++
	c.blanks()
	if !c.atNumber() {
		return Value{}, c.want("a number")
	}
	v, err := c.number()
	if err == nil && negative {
		v = negated(v)
	}
	return v, err
}

// negated returns -v for an int or a float.
func negated(v Value) Value {
	switch {
	case v.Kind == Float:
		v.Float = -v.Float
	case strings.HasPrefix(v.Text, "-"):
		v.Text = v.Text[1:]
	case v.Text != "0":
		v.Text = "-" + v.Text
	}
	return v
}

// values reads items up to the closing bracket. trailing tells whether a comma precedes it.
func (c *cursor) values(closing string) (items []Value, trailing bool, err error) {
	err = c.list(closing, func() error {
		v, err := c.value()
		items = append(items, v)
		c.blanks()
		trailing = c.peek() == ','
		return err
	})
	return items, trailing, err
}

// tuple reads a tuple, or a value in parentheses: (1) is 1, (1,) is a tuple.
func (c *cursor) tuple() (Value, error) {
	items, trailing, err := c.values(")")
	if err == nil && len(items) == 1 && !trailing {
		return items[0], nil
	}
	return Value{Kind: Tuple, Items: items}, err
}

func (c *cursor) dict() (Value, error) {
	dict := Value{Kind: Dict}
	seen := map[string]bool{}
	err := c.list("}", func() error {
		start := c.pos
		key, err := c.value()
		if err != nil {
			return err
		}
		if !hashable(key) {
			c.pos = start
			return c.want("a key: a string, number, bool, None or a tuple of them")
		}
		if seen[hashKey(key)] {
			c.pos = start
			return c.want("a key that is not given yet")
		}
		seen[hashKey(key)] = true
		c.blanks()
		if !c.take(":") {
			return c.want(`":"`)
		}
		c.blanks()
		value, err := c.value()
		dict.Pairs = append(dict.Pairs, Pair{key, value})
		return err
	})
	return dict, err
}

// word reads a value that begins with a letter: a constant, a nested call, or a bare dotted
// name, which is read as a string.
func (c *cursor) word() (Value, error) {
	start := c.pos
	word := c.ident()
	for word != "" && c.take(".") && c.ident() != "" {
		word = c.text[start:c.pos]
	}
	if word == "" {
		return Value{}, c.want("a value")
	}
	end := start + len(word)
	c.pos = end
	if c.blanks(); c.end() || strings.IndexByte(",)]}:", c.peek()) >= 0 {
		c.pos = end
		v := constant(word)
		if c.plain && v.Kind == String {
			c.pos = start
			return v, c.want("a literal")
		}
		return v, nil
	}
	c.pos = start
	if c.plain {
		return Value{}, c.want("a literal")
	}
	if err := c.enter(); err != nil {
		return Value{}, err
	}
	defer c.leave()
	call, err := c.call()
	return Value{Kind: Nested, Call: &call}, err
}

func constant(word string) Value {
	switch word {
	case "True", "true":
		return Truth(true)
	case "False", "false":
		return Truth(false)
	case "None", "null":
		return Value{}
	}
	return Text(word)
}
