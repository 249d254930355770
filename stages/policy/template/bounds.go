package template

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	controls "github.com/nikolalohinski/gonja/v2/builtins/control_structures"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// The engine has no bounds of its own, and a Go stack overflow or a fatal
// allocation cannot be caught. So: what could grow within one expression is
// refused when the template compiles, and the bodies of loops and macros carry a
// guard that counts. The engine parses and evaluates by recursion, so what one tag
// holds, and how deep tags lie in each other, is bounded first. The numbers are far
// above any real template.
const (
	maxSigns  = 250             // brackets, operators, dots and the like of one tag: each may be a level of recursion
	maxTags   = 100             // tags within tags
	maxChain  = 8               // a().b().c(): the engine evaluates twice what a method is called on
	maxSteps  = 200_000         // iterations and macro calls
	maxNested = 50              // macros within macros
	maxOutput = 8 << 20         // bytes of output, of a macro, of a variable
	maxRange  = 10_000          // range()
	maxError  = 500             // bytes of an error's end, which says what happened
	maxIndent = 16              // tojson(indent=…)
	maxTime   = 5 * time.Second // checked at every step
)

const budgetName = "__budget__" // the variable that holds what is left

var errTooLarge = fmt.Errorf("larger than %d bytes", maxOutput)

type budget struct {
	steps, nested int
	deadline      time.Time
}

func newBudget() *budget { return &budget{deadline: time.Now().Add(maxTime)} }

// budgetOf finds the budget of a rendering.
func budgetOf(r *exec.Renderer) (*budget, error) {
	v, _ := r.Environment.Context.Get(budgetName)
	b, ok := v.(*budget)
	if !ok {
		return nil, fmt.Errorf("%s is not a name for a variable", budgetName)
	}
	return b, nil
}

func (b *budget) step() error {
	b.steps++
	switch {
	case b.steps > maxSteps:
		return fmt.Errorf("the template takes more than %d steps: does it end?", maxSteps)
	case b.nested > maxNested:
		return fmt.Errorf("macros are nested deeper than %d: does it end?", maxNested)
	case time.Now().After(b.deadline):
		return fmt.Errorf("the template runs longer than %v", maxTime)
	}
	return nil
}

// guard is a node in the body of a loop or a macro.
type guard struct{ macro bool }

func (guard) Position() *tokens.Token { return &tokens.Token{} }
func (guard) String() string          { return "bounds" }

func (g guard) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	if g.macro {
		r.Output = &bounded{next: r.Output} // what it returns
		return nil
	}
	b, err := budgetOf(r)
	if err != nil {
		return err
	}
	return b.step()
}

// boundedMacro counts calls where they begin: the defaults of parameters call too.
type boundedMacro struct {
	*controls.MacroControlStructure
}

func (m *boundedMacro) Execute(r *exec.Renderer, tag *nodes.ControlStructureBlock) error {
	if err := m.MacroControlStructure.Execute(r, tag); err != nil {
		return err
	}
	v, _ := r.Environment.Context.Get(m.Name)
	call, ok := v.(exec.Macro)
	if !ok {
		return fmt.Errorf("%s is %T instead of a macro", m.Name, v)
	}
	b, err := budgetOf(r)
	if err != nil {
		return err
	}
	r.Environment.Context.Set(m.Name, exec.Macro(func(params *exec.VarArgs) *exec.Value {
		b.nested++
		defer func() { b.nested-- }()
		if err := b.step(); err != nil {
			return exec.AsValue(err)
		}
		out := call(params)
		if !out.IsError() {
			return out
		}
		// The engine wraps an error at every level: nested macros would square it.
		text := out.Error()
		return exec.AsValue(errors.New(text[max(0, len(text)-maxError):]))
	}))
	return nil
}

// bounded is a writer that refuses to grow without end; without next it keeps.
type bounded struct {
	strings.Builder
	next io.Writer
	size int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.size += len(p); b.size > maxOutput {
		return 0, errTooLarge
	}
	if b.next != nil {
		return b.next.Write(p)
	}
	return b.Builder.Write(p)
}

// WriteString keeps Builder's from passing the bound.
func (b *bounded) WriteString(s string) (int, error) { return b.Write([]byte(s)) }

// refuse finds what has no bound and no use in chat templates.
func refuse(s *tokens.Stream) error {
	for signs := 0; !s.End(); s.Next() {
		t := s.Current()
		switch t.Type {
		case tokens.VariableBegin, tokens.BlockBegin, tokens.CommentBegin:
			signs = 0
		// A long list is not deep.
		case tokens.Name, tokens.String, tokens.Integer, tokens.Float, tokens.Comma, tokens.Colon:
		case tokens.Power:
			return fmt.Errorf("line %d: %q is not supported in chat templates", t.Line, t.Val)
		default:
			signs++
		}
		if signs > maxSigns {
			return tooDeep("line %d: a tag with more than %d brackets and operators", t.Line, maxSigns)
		}
	}
	if s.IsError() {
		return fmt.Errorf("line %d: %s", s.Current().Line, s.Current().Val)
	}
	return nil
}

// depthError tells a bound of ours from the engine's errors, which repeat every tag around.
type depthError struct{ error }

func tooDeep(format string, args ...any) error {
	return depthError{fmt.Errorf(format+": no chat template needs that, take the one that came with "+
		"the checkpoint", args...)}
}

// environment is what a template may call: the parts of Jinja that chat templates
// use, less what reads files, is random, or grows without bound (center, indent, format).
func environment() *exec.Environment {
	globals := exec.EmptyContext()
	for _, name := range []string{"namespace", "dict", "cycler", "joiner"} {
		f, _ := builtins.GlobalFunctions.Get(name)
		globals.Set(name, f)
	}
	globals.Update(builtins.GlobalVariables)
	globals.Set("range", boundedRange)
	globals.Set("raise_exception", func(s string) (string, error) { return "", errors.New(s) })
	return &exec.Environment{
		Context: globals, Tests: builtins.Tests, Filters: filters(), Methods: methods(),
		ControlStructures: controlStructures(),
	}
}

func controlStructures() *exec.ControlStructureSet {
	set := map[string]parser.ControlStructureParser{}
	depth := 0 // of the tag that is being parsed
	enter := func(p *parser.Parser) error {
		if depth++; depth > maxTags {
			return tooDeep("line %d: tags lie deeper than %d in each other", p.Current().Line, maxTags)
		}
		return nil
	}
	leave := func() { depth-- }
	for _, name := range []string{"for", "if", "set", "macro", "call", "filter", "raw", "with", "do",
		"break", "continue"} {
		original, _ := builtins.ControlStructures.Get(name)
		set[name] = func(p, args *parser.Parser) (nodes.ControlStructure, error) {
			defer leave()
			if err := enter(p); err != nil {
				return nil, err
			}
			target := args.Current()
			c, err := original(p, args)
			if err != nil {
				return nil, err
			}
			switch c := c.(type) {
			case *controls.ForControlStructure:
				if c.Recursive {
					return nil, args.Error("recursive loops are not supported", nil)
				}
				c.BodyWrapper.Nodes = append([]nodes.Node{guardNode(false)}, c.BodyWrapper.Nodes...)
			case *controls.MacroControlStructure:
				c.Wrapper.Nodes = append([]nodes.Node{guardNode(true)}, c.Wrapper.Nodes...)
				return &boundedMacro{c}, nil
			case *controls.SetControlStructure:
				return &boundedSet{c, target.Val}, nil
			}
			return c, nil
		}
	}
	// {% generation %} marks the assistant's words for training masks; we mask by
	// position, so it is transparent.
	set["generation"] = func(p, args *parser.Parser) (nodes.ControlStructure, error) {
		defer leave()
		if err := enter(p); err != nil {
			return nil, err
		}
		body, _, err := p.WrapUntil("endgeneration")
		return &generation{body}, err
	}
	return exec.NewControlStructureSet(set)
}

func guardNode(macro bool) nodes.Node {
	return &nodes.ControlStructureBlock{Location: &tokens.Token{}, Name: "bounds", ControlStructure: guard{macro}}
}

type generation struct{ body *nodes.Wrapper }

func (g *generation) Position() *tokens.Token { return g.body.Position() }
func (g *generation) String() string          { return "generation" }
func (g *generation) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	return r.ExecuteWrapper(g.body)
}

// boundedSet looks at what a variable has become: {% set x = x + x %} doubles.
type boundedSet struct {
	*controls.SetControlStructure
	name string // of the variable, or of what holds the attribute that is set
}

func (s *boundedSet) Execute(r *exec.Renderer, tag *nodes.ControlStructureBlock) error {
	if err := s.SetControlStructure.Execute(r, tag); err != nil {
		return err
	}
	if v, _ := r.Environment.Context.Get(s.name); weight(reflect.ValueOf(v), 0) > maxOutput {
		return fmt.Errorf("variable %s: %w", s.name, errTooLarge)
	}
	return nil
}

// weight estimates the bytes of a value's texts; it stops counting at the bound.
func weight(v reflect.Value, depth int) (size int) {
	if depth > maxDepth {
		return maxOutput + 1
	}
	switch v.Kind() {
	case reflect.String:
		return v.Len()
	case reflect.Pointer, reflect.Interface:
		switch x := v.Interface().(type) {
		case *exec.Value:
			if x == nil || x.IsNil() {
				return 1
			}
			return weight(x.Val, depth+1)
		case *exec.Dict:
			for _, p := range x.Pairs {
				if size += weight(reflect.ValueOf(p.Key), depth+1) +
					weight(reflect.ValueOf(p.Value), depth+1); size > maxOutput {
					break
				}
			}
			return size
		}
		return weight(v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		for i := 0; i < v.Len() && size <= maxOutput; i++ {
			size += 1 + weight(v.Index(i), depth+1)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next() && size <= maxOutput; {
			size += weight(it.Key(), depth+1) + weight(it.Value(), depth+1)
		}
	}
	return size + 1
}

func boundedRange(a int, more ...int) ([]int, error) {
	start, stop, step := 0, a, 1
	if len(more) > 0 {
		start, stop = a, more[0]
	}
	if len(more) > 1 {
		step = more[1]
	}
	if len(more) > 2 || step == 0 {
		return nil, errors.New("range: wrong arguments")
	}
	list := []int{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if len(list) == maxRange {
			return nil, fmt.Errorf("range: more than %d numbers", maxRange)
		}
		list = append(list, i)
	}
	return list, nil
}

func filters() *exec.FilterSet {
	set := map[string]exec.FilterFunction{}
	for _, name := range []string{
		"abs", "attr", "capitalize", "count", "d", "default", "e", "escape", "first", "float", "int",
		"last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse",
		"round", "safe", "select",
		"selectattr", "sort", "string", "sum", "title", "trim", "unique", "upper",
	} {
		set[name], _ = builtins.Filters.Get(name)
	}
	for _, name := range []string{"join", "replace"} { // may square their input
		original, _ := builtins.Filters.Get(name)
		set[name] = func(e *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
			if err := product(in, params); err != nil {
				return exec.AsValue(fmt.Errorf("%s: %w", name, err))
			}
			return original(e, in, params)
		}
	}
	set["tojson"], set["items"], set[addFilter], set[timesFilter], set[joinFilter] = toJSON, items, add, times, join
	return exec.NewFilterSet(set)
}

// product bounds what joining or replacing could make of these values.
func product(in *exec.Value, params *exec.VarArgs) error {
	longest := 1
	for _, p := range params.Args {
		longest = max(longest, weight(p.Val, 0))
	}
	for _, p := range params.KwArgs {
		longest = max(longest, weight(p.Val, 0))
	}
	if weight(in.Val, 0) > 8*maxOutput/longest {
		return errTooLarge
	}
	return nil
}

// toJSON is the filter as transformers defines it, not Jinja's, which escapes HTML.
func toJSON(_ *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	indent, sortKeys := -1, false
	for name, v := range params.KwArgs {
		switch {
		case name == "indent" && v.IsInteger() && v.Integer() >= 0 && v.Integer() <= maxIndent:
			indent = v.Integer()
		case name == "sort_keys" && v.IsBool():
			sortKeys = v.Bool()
		case (name == "indent" || name == "separators") && v.IsNil(), name == "ensure_ascii" && v.IsBool() && !v.Bool():
		default:
			return exec.AsValue(fmt.Errorf("tojson: %s=%s is not supported", name, v.String()))
		}
	}
	if len(params.Args) > 0 {
		return exec.AsValue(errors.New("tojson: takes named arguments only"))
	}
	var b strings.Builder
	if err := dumps(&b, in, indent, 0, sortKeys); err != nil {
		return exec.AsValue(err)
	}
	return exec.AsSafeValue(b.String())
}

// methods are Python's methods of values; texts lose those that pad, mappings
// those that change them.
func methods() exec.Methods {
	m := builtins.Methods
	set := map[string]exec.Method[string]{}
	for _, name := range []string{
		"capitalize", "casefold", "count", "endswith", "find", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit",
		"islower", "isnumeric",
		"isprintable", "isspace", "istitle", "isupper", "lower", "lstrip", "partition", "removeprefix", "removesuffix",
		"rfind", "rpartition",
		"rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper",
	} {
		set[name], _ = builtins.Methods.Str.Get(name)
	}
	for _, name := range []string{"join", "replace"} {
		original, _ := builtins.Methods.Str.Get(name)
		set[name] = func(self string, v *exec.Value, params *exec.VarArgs) (any, error) {
			if err := product(v, params); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return original(self, v, params)
		}
	}
	m.Str = exec.NewMethodSet(set)
	get, _ := builtins.Methods.Dict.Get("get")
	m.Dict = exec.NewMethodSet(map[string]exec.Method[map[string]any]{
		"get":   get,
		"items": func(_ map[string]any, v *exec.Value, _ *exec.VarArgs) (any, error) { return ordered(v, true, true) },
		"keys": func(_ map[string]any, v *exec.Value, _ *exec.VarArgs) (any, error) {
			return ordered(v, true, false)
		},
		"values": func(_ map[string]any, v *exec.Value, _ *exec.VarArgs) (any, error) {
			return ordered(v, false, true)
		},
	})
	return m
}
