package multiturn_test

import (
	"encoding/json"
	"strings"
	"testing"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// TestPossibleAnswers answers with the right calls: once as they are written, where BFCL itself
// refuses those with positional arguments, and once with all arguments named.
func TestPossibleAnswers(t *testing.T) {
	all, o := entries(t), options(t)
	names := parameters(t)
	refused := 0
	for id, e := range all {
		var written, named [][]string
		positional := false
		for _, calls := range e.Truth {
			written = append(written, []string{"[" + strings.Join(calls, ", ") + "]"})
			var withNames []string
			for _, call := range calls {
				text, changed := name(t, call, names)
				withNames = append(withNames, text)
				positional = positional || changed
			}
			named = append(named, []string{"[" + strings.Join(withNames, ", ") + "]"})
		}
		v, err := multiturn.Check(e, named, o)
		if err != nil {
			t.Fatal(err)
		}
		if !v.Valid {
			t.Errorf("%s: turn %d: %s", id, v.Turn, v.Detail())
		}
		if v, err = multiturn.Check(e, written, o); err != nil {
			t.Fatal(err)
		}
		if !v.Valid {
			refused++
		}
		if !v.Valid && !positional {
			t.Errorf("%s as written: turn %d: %s", id, v.Turn, v.Detail())
		}
	}
	if refused == 0 || refused > 4*24 {
		t.Errorf("%d possible answers are refused as they are written, want those of the 96 with positional arguments "+
			"whose state or results depend on them", refused)
	}
	t.Logf("800 of 800 with named arguments; %d as written are refused, as BFCL refuses them", refused)
}

// parameters reads the order of every method's parameters.
func parameters(t *testing.T) map[string][]string {
	t.Helper()
	names := map[string][]string{}
	for _, file := range []string{
		"gorilla_file_system", "math_api", "message_api", "posting_api", "ticket_api", "trading_bot",
		"travel_booking", "vehicle_control",
	} {
		each(t, "bfcl_v3/multi_turn_func_doc/"+file+".json", func(_ string, row json.RawMessage) {
			v, err := python.ParseJSON(row)
			if err != nil {
				t.Fatal(err)
			}
			method, _ := v.(*python.Dict).Get("name")
			schema, _ := v.(*python.Dict).Get("parameters")
			properties, _ := schema.(*python.Dict).Get("properties")
			for _, key := range properties.(*python.Dict).Keys() {
				names[method.(string)] = append(names[method.(string)], key.(string))
			}
		})
	}
	return names
}

// name writes a right call with all arguments named.
func name(t *testing.T, call string, names map[string][]string) (text string, changed bool) {
	t.Helper()
	e, err := toolcall.ReadExpression(call)
	if err != nil {
		t.Fatal(err)
	}
	parts := e.Parts()
	method := parts[0].Text()
	var args []string
	for i, part := range parts[1:] {
		args = append(args, names[method][i]+"="+literal(t, part))
	}
	for _, arg := range e.Named() {
		args = append(args, arg.Name+"="+literal(t, arg.Value))
	}
	return method + "(" + strings.Join(args, ", ") + ")", len(parts) > 1
}

// literal writes the constants, lists, dicts and negative numbers of right calls.
func literal(t *testing.T, e toolcall.Expression) string {
	t.Helper()
	var parts []string
	switch e.Kind() {
	case toolcall.ConstantExpression:
		return e.Value().String()
	case toolcall.UnaryExpression:
		return e.Text() + literal(t, e.Parts()[0])
	case toolcall.ListExpression:
		for _, part := range e.Parts() {
			parts = append(parts, literal(t, part))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case toolcall.DictExpression:
		all := e.Parts()
		for i := 0; i < len(all); i += 2 {
			parts = append(parts, literal(t, all[i])+": "+literal(t, all[i+1]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	t.Fatalf("a right call holds an expression of kind %d", e.Kind())
	return ""
}
