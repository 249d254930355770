package toolcall

import "strings"

// Decode reads a model's raw answer nearly as BFCL's checker does; DecodeEdition does it exactly. It removes backticks,
// newlines and blanks at both ends and adds a missing outer bracket. The rest is a Python
// list of calls:
//
//   - Only keyword arguments are kept. A repeated one has its last value; **x becomes the
//     argument "**".
//   - Any unary operator negates its number: BFCL reads +5 as -5.
//   - A binary operation is evaluated. A bare name becomes its text.
//   - As a value, a call without keywords becomes its source text, a call with keywords the
//     dict {name: {...}}.
//
// Differences from Python: bytes and complex numbers, lambdas, comprehensions, f-strings, the
// formatting operator 'x' % y, comparisons within a call without keywords, and texts beyond
// the limits of size and depth do not decode. The last digit of a float power can differ.
// None of them makes a wrong answer pass the check.
//
// The error is a *SyntaxError, or says which operation has no value.
func Decode(raw string) ([]Call, error) {
	calls, _, err := decode(raw, false)
	return calls, err
}

// decode keeps the positional arguments of the outer calls if it is told so. They have the
// name "". lost names an argument or a key that stands there twice; its last value holds.
func decode(raw string, positional bool) (calls []Call, lost string, err error) {
	text := strings.Trim(raw, "`\n ")
	shift := strings.Index(raw, text)
	if !strings.HasPrefix(text, "[") {
		text, shift = "["+text, shift-1
	}
	if !strings.HasSuffix(text, "]") {
		text += "]"
	}
	c, err := newCursor(text)
	if err != nil {
		return nil, "", err
	}
	c.shift = shift
	list, err := c.expression()
	if err != nil {
		return nil, "", err
	}
	if c.trivia(); !c.end() {
		return nil, "", c.want("the end")
	}
	if list.form != listForm {
		return nil, "", &SyntaxError{Offset: list.pos, Want: "a list of calls", Got: "another expression"}
	}
	return decodeCalls(list, positional)
}

func decodeCalls(list *node, positional bool) (calls []Call, lost string, err error) {
	d := decoder{}
	calls = make([]Call, 0, len(list.kids))
	for _, kid := range list.kids {
		if kid.form != callForm {
			return nil, "", &SyntaxError{Offset: kid.pos, Want: "a call", Got: "another expression"}
		}
		call, err := d.call(kid)
		if err == nil && positional {
			call.Args, err = d.positional(kid, call.Args)
		}
		if err != nil {
			return nil, "", err
		}
		calls = append(calls, call)
	}
	return calls, d.lost, nil
}

type decoder struct {
	evaluator
	lost string // the first name or key that is given twice: its last value holds, as in Python
}

func (d *decoder) repeated(name string) {
	if d.lost == "" {
		d.lost = "a second " + name
	}
}

func (d *decoder) call(n *node) (Call, error) {
	call := Call{Name: dotted(n.kids[0])}
	at := map[string]int{}
	for _, arg := range n.args {
		v, err := d.value(arg.value)
		if err != nil {
			return call, err
		}
		name := arg.name
		if name == "" {
			name = "**"
		}
		if i, given := at[name]; given {
			d.repeated(name)
			call.Args[i].Value = v
			continue
		}
		at[name] = len(call.Args)
		call.Args = append(call.Args, Arg{name, v})
	}
	return call, nil
}

// positional puts the arguments without a name before the others. What a starred one or one
// of **x holds is not known: that is an error.
func (d *decoder) positional(n *node, named []Arg) ([]Arg, error) {
	var args []Arg
	for _, kid := range n.kids[1:] {
		if kid.form == starForm {
			return nil, &SyntaxError{Offset: kid.pos, Want: "an argument", Got: "a starred one"}
		}
		v, err := d.value(kid)
		if err != nil {
			return nil, err
		}
		args = append(args, Arg{Value: v})
	}
	for _, arg := range n.args {
		if arg.name == "" {
			return nil, &SyntaxError{Offset: arg.value.pos, Want: "a named argument", Got: "**"}
		}
	}
	return append(args, named...), nil
}

// dotted returns the name a.b.c. A root that is not a name is left out, as BFCL does.
func dotted(n *node) string {
	name := ""
	for n.form == attributeForm {
		name = "." + n.text + name
		n = n.kids[0]
	}
	if n.form == nameForm {
		return n.text + name
	}
	return strings.TrimPrefix(name, ".")
}

func (d *decoder) value(n *node) (Value, error) {
	switch n.form {
	case constantForm:
		return n.value, nil
	case ellipsisForm:
		return Text("..."), nil
	case nameForm:
		return Text(n.text), nil
	case unaryForm:
		return negateConstant(n)
	case binaryForm:
		return d.eval(n)
	case listForm:
		items, err := d.values(n.kids)
		return Value{Kind: List, Items: items}, err
	case tupleForm:
		items, err := d.values(n.kids)
		return Value{Kind: Tuple, Items: items}, err
	case dictForm:
		return d.dict(n)
	case callForm:
		if len(n.args) == 0 {
			return source(n)
		}
		call, err := d.call(n)
		return Value{Kind: Nested, Call: &call}.CallsAsDicts(), err
	case indexForm:
		return indexSource(n)
	}
	return Value{}, &SyntaxError{Offset: n.pos, Want: "a literal, a name or a call", Got: "an expression"}
}

func (d *decoder) values(kids []*node) ([]Value, error) {
	var items []Value
	for _, kid := range kids {
		v, err := d.value(kid)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	return items, nil
}

// dict gives a repeated key its last value at the place of the first, as Python does.
func (d *decoder) dict(n *node) (Value, error) {
	dict := Value{Kind: Dict}
	at := map[string]int{}
	for i := 0; i < len(n.kids); i += 2 {
		if n.kids[i] == nil {
			return dict, &SyntaxError{Offset: n.pos, Want: "a key", Got: "**"}
		}
		key, err := d.value(n.kids[i])
		if err != nil {
			return dict, err
		}
		if !hashable(key) {
			return dict, &SyntaxError{Offset: n.kids[i].pos, Want: "a key: no list, no dict", Got: key.Kind.String()}
		}
		value, err := d.value(n.kids[i+1])
		if err != nil {
			return dict, err
		}
		hash := hashKey(key)
		if j, given := at[hash]; given {
			d.repeated(key.Short())
			dict.Pairs[j].Value = value
			continue
		}
		at[hash] = len(dict.Pairs)
		dict.Pairs = append(dict.Pairs, Pair{key, value})
	}
	return dict, nil
}

// negateConstant reads every unary operator, also "not" and "+", as BFCL does: as minus.
func negateConstant(n *node) (Value, error) {
	if operand := n.kids[0]; operand.form == constantForm {
		return evalUnary("-", operand.value)
	}
	return Value{}, &SyntaxError{Offset: n.pos, Want: "a number after the sign", Got: "an expression"}
}

func source(n *node) (Value, error) {
	s, err := unparse(n)
	return Text(s), err
}

func indexSource(n *node) (Value, error) {
	of, err := unparse(n.kids[0])
	if err != nil {
		return Value{}, err
	}
	index, err := unparse(n.kids[1])
	return Text(of + "[" + index + "]"), err
}
