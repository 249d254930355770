package jinja

import (
	"math/big"
	"slices"
	"strings"
)

// absent is the value of a parameter that a call leaves out.
type absentType struct{}

var absent any = absentType{}

func given(v any) bool { return v != absent }

// bind gives each parameter of a function its argument. A parameter "x=" may be left out and is
// absent then; "x/" and "x/=" cannot be named.
func bind(name string, a args, params ...string) []any {
	out := make([]any, len(params))
	for i := range out {
		out[i] = absent
	}
	if len(a.positional) > len(params) {
		typeError("%s() takes at most %d arguments (%d given)", name, len(params), len(a.positional))
	}
	copy(out, a.positional)
	for i, n := range a.names {
		at := slices.IndexFunc(params, func(p string) bool { return strings.TrimSuffix(p, "=") == n })
		if at < 0 {
			typeError("%s() got an unexpected keyword argument %s", name, repr(n))
		}
		if given(out[at]) {
			typeError("%s() got multiple values for argument %s", name, repr(n))
		}
		out[at] = a.named[i]
	}
	for i, p := range params {
		if out[i] == absent && !strings.HasSuffix(p, "=") {
			typeError("%s() missing required argument %s", name, repr(strings.TrimSuffix(p, "/")))
		}
	}
	return out
}

// or returns v, or other where v was left out.
func or(v, other any) any {
	if v == absent {
		return other
	}
	return v
}

// count returns an argument that must be an int.
func count(v any) int {
	if _, ok := v.(*big.Int); ok {
		raise("OverflowError", "Python int too large to convert to C ssize_t")
	}
	return position(v)
}

// position returns a bound of a slice, which may be of any size.
func position(v any) int {
	n, ok := small(v)
	if !ok {
		typeError("'%s' object cannot be interpreted as an integer", typeName(v))
	}
	return n
}

// argText returns an argument that must be a str.
func argText(name string, v any) string {
	s, ok := text(v)
	if !ok {
		typeError("%s() argument must be str, not %s", name, typeName(v))
	}
	return s
}
