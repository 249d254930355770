package toolcall

import (
	"fmt"
	"strings"
)

// unparse writes an expression as Python's ast.unparse does. If a value is a call without
// keyword arguments, BFCL uses this text.
func unparse(n *node) (string, error) {
	var u unparser
	u.write(n, 0)
	if u.refused {
		return "", fmt.Errorf("%w: an expression in a call without keyword arguments", ErrUnsure)
	}
	return u.String(), nil
}

type unparser struct {
	strings.Builder
	refused bool
}

// write writes n. outer tells how tightly the surrounding operator binds (see levels): a looser
// operator is put in parentheses.
func (u *unparser) write(n *node, outer int) {
	switch n.form {
	case constantForm:
		u.WriteString(n.text) // the prefix u of a string
		u.constant(n.value)
	case ellipsisForm:
		u.WriteString("...")
	case nameForm:
		u.WriteString(n.text)
	case attributeForm:
		u.write(n.kids[0], powerLevel+1)
		if n.kids[0].form == constantForm && n.kids[0].value.Kind == Int {
			u.WriteByte(' ') // 1.real would be a float
		}
		u.WriteString("." + n.text)
	case callForm:
		u.write(n.kids[0], powerLevel+1)
		u.arguments(n)
	case indexForm:
		u.write(n.kids[0], powerLevel+1)
		u.WriteByte('[')
		u.index(n.kids[1])
		u.WriteByte(']')
	case sliceForm:
		u.slice(n)
	case listForm:
		u.list("[", n.kids, "]")
	case setForm:
		u.list("{", n.kids, "}")
	case tupleForm:
		u.tuple(n.kids)
	case dictForm:
		u.dict(n.kids)
	case unaryForm:
		u.unary(n, outer)
	case binaryForm:
		u.binary(n, outer)
	case starForm:
		u.WriteByte('*')
		u.write(n.kids[0], arithLevel)
	default:
		u.refused = true
	}
}

func (u *unparser) constant(v Value) {
	s := printValue(v)
	if v.Kind == Float {
		s = strings.ReplaceAll(s, "1e999", "1e309") // as ast.unparse writes an infinity
	}
	u.WriteString(s)
}

func (u *unparser) list(opening string, kids []*node, closing string) {
	u.WriteString(opening)
	for i, kid := range kids {
		comma(&u.Builder, i)
		u.write(kid, 0)
	}
	u.WriteString(closing)
}

func (u *unparser) tuple(kids []*node) {
	closing := ")"
	if len(kids) == 1 {
		closing = ",)"
	}
	u.list("(", kids, closing)
}

func (u *unparser) dict(kids []*node) {
	u.WriteByte('{')
	for i := 0; i < len(kids); i += 2 {
		comma(&u.Builder, i)
		if kids[i] == nil {
			u.WriteString("**")
			u.write(kids[i+1], arithLevel)
			continue
		}
		u.write(kids[i], 0)
		u.WriteString(": ")
		u.write(kids[i+1], 0)
	}
	u.WriteByte('}')
}

func (u *unparser) arguments(n *node) {
	u.WriteByte('(')
	for i, kid := range n.kids[1:] {
		comma(&u.Builder, i)
		u.write(kid, 0)
	}
	for i, arg := range n.args {
		comma(&u.Builder, i+len(n.kids)-1)
		if arg.name == "" {
			u.WriteString("**")
		} else {
			u.WriteString(arg.name + "=")
		}
		u.write(arg.value, 0)
	}
	u.WriteByte(')')
}

// index writes the text between the brackets: a tuple loses its parentheses.
func (u *unparser) index(n *node) {
	if n.form != tupleForm || len(n.kids) == 0 {
		u.write(n, 0)
		return
	}
	u.list("", n.kids, "")
	if len(n.kids) == 1 {
		u.WriteByte(',')
	}
}

func (u *unparser) slice(n *node) {
	if n.kids[0] != nil {
		u.write(n.kids[0], 0)
	}
	u.WriteByte(':')
	if n.kids[1] != nil {
		u.write(n.kids[1], 0)
	}
	if n.kids[2] != nil {
		u.WriteByte(':')
		u.write(n.kids[2], 0)
	}
}

func (u *unparser) parens(needed bool, inside func()) {
	if needed {
		u.WriteByte('(')
	}
	inside()
	if needed {
		u.WriteByte(')')
	}
}

func (u *unparser) unary(n *node, outer int) {
	level, op := unaryLevel, n.text
	if op == "not" {
		level, op = notLevel, "not "
	}
	u.parens(outer > level, func() {
		u.WriteString(op)
		u.write(n.kids[0], level)
	})
}

func (u *unparser) binary(n *node, outer int) {
	level := levelOf(n.text)
	left, right := level, level+1
	if n.text == "**" { // binds to the right
		left, right = level+1, level
	}
	u.parens(outer > level, func() {
		u.write(n.kids[0], left)
		u.WriteString(" " + n.text + " ")
		u.write(n.kids[1], right)
	})
}

func levelOf(op string) int {
	for level, ops := range levels {
		for _, o := range ops {
			if o == op {
				return level
			}
		}
	}
	return powerLevel
}
