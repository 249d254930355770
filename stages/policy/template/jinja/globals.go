package jinja

import (
	"maps"
	"time"
)

const maxRange = 100_000 // items; the sandbox's own limit

// globals are jinja2's functions and transformers', and the variables over them.
func globals(vars Vars, now time.Time) map[string]any {
	all := make(map[string]any, len(vars)+8)
	for name, call := range map[string]func(*exec, args) any{
		"range": rangeFunction, "dict": dictFunction, "namespace": namespaceFunction, "cycler": cyclerFunction,
		"joiner": joinerFunction, "lipsum": lipsum, "raise_exception": raiseException,
	} {
		all[name] = &function{name, call}
	}
	if !now.IsZero() {
		all["strftime_now"] = &function{"strftime_now", strftimeNow}
	}
	maps.Copy(all, vars)
	return all
}

func rangeFunction(x *exec, a args) any {
	if len(a.names) > 0 {
		typeError("safe_range() got an unexpected keyword argument %s", repr(a.names[0]))
	}
	if n := len(a.positional); n == 0 || n > 3 {
		typeError("range expected 1 to 3 arguments, got %d", n)
	}
	bounds := [3]int{0, 0, 1}
	for i, v := range a.positional {
		bounds[i] = count(v)
	}
	if len(a.positional) == 1 {
		bounds[0], bounds[1] = 0, bounds[0]
	}
	r := &rangeValue{bounds[0], bounds[1], bounds[2]}
	if r.step == 0 {
		valueError("range() arg 3 must not be zero")
	}
	const far = 1 << 40 // nothing overflows below
	if max(r.start, r.stop, r.step) > far || min(r.start, r.stop, r.step) < -far || r.len() > maxRange {
		raise("OverflowError", "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", maxRange)
	}
	return r
}

// dictFunction is Python's dict(mapping or pairs, **named).
func dictFunction(x *exec, a args) any {
	d := NewDict()
	if len(a.positional) > 1 {
		typeError("dict expected at most 1 argument, got %d", len(a.positional))
	}
	for _, v := range a.positional {
		fill(x, d, v)
	}
	for i, name := range a.names {
		d.Set(name, a.named[i])
	}
	x.spend(48 * d.Len())
	return d
}

func fill(x *exec, d *Dict, v any) {
	switch from := v.(type) {
	case *undefined: // Python asks it for its keys first
		from.fail()
	case *Dict:
		for i, k := range from.keys {
			d.set(x.key(k), k, from.values[i])
		}
		return
	}
	for i, pair := range list(x, v) {
		kv := list(x, pair)
		if len(kv) != 2 {
			valueError("dictionary update sequence element #%d has length %d; 2 is required", i, len(kv))
		}
		d.set(x.key(kv[0]), kv[0], kv[1])
	}
}

func namespaceFunction(x *exec, a args) any { return &namespace{dictFunction(x, a).(*Dict)} }

func cyclerFunction(_ *exec, a args) any {
	if len(a.positional) == 0 {
		raise("RuntimeError", "at least one item has to be provided")
	}
	if len(a.names) > 0 {
		typeError("Cycler.__init__() got an unexpected keyword argument %s", repr(a.names[0]))
	}
	return &cycler{items: a.positional}
}

func joinerFunction(_ *exec, a args) any {
	return &joiner{sep: or(bind("joiner", a, "sep=")[0], ", ")}
}

func lipsum(*exec, args) any {
	unsupported("lipsum, which is random")
	return nil
}

// raiseException is transformers': what a template itself refuses.
func raiseException(x *exec, a args) any {
	raise("TemplateError", "%s", str(x, bind("raise_exception", a, "message")[0]))
	return nil
}

func strftimeNow(x *exec, a args) any {
	layout := argText("strftime", bind("strftime_now", a, "format")[0])
	return x.made(strftime(x.now, layout))
}
