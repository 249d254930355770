// Package jinja renders chat templates as Python's jinja2 3.1 does in Hugging Face
// transformers, byte for byte, or refuses with an error that says why.
//
// It reproduces one environment: transformers' immutable sandbox with trim_blocks,
// lstrip_blocks, loop controls, the generation tag, its own tojson, raise_exception and
// strftime_now. Values are Python's: integers without limit, floats, None, tuples,
// ordered dicts, undefined. It knows no files: templates that include or import others
// fail where Python without a loader fails.
//
// A template is foreign code. Rendering is bounded in steps, in the bytes that it
// creates, in the depth of macros and in output (see Limits); parsing is bounded in
// nesting. It reads no clock and no random source.
//
//	t, err := jinja.Parse("Hello {{ name }}!")
//	text, err := t.Render(jinja.Vars{"name": "Ann"}, jinja.Options{})
//
// source → tokens (lexer.go) → tree (parse.go, check.go) → text (exec.go, eval.go) over
// Python's values (value.go, operators.go, methods.go, filters.go).
package jinja

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Vars are the variables of a rendering: nil, bool, int, *big.Int, float64, string, *List,
// *Tuple, *Dict, or what FromJSON returns. Rendering does not change them.
type Vars map[string]any

// Options are what a rendering depends on besides its variables.
type Options struct {
	// Now is what strftime_now formats. At the zero time templates have no such function, and those that
	// ask first take a date of their own.
	Now time.Time
	// Limits; zero fields take their defaults.
	Limits Limits
}

// Limits bound a rendering.
type Limits struct {
	Steps  int // evaluated nodes; default 5,000,000
	Bytes  int // created by all operations together, output included; default 256 MiB
	Output int // bytes of output; default 8 MiB
	Depth  int // macros, calls and recursive loops within each other; default 200
}

func (l Limits) withDefaults() Limits {
	set := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	set(&l.Steps, 5_000_000)
	set(&l.Bytes, 256<<20)
	set(&l.Output, 8<<20)
	set(&l.Depth, 200)
	return l
}

// Error is what Python raises, with Python's class name. Line is the template's line,
// or 0 where it is not known.
type Error struct {
	Class string // "TemplateSyntaxError", "UndefinedError", "TypeError", "TemplateError", …
	Text  string
	Line  int
}

func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("line %d: %s: %s", e.Line, e.Class, e.Text)
	}
	return e.Class + ": " + e.Text
}

// ErrUnsupported marks constructs that Python renders and this package refuses, such as
// random choices and memory addresses.
var ErrUnsupported = errors.New("not supported")

// ErrLimit marks templates that exceed a limit.
var ErrLimit = errors.New("the template exceeds a limit")

// Template is immutable; many goroutines may render with one.
type Template struct{ main routine }

// Parse compiles source. Errors are those of jinja2's compiler, as *Error, or wrap ErrLimit
// or ErrUnsupported.
func Parse(source string) (t *Template, err error) {
	defer catch(&err)
	tokens := lex(source)
	p := &parser{tokens: tokens}
	list := p.template()
	fold(list)
	check(list)
	return &Template{resolve(list)}, nil
}

// Render returns the text. Errors are those that Python raises, as *Error, or wrap ErrLimit
// or ErrUnsupported.
func (t *Template) Render(vars Vars, opt Options) (text string, err error) {
	x := &exec{limits: opt.Limits.withDefaults(), now: opt.Now, filters: filters, tests: tests}
	defer func() {
		if e, ok := errors.AsType[*Error](err); ok && e.Line == 0 {
			e.Line = x.line
		}
	}()
	defer catch(&err)
	var out strings.Builder
	x.out = &out
	l := x.locals(&t.main, nil, &context{map[string]any{}, globals(vars, opt.Now)})
	x.begin(&t.main.body, l)
	x.run(t.main.nodes, l)
	return out.String(), nil
}

// fault carries an error up to Parse or Render.
type fault struct{ err error }

func catch(err *error) {
	switch p := recover().(type) {
	case nil:
	case fault:
		*err = p.err
	default:
		panic(p)
	}
}

// raise ends parsing or rendering with a Python exception.
func raise(class, format string, args ...any) {
	panic(fault{&Error{Class: class, Text: fmt.Sprintf(format, args...)}})
}

func raiseAt(line int, class, format string, args ...any) {
	panic(fault{&Error{Class: class, Text: fmt.Sprintf(format, args...), Line: line}})
}

// typeError is raised often enough to have a name.
func typeError(format string, args ...any) { raise("TypeError", format, args...) }

func valueError(format string, args ...any) { raise("ValueError", format, args...) }

func unsupported(format string, args ...any) {
	panic(fault{fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))})
}

func overLimit(format string, args ...any) {
	panic(fault{fmt.Errorf("%w: %s", ErrLimit, fmt.Sprintf(format, args...))})
}

// VarsOf are the items of a dict as variables. Keys are strings.
func VarsOf(d *Dict) Vars {
	vars := Vars{}
	for i, k := range d.keys {
		if name, ok := text(k); ok {
			vars[name] = d.values[i]
		}
	}
	return vars
}
