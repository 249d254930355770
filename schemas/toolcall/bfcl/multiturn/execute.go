package multiturn

import (
	"errors"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl/multiturn/python"
	"itool/schemas/toolcall/bfcl/multiturn/sim"
)

// maxText limits the bytes of all results of an executor.
const maxText = 64 << 20

// Executor runs calls on a world, one after the other.
type Executor struct {
	World *sim.World

	names  map[string]*sim.Object // by the variable that the original gives them
	prefix string
	calls  int
	read   int // bytes of all calls
	text   int // bytes of all results
}

// variable marks letters that a Python name cannot have, as the original does.
var variable = strings.NewReplacer("-", "_", ".", "_", "/", "_")

// NewExecutor makes an executor. side is a name for those who call, such as a model's: the
// original puts it into the names of its variables, and so into texts that look like calls.
func NewExecutor(w *sim.World, id, side string) *Executor {
	x := &Executor{World: w, names: map[string]*sim.Object{}, prefix: variable.Replace(side + "_eval_" + id + "_")}
	for _, o := range w.Objects {
		x.names[x.variable(o)] = o
	}
	return x
}

func (x *Executor) variable(o *sim.Object) string {
	return x.prefix + strings.ToLower(o.Class) + "_instance"
}

// Run executes one call, given as Python source, and returns the text of its result. An
// exception is a text, too.
func (x *Executor) Run(call string) string {
	v, err := x.run(call)
	result := ""
	if err == nil {
		if result, err = resultText(v); err != nil {
			x.text += python.MaxBytes // what it took to find out
		}
	}
	if err != nil {
		result = failed(err)
	}
	if x.text += len(result); x.text > maxText {
		return failed(errUsedUp)
	}
	return result
}

var errUsedUp = errors.New("the calls of this entry are used up")

func failed(err error) string { return "Error during execution: " + err.Error() }

func (x *Executor) run(call string) (python.Value, error) {
	x.calls++
	x.read += len(call)
	// A call may look at all that earlier ones stored.
	if err := x.World.Spend(64 + 2*x.calls + x.read/8); err != nil || x.text > maxText {
		return nil, errUsedUp
	}
	call = x.qualify(call)
	if name := forbidden(call); name != "" {
		return nil, errors.New("Function call " + name + " is not allowed.")
	}
	e, err := toolcall.ReadExpression(call)
	if err != nil {
		return nil, errors.New("invalid syntax")
	}
	return x.eval(e)
}

// resultText is JSON for a dict, and str(v) for the rest and where JSON has no such value.
func resultText(v python.Value) (string, error) {
	if d, ok := v.(*python.Dict); ok {
		if text, err := python.JSON(d); err == nil {
			return text, nil
		}
	}
	return python.Str(v)
}

// called are identifiers before an opening parenthesis, also within texts. The first group is
// a byte that may stand before a word.
var called = regexp.MustCompile(`([\p{L}\p{N}_]*)(\s*)\(`)

// qualify puts the variable of its object before every method, and removes the blanks before
// the parenthesis, wherever something looks like a call.
func (x *Executor) qualify(call string) string {
	return called.ReplaceAllStringFunc(call, func(match string) string {
		parts := called.FindStringSubmatch(match)
		name := parts[1]
		if name == "" || name[0] >= '0' && name[0] <= '9' || name[0] >= 0x80 {
			return match // no identifier of ASCII letters begins at the word's boundary
		}
		if o := x.World.Owner(name); o != nil {
			name = x.variable(o) + "." + name
		}
		return name + "("
	})
}

// forbidden returns the name of a call that the original refuses.
func forbidden(call string) string {
	name, _, _ := strings.Cut(call, "(")
	if parts := strings.Split(name, "."); len(parts) > 1 {
		name = parts[1]
	}
	if slices.Contains([]string{"kill", "exit", "quit", "remove", "unlink", "popen", "Popen", "run"}, name) {
		return name
	}
	return ""
}

var errExpression = errors.New("the expression cannot be evaluated")

func (x *Executor) eval(e toolcall.Expression) (python.Value, error) {
	switch e.Kind() {
	case toolcall.ConstantExpression:
		return python.Of(e.Value()), nil
	case toolcall.EllipsisExpression:
		return python.Ellipsis, nil
	case toolcall.NameExpression:
		return nil, python.Exception("NameError", "name '"+e.Text()+"' is not defined")
	case toolcall.UnaryExpression:
		v, err := x.eval(e.Parts()[0])
		if err != nil {
			return nil, err
		}
		return unary(e.Text(), v)
	case toolcall.BinaryExpression:
		return x.binary(e)
	case toolcall.ListExpression:
		items, err := x.evalAll(e.Parts())
		return &python.List{Items: items}, err
	case toolcall.TupleExpression:
		items, err := x.evalAll(e.Parts())
		return &python.Tuple{Items: items}, err
	case toolcall.DictExpression:
		return x.dict(e.Parts())
	case toolcall.CallExpression:
		return x.call(e)
	}
	return nil, errExpression
}

func (x *Executor) evalAll(parts []toolcall.Expression) ([]python.Value, error) {
	items := make([]python.Value, 0, len(parts))
	for _, part := range parts {
		v, err := x.eval(part)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	return items, nil
}

func unary(op string, v python.Value) (python.Value, error) {
	switch op {
	case "not":
		return !python.Truthy(v), nil
	case "-":
		if f, ok := v.(float64); ok {
			return -f, nil
		}
		return python.Mul(v, big.NewInt(-1))
	}
	return nil, errExpression
}

func (x *Executor) binary(e toolcall.Expression) (python.Value, error) {
	operands, err := x.evalAll(e.Parts())
	if err != nil {
		return nil, err
	}
	ops := map[string]func(a, b python.Value) (python.Value, error){
		"+": python.Add, "-": python.Sub, "*": python.Mul, "/": python.Div, "**": python.Pow,
	}
	op, ok := ops[e.Text()]
	if !ok {
		return nil, errExpression
	}
	return op(operands[0], operands[1])
}

func (x *Executor) dict(parts []toolcall.Expression) (python.Value, error) {
	d := python.NewDict()
	for i := 0; i+1 < len(parts); i += 2 {
		key, err := x.eval(parts[i])
		if err != nil {
			return nil, err
		}
		value, err := x.eval(parts[i+1])
		if err != nil {
			return nil, err
		}
		if err := d.Set(key, value); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// call runs a method or a builtin. The function is looked up before the arguments are
// evaluated, as in Python.
func (x *Executor) call(e toolcall.Expression) (python.Value, error) {
	parts := e.Parts()
	function, err := x.function(parts[0])
	if err != nil {
		return nil, err
	}
	args, err := x.evalAll(parts[1:])
	if err != nil {
		return nil, err
	}
	var named []sim.Named
	for _, arg := range e.Named() {
		if arg.Name == "" {
			return nil, errExpression
		}
		v, err := x.eval(arg.Value)
		if err != nil {
			return nil, err
		}
		named = append(named, sim.Named{Name: arg.Name, Value: v})
	}
	return function(args, named)
}

type function func(args []python.Value, named []sim.Named) (python.Value, error)

func (x *Executor) function(e toolcall.Expression) (function, error) {
	path := dotted(e)
	if len(path) == 0 {
		return nil, errExpression
	}
	object, ok := x.names[path[0]]
	if !ok {
		if f := builtin(strings.Join(path, ".")); f != nil {
			return f, nil
		}
		return nil, python.Exception("NameError", "name '"+path[0]+"' is not defined")
	}
	if len(path) != 2 || !object.Has(path[1]) {
		return nil, python.Exception("AttributeError",
			"'"+object.Class+"' object has no attribute '"+path[len(path)-1]+"'")
	}
	return func(args []python.Value, named []sim.Named) (python.Value, error) {
		return object.Call(path[1], args, named)
	}, nil
}

// dotted is a.b.c as its parts, nil for anything else.
func dotted(e toolcall.Expression) []string {
	var path []string
	for e.Kind() == toolcall.AttributeExpression {
		path = append(path, e.Text())
		e = e.Parts()[0]
	}
	if e.Kind() != toolcall.NameExpression {
		return nil
	}
	path = append(path, e.Text())
	slices.Reverse(path)
	return path
}
