package bfcl

import (
	"encoding/json"
	"fmt"

	"itool/schemas/toolcall"
)

// Expected are the wanted calls in order.
type Expected []Want

// A Want is one wanted call, with the acceptable values of each argument. An argument that is
// not in Args must not be given.
type Want struct {
	Name string
	Args []Accept

	reference *toolcall.Call // the call that Reference got; it passes even against its schema
}

// Accept lists the values that an argument may have.
type Accept struct {
	Name     string
	Values   []toolcall.Value // in a dict, each key has a list of acceptable values
	Optional bool             // it may be left out
}

// arg returns the acceptable values of one argument.
func (w Want) arg(name string) (Accept, bool) {
	for _, a := range w.Args {
		if a.Name == name {
			return a, true
		}
	}
	return Accept{}, false
}

// ParseExpected reads BFCL's possible answer: [{function: {argument: [acceptable, ...]}}]. ""
// among the acceptable values means that the argument may be left out.
func ParseExpected(groundTruth json.RawMessage) (Expected, error) {
	list, err := toolcall.FromJSON(groundTruth)
	if err != nil {
		return nil, fmt.Errorf("toolcall: ground truth: %w", err)
	}
	if list.Kind != toolcall.List {
		return nil, fmt.Errorf("toolcall: ground truth: want a list, got a %s", list.Kind)
	}
	expected := make(Expected, 0, len(list.Items))
	for i, item := range list.Items {
		if item.Kind != toolcall.Dict || len(item.Pairs) != 1 {
			return nil, fmt.Errorf("toolcall: ground truth %d: want an object with one function", i)
		}
		want, err := parseWant(item.Pairs[0])
		if err != nil {
			return nil, fmt.Errorf("toolcall: ground truth %d: %s: %w", i, want.Name, err)
		}
		expected = append(expected, want)
	}
	return expected, nil
}

func parseWant(function toolcall.Pair) (Want, error) {
	want := Want{Name: function.Key.Text}
	if function.Value.Kind != toolcall.Dict {
		return want, fmt.Errorf("want an object of arguments, got a %s", function.Value.Kind)
	}
	for _, p := range function.Value.Pairs {
		if p.Value.Kind != toolcall.List {
			return want, fmt.Errorf("%s: want a list of values, got a %s", p.Key.Text, p.Value.Kind)
		}
		optional := in(toolcall.Text(""), p.Value.Items)
		want.Args = append(want.Args, Accept{p.Key.Text, p.Value.Items, optional})
	}
	return want, nil
}

// Reference makes the expectation from the calls of a reference answer (ToolACE). Each value is
// the only acceptable one, compared as leniently as BFCL compares. Every argument must be
// given. An argument that the reference leaves out must be left out, even an optional one
// with its default value: nothing else is known about what was wanted. The reference itself
// always passes, even if it violates the schema of its tool.
func Reference(calls []toolcall.Call) Expected {
	expected := make(Expected, 0, len(calls))
	for _, call := range calls {
		want := Want{Name: call.Name, reference: &call}
		for _, a := range call.Args {
			only := []toolcall.Value{acceptOnly(a.Value.CallsAsDicts())}
			want.Args = append(want.Args, Accept{Name: a.Name, Values: only})
		}
		expected = append(expected, want)
	}
	return expected
}

// acceptOnly puts a dict, or each dict of a list, into BFCL's form: a list of acceptable values
// for each key.
func acceptOnly(v toolcall.Value) toolcall.Value {
	switch v.Kind {
	case toolcall.Dict:
		dict := toolcall.Value{Kind: toolcall.Dict}
		for _, p := range v.Pairs {
			dict.Pairs = append(dict.Pairs, toolcall.Pair{Key: p.Key, Value: toolcall.ListOf(p.Value)})
		}
		return dict
	case toolcall.List, toolcall.Tuple:
		list := toolcall.Value{Kind: v.Kind}
		for _, item := range v.Items {
			if item.Kind == toolcall.Dict {
				item = acceptOnly(item)
			}
			list.Items = append(list.Items, item)
		}
		return list
	}
	return v
}
