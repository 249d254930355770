package toolcall

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"unicode/utf8"
)

// Arithmetic in an answer: if a value is a binary operation, BFCL evaluates it with Python's
// eval. Names and calls in it are refused here: Python would look them up among the
// checker's own variables.

// maxWork limits the results of all operations of one answer together, in bytes: an answer
// as short as 'a' * 10**9 must not fill the memory.
const maxWork = 1 << 20

type evaluator struct {
	work int
}

var (
	errEvaluate = errors.New("toolcall: the operation has no value")
	errUnknown  = fmt.Errorf("%w: an operation", ErrUnsure) // Python may know its value
)

func (e *evaluator) eval(n *node) (Value, error) {
	switch n.form {
	case constantForm:
		if n.value.Kind == Bytes {
			return n.value, errUnknown
		}
		return n.value, nil
	case unaryForm:
		v, err := e.eval(n.kids[0])
		if err != nil {
			return v, err
		}
		return evalUnary(n.text, v)
	case binaryForm:
		a, err := e.eval(n.kids[0])
		if err != nil {
			return a, err
		}
		b, err := e.eval(n.kids[1])
		if err != nil {
			return b, err
		}
		return e.charge(e.binary(n.text, a, b))
	case listForm, tupleForm:
		v := Value{Kind: List}
		if n.form == tupleForm {
			v.Kind = Tuple
		}
		for _, kid := range n.kids {
			item, err := e.eval(kid)
			if err != nil {
				return item, err
			}
			v.Items = append(v.Items, item)
		}
		return v, nil
	case nameForm:
		if utf8.RuneCountInString(n.text) == 1 {
			return Value{}, errEvaluate // neither a builtin nor a variable of the checker
		}
	}
	return Value{}, errUnknown
}

// charge refuses a result if all results together exceed maxWork.
func (e *evaluator) charge(v Value, err error) (Value, error) {
	e.work += 16 + len(v.Text) + sizeOf(v.Items, maxWork)
	if err == nil && e.work > maxWork {
		err = fmt.Errorf("%w: the result of the operation is too large", ErrUnsure)
	}
	return v, err
}

// sizeOf estimates the bytes of items, and stops counting at limit.
func sizeOf(items []Value, limit int) int {
	size := 0
	for _, item := range items {
		size += 16 + len(item.Text)
		if size < limit {
			size += sizeOf(item.Items, limit-size)
		}
		if size >= limit {
			break
		}
	}
	return size
}

func evalUnary(op string, v Value) (Value, error) {
	if op == "not" {
		return Truth(!truthy(v)), nil
	}
	if v.Kind == Complex && op == "-" {
		return Value{Kind: Complex, Text: "-" + v.Text}, nil
	}
	if v.Kind == Float && op != "~" {
		if op == "-" {
			return Number(-v.Float), nil
		}
		return v, nil
	}
	n, ok := whole(v)
	if !ok {
		return Value{}, errEvaluate
	}
	switch op {
	case "-":
		n.Neg(n)
	case "~":
		n.Not(n)
	}
	return integer(n)
}

func truthy(v Value) bool {
	switch v.Kind {
	case None:
		return false
	case Bool:
		return v.Bool
	case Int:
		return v.Text != "0"
	case Float:
		return v.Float != 0
	case String:
		return v.Text != ""
	}
	return len(v.Items)+len(v.Pairs) > 0
}

// whole returns a bool or an int as a new number.
func whole(v Value) (*big.Int, bool) {
	switch {
	case v.Kind == Bool && v.Bool:
		return big.NewInt(1), true
	case v.Kind == Bool:
		return new(big.Int), true
	case v.Kind == Int:
		return new(big.Int).SetString(v.Text, 10)
	}
	return nil, false
}

func integer(n *big.Int) (Value, error) {
	if n.BitLen() > MaxDigits*10/3 {
		return Value{}, fmt.Errorf("%w: the int has too many digits", ErrUnsure)
	}
	return Value{Kind: Int, Text: n.String()}, nil
}

func (e *evaluator) binary(op string, a, b Value) (Value, error) {
	x, aInt := whole(a)
	y, bInt := whole(b)
	switch {
	case aInt && bInt:
		return wholeOp(op, a, b, x, y)
	case (aInt || a.Kind == Float) && (bInt || b.Kind == Float):
		return floatOp(op, a, b)
	case op == "*" && bInt:
		return repeat(a, y)
	case op == "*" && aInt:
		return repeat(b, x)
	case op == "%" && a.Kind == String && b.Kind == Tuple && len(b.Items) == 0 && !strings.Contains(a.Text, "%"):
		return a, nil
	case op == "+" && a.Kind == b.Kind && a.Kind == String:
		return Text(a.Text + b.Text), nil
	case op == "+" && a.Kind == b.Kind && (a.Kind == List || a.Kind == Tuple):
		return Value{Kind: a.Kind, Items: append(append([]Value(nil), a.Items...), b.Items...)}, nil
	}
	if a.Kind == Complex || b.Kind == Complex || op == "%" && a.Kind == String {
		return Value{}, errUnknown
	}
	return Value{}, fmt.Errorf("toolcall: %s %s %s: no such operation", a.Kind, op, b.Kind)
}

func floatOp(op string, a, b Value) (Value, error) {
	x, xErr := asFloat(a)
	y, yErr := asFloat(b)
	if xErr != nil || yErr != nil {
		return Value{}, errEvaluate
	}
	switch op {
	case "+":
		return notNaN(x + y)
	case "-":
		return notNaN(x - y)
	case "*":
		return notNaN(x * y)
	case "/", "//", "%":
		if y == 0 {
			return Value{}, errEvaluate
		}
		if op == "/" {
			return notNaN(x / y)
		}
		quotient, rest := floatDiv(x, y)
		if op == "%" {
			return notNaN(rest)
		}
		return notNaN(quotient)
	case "**":
		if x == 0 && y < 0 {
			return Value{}, errEvaluate
		}
		f := math.Pow(x, y)
		if math.IsInf(f, 0) && !math.IsInf(x, 0) && !math.IsInf(y, 0) {
			return Value{}, errEvaluate
		}
		return notNaN(f)
	}
	return Value{}, errEvaluate
}

func floatDiv(x, y float64) (quotient, rest float64) {
	rest = math.Mod(x, y)
	quotient = (x - rest) / y
	if rest != 0 && (y < 0) != (rest < 0) {
		rest += y
		quotient--
	} else if rest == 0 {
		rest = math.Copysign(0, y)
	}
	if quotient != 0 {
		floor := math.Floor(quotient)
		if quotient-floor > 0.5 {
			floor++
		}
		return floor, rest
	}
	return math.Copysign(0, x/y), rest
}

// asFloat refuses ints beyond the range of a float: Python raises OverflowError.
func asFloat(v Value) (float64, error) {
	if v.Kind == Float {
		return v.Float, nil
	}
	n, ok := whole(v)
	if !ok {
		return 0, errEvaluate
	}
	f, _ := new(big.Rat).SetInt(n).Float64()
	_, err := finite(f)
	return f, err
}

func finite(f float64) (Value, error) {
	if math.IsInf(f, 0) {
		return Value{}, errEvaluate
	}
	return notNaN(f)
}

// notNaN refuses NaN: it has no literal and is not equal to itself.
func notNaN(f float64) (Value, error) {
	if math.IsNaN(f) {
		return Value{}, errUnknown
	}
	return Number(f), nil
}

func repeat(v Value, times *big.Int) (Value, error) {
	switch {
	case v.Kind == Complex:
		return Value{}, errUnknown
	case v.Kind != String && v.Kind != List && v.Kind != Tuple, !times.IsInt64():
		return Value{}, errEvaluate
	}
	if times.Sign() <= 0 || len(v.Text)+len(v.Items) == 0 {
		return Value{Kind: v.Kind}, nil
	}
	size := len(v.Text) + sizeOf(v.Items, maxWork)
	if times.Int64() > int64(maxWork/size) {
		return Value{}, errUnknown
	}
	if v.Kind == String {
		return Text(strings.Repeat(v.Text, int(times.Int64()))), nil
	}
	repeated := Value{Kind: v.Kind}
	for range int(times.Int64()) {
		repeated.Items = append(repeated.Items, v.Items...)
	}
	return repeated, nil
}
