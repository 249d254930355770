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
			if name, err = c.normal(name); err == nil {
				n, err = c.newNode(attributeForm, name, n)
			}
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
		if len(items) == 1 && items[0].form == passedForm && items[0].text == comprehended {
			return c.newNode(passedForm, "", items...)
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
	name, err := c.normal(word)
	if err != nil {
		return nil, err
	}
	return c.newNode(nameForm, name)
}

// strings reads one or more adjacent string literals, which Python joins. The node's text is "u" if the first has that
// prefix, because ast.unparse writes it again.
func (c *cursor) strings() (*node, error) {
	if c.atBytes() {
		return c.bytesLiteral()
	}
	var joined strings.Builder
	unicode, passed := c.exact && c.peek() == 'u', false
	for {
		start := c.pos
		prefix := strings.ToLower(c.ident())
		quote := c.peek()
		if quote != '\'' && quote != '"' {
			c.pos = start
			if passed {
				c.loose = true // what stands in its braces is not read
				return c.newNode(passedForm, "")
			}
			n, err := c.literal(Text(joined.String()))
			if err == nil && unicode {
				n.text = "u"
			}
			return n, err
		}
		formatted := c.exact && (prefix == "f" || prefix == "fr" || prefix == "rf")
		if prefix != "" && prefix != "r" && prefix != "u" && !formatted {
			c.pos = start
			return nil, c.want("a string without that prefix")
		}
		passed = passed || formatted
		s, err := c.quoted(prefix == "r" || formatted)
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
	c.open++
	for c.trivia(); !c.take(closing); c.trivia() {
		item, err := c.starred(false)
		if err == nil && len(items) == 0 && c.atFor() {
			item, err = c.comprehension(item, closing)
		} else if err == nil {
			item, err = c.assigned(item)
		}
		if err != nil {
			return nil, false, err
		}
		items = append(items, item)
		c.trivia()
		if trailing = c.take(","); !trailing && c.peek() != closing[0] {
			return nil, false, c.want(`"," or "` + closing + `"`)
		}
	}
	c.open--
	return items, trailing, nil
}

// starred reads an expression, or a star and one behind it: any expression in arguments and subscripts, elsewhere none
// that binds as loosely as a comparison.
func (c *cursor) starred(any bool) (*node, error) {
	if c.peek() != '*' || c.peekAt(1) == '*' {
		return c.expression()
	}
	c.pos++
	read := c.expression
	if !any {
		read = c.tight
	}
	inner, err := read()
	if err != nil {
		return nil, err
	}
	return c.newNode(starForm, "", inner)
}

func (c *cursor) parenthesis() (*node, error) {
	if c.exact {
		if n, err := c.yield(); n != nil || err != nil {
			return n, err
		}
	}
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
	c.open++
	for c.trivia(); !c.take("}"); c.trivia() {
		key, value, err := c.entry()
		if err != nil {
			return nil, err
		}
		if len(kids) == 0 && c.atFor() {
			if key == nil || key.form == starForm {
				return nil, c.want("no comprehension of unpacked entries")
			}
			n, err := c.comprehension(key, "}")
			c.open--
			c.pos++ // the "}"
			return n, err
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
	c.open--
	return c.newNode(f, "", kids...)
}

// entry reads key: value, or **value (key is nil), or an item of a set (value is nil).
func (c *cursor) entry() (key, value *node, err error) {
	if c.take("**") {
		value, err = c.tight()
		return nil, value, err
	}
	if key, err = c.starred(false); err != nil {
		return nil, nil, err
	}
	if c.trivia(); c.peek() != ':' || c.peekAt(1) == '=' {
		key, err = c.assigned(key)
		return key, nil, err
	}
	c.pos++
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
	c.open++
	for c.trivia(); !c.take(")"); c.trivia() {
		start := c.pos
		name, err := c.keyword()
		if err != nil {
			return nil, err
		}
		double := name == "" && c.take("**")
		var value *node
		if name != "" || double {
			value, err = c.expression()
			args = append(args, keyword{name, value})
		} else {
			value, err = c.argument(len(kids)+len(args) == 1)
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
	c.open--
	n, err := c.newNode(callForm, "", kids...)
	if err != nil {
		return nil, err
	}
	n.args = args
	n.depth = max(n.depth, depth+1)
	return n, nil
}

// keyword reads name "=". If it finds none, it returns "" and does not move the cursor.
func (c *cursor) keyword() (string, error) {
	start := c.pos
	name := c.ident()
	c.trivia()
	if name == "" || reserved(name) || c.peek() != '=' || c.peekAt(1) == '=' {
		c.pos = start
		return "", nil
	}
	c.pos++
	return c.normal(name)
}

// subscript reads an index, a slice or a tuple of them, after the "[".
func (c *cursor) subscript(of *node) (*node, error) {
	var items []*node
	trailing := false
	c.open++
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
	c.open--
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

func (c *cursor) peekColon() bool {
	c.trivia()
	return c.peek() == ':'
}

// slice reads an index or lower:upper:step, where each part is optional.
func (c *cursor) slice() (*node, error) {
	var parts [3]*node
	colons := 0
	for {
		c.trivia()
		if b := c.peek(); b != ':' && b != ',' && b != ']' {
			part, err := c.starred(true)
			if err != nil {
				return nil, err
			}
			if part.form == starForm && (colons > 0 || c.peekColon()) {
				return nil, c.want("a slice without a star")
			}
			if colons == 0 {
				if value, err := c.assigned(part); err != nil || value != part {
					return value, err // no slice
				}
			}
			parts[colons] = part
		}
		if c.trivia(); colons == 2 || c.peekAt(1) == '=' || !c.take(":") {
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
