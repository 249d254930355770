package source

// Types of Java, and what is made of them with new.

// creation reads new T(…), new T[n] and new T[]{…}.
func (p *java) creation() *node {
	p.skip()
	start := p.pos
	p.advance(leaf, len("new"))
	if p.at("<") {
		p.typeArguments()
	}
	t := p.simpleType()
	switch {
	case p.bad:
	case p.at("("):
		args := p.list()
		kids := []*node{t, args}
		if p.at("{") {
			kids = append(kids, p.classBody())
		}
		return p.span(creation, start, kids...)
	case p.at("["):
		return p.arrayCreation(start, t)
	}
	return p.fail()
}

func (p *java) arrayCreation(start int, t *node) *node {
	sizes, empty := []*node{t}, 0
	for p.at("[") && !p.bad {
		before := p.parser
		p.want("[")
		if p.take("]") {
			empty++
			continue
		}
		if empty > 0 {
			p.parser = before
			break
		}
		sizes = append(sizes, p.expression())
		p.want("]")
	}
	if len(sizes) > 1 {
		return p.span(sized, start, sizes...)
	}
	return p.span(array, start, t, p.initializer())
}

// initializer reads {…} of an array.
func (p *java) initializer() *node {
	if !p.enter() {
		return p.fail()
	}
	defer p.leave()
	p.skip()
	start := p.pos
	kids := []*node{p.want("{")}
	for !p.at("}") && !p.bad {
		if comma := p.token(","); comma != nil {
			if len(kids) > 1 || !p.at("}") {
				return p.fail()
			}
			kids = append(kids, comma)
			continue
		}
		if p.at("{") {
			kids = append(kids, p.initializer())
		} else {
			kids = append(kids, p.expression())
		}
		if comma := p.token(","); comma != nil {
			kids = append(kids, comma)
		} else if !p.at("}") {
			return p.fail()
		}
	}
	return p.span(joined, start, append(kids, p.want("}"))...)
}

// classBody reads the body of an anonymous class, if it has nothing but blocks of expressions. Its node has them.
func (p *java) classBody() *node {
	if !p.enter() {
		return p.fail()
	}
	defer p.leave()
	body := &node{}
	for p.want("{"); !p.at("}") && !p.bad; {
		if p.take(";") {
			continue
		}
		for p.want("{"); !p.at("}") && !p.bad; {
			if p.take(";") {
				continue
			}
			if word := p.word(); javaStatements[word] || javaReserved[word] {
				return p.fail()
			}
			body.kids = append(body.kids, p.expression())
			p.want(";")
		}
		p.want("}")
	}
	p.want("}")
	return body
}

// typ reads a type with its dimensions.
func (p *java) typ() *node {
	p.skip()
	start := p.pos
	t, turns := p.simpleType(), 0
	for p.at("[") && p.again(&turns) {
		open := p.want("[")
		t = p.span(joined, start, t, open, p.want("]"))
	}
	return t
}

func (p *java) simpleType() *node {
	if !p.enter() {
		return p.fail()
	}
	defer p.leave()
	p.skip()
	start := p.pos
	if word := p.word(); javaPrimitives[word] {
		return p.advance(leaf, len(word))
	}
	t := p.name()
	turns := 0
	for generic := false; p.again(&turns); {
		switch {
		case p.at("<") && !generic:
			generic = true
			t = p.span(joined, start, t, p.typeArguments())
		case p.at(".") && !p.at("..."):
			generic = false
			dot := p.want(".")
			t = p.span(joined, start, t, dot, p.name())
		default:
			return t
		}
	}
	return t
}

func (p *java) typeArguments() *node {
	p.skip()
	start := p.pos
	kids := []*node{p.want("<")}
	for !p.at(">") && !p.bad {
		if q := p.token("?"); q != nil {
			kids = append(kids, q)
			if w := p.word(); w == "extends" || w == "super" {
				kids = append(kids, p.advance(leaf, len(w)), p.typ())
			}
		} else {
			kids = append(kids, p.typ())
		}
		if comma := p.token(","); comma != nil {
			kids = append(kids, comma)
			if p.at(">") {
				return p.fail()
			}
		} else if !p.at(">") {
			return p.fail()
		}
	}
	return p.span(joined, start, append(kids, p.want(">"))...)
}
