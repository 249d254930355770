package multiturn

import (
	"fmt"
	"io"
	"regexp"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl/multiturn/python"
	"itool/schemas/toolcall/bfcl/multiturn/sim"
)

// assignment begins a value of BFCL's file: a name in capital letters at the begin of a line.
var assignment = regexp.MustCompile(`(?m)^([A-Z][A-Z0-9_]*)[ ]*=[ ]*`)

// ReadLongContext reads BFCL's file long_context.py, from its folder
// eval_checker/multi_turn_eval/func_source_code. It is Python and is not run: it must hold
// assignments of literals and nothing else, of which each may have toolcall.MaxBytes. Errors name
// the value.
func ReadLongContext(r io.Reader) (*sim.Extension, error) {
	data, err := io.ReadAll(io.LimitReader(r, sim.MaxExtension+1))
	if err != nil {
		return nil, err
	}
	if len(data) > sim.MaxExtension {
		return nil, fmt.Errorf("multiturn: long_context.py has more than %d bytes", sim.MaxExtension)
	}
	values, text := python.NewDict(), string(data)
	starts := assignment.FindAllStringSubmatchIndex(text, -1)
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		name := text[at[2]:at[3]]
		e, err := toolcall.ReadExpression(text[at[1]:end])
		if err != nil {
			return nil, fmt.Errorf("multiturn: long_context.py: %s: %w", name, err)
		}
		value, err := literal(e)
		if err != nil {
			return nil, fmt.Errorf("multiturn: long_context.py: %s: %w", name, err)
		}
		if err := values.Set(name, value); err != nil {
			return nil, err
		}
	}
	return sim.NewExtension(values)
}

// literal is the value of an expression in which nothing is named or called.
func literal(e toolcall.Expression) (python.Value, error) {
	if !constant(e) {
		return nil, errExpression
	}
	return (&Executor{}).eval(e)
}

func constant(e toolcall.Expression) bool {
	switch e.Kind() {
	case toolcall.ConstantExpression, toolcall.EllipsisExpression:
		return true
	case toolcall.UnaryExpression, toolcall.ListExpression, toolcall.TupleExpression, toolcall.DictExpression:
		for _, part := range e.Parts() {
			if !constant(part) {
				return false
			}
		}
		return true
	}
	return false
}
