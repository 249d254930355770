package toolcall

// Expression is a Python expression that was read and not evaluated. The zero value stands for
// a part that was left out.
type Expression struct{ node *node }

// ExpressionKind says what an expression is.
type ExpressionKind uint8

// The kinds of expressions that an evaluator of calls needs to tell apart.
const (
	OtherExpression     ExpressionKind = iota // a comparison, a slice, a starred one …
	ConstantExpression                        // Value
	EllipsisExpression                        // ...
	NameExpression                            // Text
	AttributeExpression                       // Parts[0].Text
	CallExpression                            // Parts[0](Parts[1:]..., Named)
	ListExpression                            // Parts
	TupleExpression                           // Parts
	SetExpression                             // Parts
	DictExpression                            // Parts: key, value, key, value; no key for **value
	UnaryExpression                           // Text Parts[0]
	BinaryExpression                          // Parts[0] Text Parts[1]
)

var expressionKinds = map[form]ExpressionKind{
	constantForm: ConstantExpression, ellipsisForm: EllipsisExpression, nameForm: NameExpression,
	attributeForm: AttributeExpression, callForm: CallExpression, listForm: ListExpression,
	tupleForm: TupleExpression, setForm: SetExpression, dictForm: DictExpression,
	unaryForm: UnaryExpression, binaryForm: BinaryExpression,
}

// NamedExpression is an argument name=value of a call; the name is "" for **value.
type NamedExpression struct {
	Name  string
	Value Expression
}

// ReadExpression reads one Python expression, within the limits of every reader. Bytes, complex
// numbers and halves of surrogate pairs are read, as by DecodeEdition; what that passes over, such
// as a lambda, is an OtherExpression, and what it is not sure of an error.
func ReadExpression(text string) (Expression, error) {
	c, err := newCursor(text)
	if err != nil {
		return Expression{}, err
	}
	c.exact, c.bytes = true, true
	n, err := c.expression()
	if err != nil {
		return Expression{}, err
	}
	if c.loose {
		return Expression{}, ErrUnsure
	}
	if c.trivia(); !c.end() {
		return Expression{}, c.want("the end")
	}
	return Expression{n}, nil
}

// Kind says what e is.
func (e Expression) Kind() ExpressionKind {
	if e.node == nil {
		return OtherExpression
	}
	return expressionKinds[e.node.form]
}

// Text is the name or the operator.
func (e Expression) Text() string { return e.node.text }

// Value is the value of a constant.
func (e Expression) Value() Value { return e.node.value }

// Parts are the expressions of which e is made, but for named arguments.
func (e Expression) Parts() []Expression {
	parts := make([]Expression, len(e.node.kids))
	for i, kid := range e.node.kids {
		parts[i] = Expression{kid}
	}
	return parts
}

// Named are the named arguments of a call.
func (e Expression) Named() []NamedExpression {
	named := make([]NamedExpression, len(e.node.args))
	for i, arg := range e.node.args {
		named[i] = NamedExpression{arg.name, Expression{arg.value}}
	}
	return named
}
