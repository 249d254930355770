package multiturn

import (
	"errors"
	"strings"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// Decode reads the raw text of one step into calls, each as Python source with named
// arguments. An error is a step that BFCL leaves out; no calls and no error happens, too.
func Decode(raw string) ([]string, error) {
	calls, err := toolcall.DecodeStep(raw)
	if err != nil {
		return nil, err
	}
	sources := make([]string, len(calls))
	for i, c := range calls {
		args := make([]string, len(c.Args))
		for j, a := range c.Args {
			text, err := source(python.Of(a.Value))
			if err != nil {
				return nil, err
			}
			args[j] = argumentName(a.Name) + "=" + text
		}
		sources[i] = c.Name + "(" + strings.Join(args, ", ") + ")"
	}
	return sources, nil
}

// argumentName is None for **x: Python's parser gives it no name.
func argumentName(name string) string {
	if name == "**" {
		return "None"
	}
	return name
}

var errEmptyDict = errors.New("multiturn: an empty dict is no argument")

// source writes a value as the original does: repr, but a dict of dicts is a nested call of
// its first key, and other dicts have their keys between single quotes, not escaped.
func source(v python.Value) (string, error) {
	d, ok := v.(*python.Dict)
	if !ok {
		return python.Repr(v)
	}
	if d.Len() == 0 {
		return "", errEmptyDict
	}
	for _, key := range d.Keys() {
		if inner, _ := d.Get(key); python.TypeName(inner) != "dict" {
			return dictSource(d)
		}
	}
	first := d.Keys()[0]
	name, err := python.Str(first)
	if err != nil {
		return "", err
	}
	inner, _ := d.Get(first)
	args, err := pairs(inner.(*python.Dict), "", "=")
	return name + "(" + args + ")", err
}

func dictSource(d *python.Dict) (string, error) {
	entries, err := pairs(d, "'", ": ")
	return "{" + entries + "}", err
}

// pairs writes the entries with the keys between quotes.
func pairs(d *python.Dict, quote, separator string) (string, error) {
	var entries []string
	for _, key := range d.Keys() {
		name, err := python.Str(key)
		if err != nil {
			return "", err
		}
		value, _ := d.Get(key)
		text, err := source(value)
		if err != nil {
			return "", err
		}
		entries = append(entries, quote+name+quote+separator+text)
	}
	return strings.Join(entries, ", "), nil
}
