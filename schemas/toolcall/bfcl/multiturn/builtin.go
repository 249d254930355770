package multiturn

import (
	"itool/schemas/toolcall/bfcl/multiturn/python"
	"itool/schemas/toolcall/bfcl/multiturn/sim"
)

// builtin returns one of Python's own functions. The original evaluates calls in a module
// where all of them are known. Only those are here that named arguments alone can make return
// what a method returns: a dict, a text or None.
func builtin(name string) function {
	switch name {
	case "dict":
		return func(args []python.Value, named []sim.Named) (python.Value, error) {
			d := python.NewDict()
			for _, n := range named {
				_ = d.Set(n.Name, n.Value) // a text has a hash
			}
			return d, noMore(args)
		}
	case "print":
		return func(_ []python.Value, named []sim.Named) (python.Value, error) {
			_, err := only(named, "sep", "end", "file", "flush")
			return nil, err
		}
	case "str":
		return one("object", "", func(v python.Value) (python.Value, error) { return python.Str(v) })
	case "json.dumps":
		return one("obj", nil, func(v python.Value) (python.Value, error) { return python.JSON(v) })
	case "copy.copy", "copy.deepcopy":
		return one("x", nil, func(v python.Value) (python.Value, error) { return v, nil })
	}
	return nil
}

func noMore(args []python.Value) error {
	if len(args) > 0 {
		return errExpression
	}
	return nil
}

// only returns the value of the first name, and an error for an unknown name.
func only(named []sim.Named, names ...string) (python.Value, error) {
	var first python.Value
	for _, n := range named {
		known := false
		for i, name := range names {
			if n.Name == name {
				known = true
				if i == 0 {
					first = n.Value
				}
			}
		}
		if !known {
			return nil, python.Exception("TypeError", "got an unexpected keyword argument '"+n.Name+"'")
		}
	}
	return first, nil
}

// one is a function of one argument, which is fallback if it is not given.
func one(name string, fallback python.Value, run func(python.Value) (python.Value, error)) function {
	return func(args []python.Value, named []sim.Named) (python.Value, error) {
		v, err := only(named, name)
		switch {
		case err != nil:
			return nil, err
		case len(args) == 1 && len(named) == 0:
			v = args[0]
		case len(named) == 0 && fallback == nil || len(args) > 0:
			return nil, python.Exception("TypeError", "missing 1 required positional argument: '"+name+"'")
		case len(named) == 0:
			v = fallback
		}
		return run(v)
	}
}
