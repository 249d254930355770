package dataset

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"itool/schemas"
	"itool/schemas/toolcall"
)

// Contradictions counts the examples whose answer contradicts the schema of a tool that it
// calls. They are learnt: some references that break a schema are still what is wanted.
type Contradictions struct {
	Examples int            `json:"examples"` // with a contradiction
	Kinds    map[string]int `json:"kinds"`    // by kind: missing, unknown, type, enum; counted per argument
	Places   []string       `json:"places"`   // of the first ones
}

func (c *Contradictions) add(e *schemas.Example, tools []toolcall.Tool, calls []toolcall.Call) {
	found := false
	for _, call := range calls {
		i := slices.IndexFunc(tools, func(t toolcall.Tool) bool { return t.Name == call.Name })
		if i < 0 {
			continue // split drops it
		}
		for _, w := range contradict(tools[i], call) {
			c.Kinds[w.kind]++
			if !found && len(c.Places) < maxPlaces {
				c.Places = append(c.Places, fmt.Sprintf("%s: row %d: turn %d: %s: %s", e.Source, e.Row, e.Turn,
					call.Name, w.what))
			}
			found = true
		}
	}
	if found {
		c.Examples++
	}
}

// contradiction is one argument that does not fit its schema.
type contradiction struct{ kind, what string }

// contradict compares a call with its tool's schema: required parameters, names, types, enums.
// What a schema says beyond that is not checked.
func contradict(tool toolcall.Tool, call toolcall.Call) (all []contradiction) {
	for _, name := range tool.Required {
		if _, given := call.Arg(name); !given {
			all = append(all, contradiction{"missing", fmt.Sprintf("%q is required and missing", name)})
		}
	}
	for _, arg := range call.Args {
		param, known := tool.Param(arg.Name)
		if !known {
			if !tool.Open {
				all = append(all, contradiction{"unknown", fmt.Sprintf("it has no parameter %q", arg.Name)})
			}
			continue
		}
		if w := fits(param, arg.Value); w.kind != "" {
			w.what = fmt.Sprintf("%q %s", arg.Name, w.what)
			all = append(all, w)
		}
	}
	return all
}

// fits says why a value does not fit a parameter.
func fits(p toolcall.Param, v toolcall.Value) contradiction {
	if v.Kind == toolcall.None && p.Nullable {
		return contradiction{}
	}
	if want := kinds(p.Type); want != nil && !slices.Contains(want, v.Kind) &&
		!(v.Kind == toolcall.Float && want[0] == toolcall.Int && v.Float == math.Trunc(v.Float)) {
		return contradiction{"type", fmt.Sprintf("is of kind %s, its type is %s", v.Kind, p.Type)}
	}
	if p.Enum != nil && !slices.ContainsFunc(p.Enum, func(e toolcall.Value) bool {
		return toolcall.PythonEqual(e,
			v)
	}) {
		return contradiction{"enum", fmt.Sprintf("is %.60s, which is not among its values", v)}
	}
	if p.Items != nil {
		for i, item := range v.Items {
			if w := fits(*p.Items, item); w.kind != "" {
				return contradiction{w.kind, fmt.Sprintf("[%d] %s", i, w.what)}
			}
		}
	}
	for _, field := range p.Properties {
		i := slices.IndexFunc(v.Pairs, func(pair toolcall.Pair) bool { return pair.Key.Text == field.Name })
		if i < 0 {
			if field.Required && v.Kind == toolcall.Dict {
				return contradiction{"missing", fmt.Sprintf("lacks %q, which is required", field.Name)}
			}
			continue
		}
		if w := fits(field, v.Pairs[i].Value); w.kind != "" {
			return contradiction{w.kind, fmt.Sprintf(".%s %s", field.Name, w.what)}
		}
	}
	return contradiction{}
}

// kinds are the kinds of value that a declared type allows; nil: any. The names are those of
// JSON schema, of Python, and of the ways in which datasets write both ("str, optional").
func kinds(declared string) []toolcall.Kind {
	name, _, _ := strings.Cut(strings.ToLower(declared), ",")
	name, _, _ = strings.Cut(strings.TrimSpace(name), "[")
	switch name {
	case "string", "str":
		return []toolcall.Kind{toolcall.String}
	case "integer", "int", "long":
		return []toolcall.Kind{toolcall.Int}
	case "number", "float", "double":
		return []toolcall.Kind{toolcall.Float, toolcall.Int}
	case "boolean", "bool":
		return []toolcall.Kind{toolcall.Bool}
	case "array", "list", "tuple", "set":
		return []toolcall.Kind{toolcall.List, toolcall.Tuple}
	case "object", "dict":
		return []toolcall.Kind{toolcall.Dict}
	case "null", "none":
		return []toolcall.Kind{toolcall.None}
	}
	return nil
}
