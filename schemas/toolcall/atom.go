package toolcall

import "strings"

// Atoms of Python's expressions, and the attributes, arguments and subscripts that follow
// them. The operators between them are in expr.go.

// primary reads an atom and the attributes, calls and subscripts that follow it.
func (c *cursor) primary() (*node, error) {
	n, err := c.atom()
	for err == nil {
		c.trivia()
		switch {
		case c.peek() == '.' && !digit(c.peekAt(1)):
			c.pos++
			c.trivia()
			name := c.ident()
			if name == "" || reserved(name) {
				return nil, c.want("a name")
			}
			n, err = c.newNode(attributeForm, name, n)
		case c.take("("):
			n, err = c.arguments(n)
		case c.take("["):
			n, err = c.subscript(n)
		default:
			return n, nil
		}
	}
	return nil, err
}

func (c *cursor) atom() (*node, error) {
	switch b := c.peek(); {
	case b == '\'' || b == '"':
		return c.strings()
	case c.take("..."):
		return c.newNode(ellipsisForm, "")
	case c.atNumber():
		v, err := c.number()
		if err != nil {
			return nil, err
		}
		return c.literal(v)
	case c.take("["):
		items, _, err := c.elements("]")
		if err != nil {
			return nil, err
		}
		return c.newNode(listForm, "", items...)
	case c.take("("):
		return c.parenthesis()
	case c.take("{"):
		return c.braces()
	}
	return c.identifier()
}

func (c *cursor) literal(v Value) (*node, error) {
	n, err := c.newNode(constantForm, "")
	n.value = v
	return n, err
}

func (c *cursor) identifier() (*node, error) {
	start := c.pos
	word := c.ident()
	if quote := c.peek(); (quote == '\'' || quote == '"') && len(word) > 0 && len(word) <= 2 {
		c.pos = start
		return c.strings()
	}
	switch word {
	case "True", "False":
		return c.literal(Truth(word == "True"))
	case "None":
		return c.literal(Value{})
	}
	if word == "" || reserved(word) {
		c.pos = start
		return nil, c.want("an expression")
	}
	return c.newNode(nameForm, word)
}

// strings reads one or more adjacent string literals, which Python joins.
func (c *cursor) strings() (*node, error) {
	if c.atBytes() {
		return c.bytesLiteral()
	}
	var joined strings.Builder
	for {
		start := c.pos
		prefix := strings.ToLower(c.ident())
		quote := c.peek()
		if quote != '\'' && quote != '"' {
			c.pos = start
			return c.literal(Text(joined.String()))
		}
		if prefix != "" && prefix != "r" && prefix != "u" {
			c.pos = start
			return nil, c.want("a string without that prefix")
		}
		s, err := c.quoted(prefix == "r")
		if err != nil {
			return nil, err
		}
		joined.WriteString(s)
		c.trivia()
	}
}

// elements reads expressions, also starred ones, up to the closing bracket. trailing tells
// whether a comma precedes the bracket.
func (c *cursor) elements(closing string) (items []*node, trailing bool, err error) {
	for c.trivia(); !c.take(closing); c.trivia() {
		item, err := c.starred()
		if err != nil {
			return nil, false, err
		}
		items = append(items, item)
		c.trivia()
		if trailing = c.take(","); !trailing && c.peek() != closing[0] {
			return nil, false, c.want(`"," or "` + closing + `"`)
		}
	}
	return items, trailing, nil
}

func (c *cursor) starred() (*node, error) {
	if c.peek() != '*' || c.peekAt(1) == '*' {
		return c.expression()
	}
	c.pos++
	inner, err := c.expression()
	if err != nil {
		return nil, err
	}
	return c.newNode(starForm, "", inner)
}

func (c *cursor) parenthesis() (*node, error) {
	items, trailing, err := c.elements(")")
	if err != nil {
		return nil, err
	}
	if len(items) == 1 && !trailing {
		if items[0].form == starForm {
			return nil, c.want("an expression that is not starred")
		}
		return items[0], nil
	}
	return c.newNode(tupleForm, "", items...)
}

// braces reads a dict or a set. The first entry decides which of them it is.
func (c *cursor) braces() (*node, error) {
	f, kids := dictForm, []*node(nil)
	for c.trivia(); !c.take("}"); c.trivia() {
		key, value, err := c.entry()
		if err != nil {
			return nil, err
		}
		if len(kids) == 0 && value == nil {
			f = setForm
		}
		if (value == nil) != (f == setForm) {
			return nil, c.want("an entry like the ones before")
		}
		kids = append(kids, key)
		if f == dictForm {
			kids = append(kids, value)
		}
		if c.trivia(); !c.take(",") && c.peek() != '}' {
			return nil, c.want(`"," or "}"`)
		}
	}
	return c.newNode(f, "", kids...)
}

// entry reads key: value, or **value (key is nil), or an item of a set (value is nil).
func (c *cursor) entry() (key, value *node, err error) {
	if c.take("**") {
		value, err = c.expression()
		return nil, value, err
	}
	if key, err = c.starred(); err != nil {
		return nil, nil, err
	}
	if c.trivia(); !c.take(":") {
		return key, nil, nil
	}
	if key.form == starForm {
		return nil, nil, c.want("a key that is not starred")
	}
	value, err = c.expression()
	return key, value, err
}

// arguments reads the arguments of a call, after its "(".
func (c *cursor) arguments(function *node) (*node, error) {
	kids, args := []*node{function}, []keyword(nil)
	depth, unpacked := 0, false
	for c.trivia(); !c.take(")"); c.trivia() {
		start := c.pos
		name := c.keyword()
		double := name == "" && c.take("**")
		var value *node
		var err error
		if name != "" || double {
			value, err = c.expression()
			args = append(args, keyword{name, value})
		} else {
			value, err = c.starred()
			kids = append(kids, value)
		}
		if err != nil {
			return nil, err
		}
		bare := name == "" && !double
		if bare && (unpacked || len(args) > 0 && value.form != starForm) {
			c.pos = start
			return nil, c.want("a keyword argument")
		}
		unpacked = unpacked || double
		depth = max(depth, value.depth)
		if c.trivia(); !c.take(",") && c.peek() != ')' {
			return nil, c.want(`"," or ")"`)
		}
	}
	n, err := c.newNode(callForm, "", kids...)
	if err != nil {
		return nil, err
	}
	n.args = args
	n.depth = max(n.depth, depth+1)
	return n, nil
}

// keyword reads name "=". If it finds none, it returns "" and does not move the cursor.
func (c *cursor) keyword() string {
	start := c.pos
	name := c.ident()
	c.trivia()
	if name == "" || reserved(name) || c.peek() != '=' || c.peekAt(1) == '=' {
		c.pos = start
		return ""
	}
	c.pos++
	return name
}

// subscript reads an index, a slice or a tuple of them, after the "[".
func (c *cursor) subscript(of *node) (*node, error) {
	var items []*node
	trailing := false
	for c.trivia(); !c.take("]"); c.trivia() {
		item, err := c.slice()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		c.trivia()
		if trailing = c.take(","); !trailing && c.peek() != ']' {
			return nil, c.want(`"," or "]"`)
		}
	}
	if len(items) == 0 {
		return nil, c.want("an index")
	}
	index := items[0]
	if len(items) > 1 || trailing {
		var err error
		if index, err = c.newNode(tupleForm, "", items...); err != nil {
			return nil, err
		}
	}
	return c.newNode(indexForm, "", of, index)
}

// slice reads an index or lower:upper:step, where each part is optional.
func (c *cursor) slice() (*node, error) {
	var parts [3]*node
	colons := 0
	for {
		c.trivia()
		if b := c.peek(); b != ':' && b != ',' && b != ']' {
			part, err := c.starred()
			if err != nil {
				return nil, err
			}
			parts[colons] = part
		}
		if c.trivia(); colons == 2 || !c.take(":") {
			break
		}
		colons++
	}
	if colons == 0 {
		if parts[0] == nil {
			return nil, c.want("an index")
		}
		return parts[0], nil
	}
	return c.newNode(sliceForm, "", parts[:]...)
}
