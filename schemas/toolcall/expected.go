package toolcall

import (
	"encoding/json"
	"fmt"
)

// Expected is what an answer is held against: the wanted calls in order.
type Expected []Want

// A Want is one wanted call with the acceptable values of each argument. An argument
// that is not in Args must not be given.
type Want struct {
	Name string
	Args []Accept

	reference *Call // the call this was made from; it passes whatever the schema says
}

// Accept lists the values that an argument may have.
type Accept struct {
	Name     string
	Values   []Value // within a dict, each key holds again a list of acceptable values
	Optional bool    // it may be left out
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

// ParseExpected reads BFCL's possible answer: [{function: {argument: [acceptable,
// ...]}}]. "" among the acceptable values means that the argument may be left out.
func ParseExpected(groundTruth json.RawMessage) (Expected, error) {
	list, err := FromJSON(groundTruth)
	if err != nil {
		return nil, fmt.Errorf("toolcall: ground truth: %w", err)
	}
	if list.Kind != List {
		return nil, fmt.Errorf("toolcall: ground truth: want a list, got a %s", list.Kind)
	}
	expected := make(Expected, 0, len(list.Items))
	for i, item := range list.Items {
		if item.Kind != Dict || len(item.Pairs) != 1 {
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

func parseWant(function Pair) (Want, error) {
	want := Want{Name: function.Key.Text}
	if function.Value.Kind != Dict {
		return want, fmt.Errorf("want an object of arguments, got a %s", function.Value.Kind)
	}
	for _, p := range function.Value.Pairs {
		if p.Value.Kind != List {
			return want, fmt.Errorf("%s: want a list of values, got a %s", p.Key.Text, p.Value.Kind)
		}
		optional := in(Text(""), p.Value.Items)
		want.Args = append(want.Args, Accept{p.Key.Text, p.Value.Items, optional})
	}
	return want, nil
}

// Reference makes the expectation from the calls of a reference answer (ToolACE): each
// value is the only acceptable one, compared as leniently as BFCL compares; every
// argument must be there, and an argument that the reference leaves out must be left
// out, optional or not, even with its default value: the reference is all we know
// about what was wanted. The reference itself always passes, also where it breaks its
// tool's schema.
func Reference(calls []Call) Expected {
	expected := make(Expected, 0, len(calls))
	for _, call := range calls {
		want := Want{Name: call.Name, reference: &call}
		for _, a := range call.Args {
			want.Args = append(want.Args, Accept{Name: a.Name, Values: []Value{acceptOnly(asDict(a.Value))}})
		}
		expected = append(expected, want)
	}
	return expected
}

// acceptOnly puts a dict, or each dict of a list, into BFCL's form: a list of
// acceptable values for each key.
func acceptOnly(v Value) Value {
	switch v.Kind {
	case Dict:
		dict := Value{Kind: Dict}
		for _, p := range v.Pairs {
			dict.Pairs = append(dict.Pairs, Pair{p.Key, ListOf(p.Value)})
		}
		return dict
	case List, Tuple:
		list := Value{Kind: v.Kind}
		for _, item := range v.Items {
			if item.Kind == Dict {
				item = acceptOnly(item)
			}
			list.Items = append(list.Items, item)
		}
		return list
	}
	return v
}
