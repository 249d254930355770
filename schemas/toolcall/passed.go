package toolcall

// Expressions that BFCL refuses as values, but passes over in arguments without a name. Only an exact cursor
// reads them: it must know whether Python does.

// comprehended marks the node of a comprehension until its brackets are read.
const comprehended = "for"

// lambda reads the parameters and the body of a lambda, after the word. The order of its parameters is not checked.
func (c *cursor) lambda() (*node, error) {
	for c.trivia(); !c.take(":"); c.trivia() {
		stars := c.take("**") || c.take("*") || c.take("/")
		c.trivia()
		name := c.ident()
		if name == "" && !stars || reserved(name) {
			return nil, c.want("a parameter")
		}
		if c.trivia(); c.peek() == '=' {
			c.pos++
			if _, err := c.expression(); err != nil {
				return nil, err
			}
			stars = true
		}
		c.loose = c.loose || stars
		if c.trivia(); !c.take(",") && c.peek() != ':' {
			return nil, c.want(`"," or ":"`)
		}
	}
	body, err := c.expression()
	if err != nil {
		return nil, err
	}
	return c.newNode(passedForm, "", body)
}

// awaited reads an atom with what follows it, or one behind the word await.
func (c *cursor) awaited() (*node, error) {
	if !c.exact || !c.takeWord("await") {
		return c.primary()
	}
	c.trivia()
	n, err := c.primary()
	if err != nil {
		return nil, err
	}
	return c.newNode(passedForm, "", n)
}

// yield reads a yield expression and its ")", behind the "(". It returns nil if none is next.
func (c *cursor) yield() (*node, error) {
	c.trivia()
	if !c.takeWord("yield") {
		return nil, nil
	}
	c.open++
	c.trivia()
	from := c.takeWord("from")
	if c.trivia(); from || c.peek() != ')' {
		n, err := c.starred(false)
		if err != nil {
			return nil, err
		}
		if from && n.form == starForm {
			return nil, c.want("an expression without a star")
		}
	}
	if c.trivia(); !c.take(")") {
		c.unsure = true // several values
		return nil, c.want(`")"`)
	}
	c.open--
	return c.newNode(passedForm, "")
}

// assigned reads ":=" and the value behind a name. Without them it returns n.
func (c *cursor) assigned(n *node) (*node, error) {
	if c.trivia(); !c.exact || n.form != nameForm || !c.take(":=") {
		return n, nil
	}
	value, err := c.expression()
	if err != nil {
		return nil, err
	}
	return c.newNode(passedForm, "", value)
}

// argument reads an argument without a name. The only one of a call may be a comprehension.
func (c *cursor) argument(only bool) (*node, error) {
	n, err := c.starred(true)
	if err != nil {
		return nil, err
	}
	if only && c.atFor() {
		return c.comprehension(n, ")")
	}
	return c.assigned(n)
}

// atFor reports whether the clauses of a comprehension are next.
func (c *cursor) atFor() bool {
	if !c.exact {
		return false
	}
	c.trivia()
	ahead := *c
	if ahead.takeWord("async") {
		ahead.trivia()
	}
	return ahead.takeWord("for")
}

// comprehension reads the clauses behind an element, up to the closing bracket.
func (c *cursor) comprehension(element *node, closing string) (*node, error) {
	if element.form == starForm {
		return nil, c.want("no comprehension of a starred element")
	}
	for c.atFor() {
		c.takeWord("async")
		c.trivia()
		c.takeWord("for")
		if err := c.targets(); err != nil {
			return nil, err
		}
		if c.trivia(); !c.takeWord("in") {
			return nil, c.want("in")
		}
		if _, err := c.operators(0); err != nil {
			return nil, err
		}
		for c.trivia(); c.takeWord("if"); c.trivia() {
			if _, err := c.operators(0); err != nil {
				return nil, err
			}
		}
	}
	if c.trivia(); c.peek() != closing[0] {
		return nil, c.want(`"` + closing + `"`)
	}
	return c.newNode(passedForm, comprehended, element)
}

// targets reads the names behind for. Other targets than names are not checked.
func (c *cursor) targets() error {
	for {
		c.trivia()
		n, err := c.tight()
		if c.trivia(); err != nil || n.form != nameForm {
			c.loose = true
			return err
		}
		if !c.take(",") {
			return nil
		}
	}
}
