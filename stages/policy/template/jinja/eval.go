package jinja

import (
	"slices"
	"strings"
)

// eval returns the value of an expression.
func (x *exec) eval(e expr, s *scope) any {
	x.step()
	if x.folding {
		foldable(e)
	}
	switch e := e.(type) {
	case *constExpr:
		if e.infinite && !x.folding {
			raise("NameError", "name 'inf' is not defined") // what the code says that jinja2 makes of it
		}
		return e.value
	case *nameExpr:
		if v, ok := s.get(e.name); ok {
			return v
		}
		return undefinedName(e.name)
	case *listExpr:
		return &List{x.evalAll(e.items, s)}
	case *tupleExpr:
		return &Tuple{Items: x.evalAll(e.items, s)}
	case *dictExpr:
		d := NewDict()
		for i, k := range e.keys {
			key := x.eval(k, s)
			d.Set(key, x.eval(e.values[i], s))
		}
		x.spend(32 * len(e.keys))
		return d
	case *attrExpr:
		of := x.eval(e.of, s)
		x.line = e.line
		return getAttr(x, of, e.name)
	case *itemExpr:
		return x.item(e, s)
	case *callExpr:
		of := x.eval(e.of, s)
		return x.call(of, x.args(e.args, s), e.line)
	case *filterExpr:
		return x.filter(e, x.eval(e.of, s), s)
	case *testExpr:
		return x.test(e, s)
	case *condExpr:
		switch {
		case truth(x.eval(e.test, s)):
			return x.eval(e.then, s)
		case e.orElse != nil:
			return x.eval(e.orElse, s)
		}
		if x.folding {
			panic(impossible{})
		}
		return &undefined{text: "the inline if-expression evaluated to false and no else section was defined."}
	}
	return x.operator(e, s)
}

// operator evaluates expressions of operators.
func (x *exec) operator(e expr, s *scope) any {
	switch e := e.(type) {
	case *unaryExpr:
		of := x.eval(e.of, s)
		x.line = e.line
		return unary(x, e.op, of)
	case *binaryExpr:
		left := x.eval(e.left, s)
		right := x.eval(e.right, s)
		x.line = e.line
		return binary(x, e.op, left, right)
	case *logicExpr:
		left := x.eval(e.left, s)
		if truth(left) != e.and {
			return left
		}
		return x.eval(e.right, s)
	case *compareExpr:
		left := x.eval(e.first, s)
		for i, op := range e.ops {
			right := x.eval(e.rest[i], s)
			x.line = e.line
			if !compare(x, op, left, right) {
				return false
			}
			left = right
		}
		return true
	case *concatExpr:
		return x.concatenate(x.evalAll(e.parts, s))
	}
	panic("jinja: an expression without a meaning")
}

// concatenate joins texts of all values; with autoescape a Markup among them makes one of all.
func (x *exec) concatenate(values []any) any {
	escapes := x.autoescape && slices.ContainsFunc(values, isMarkup)
	var b strings.Builder
	for _, v := range values {
		part := x.made(str(x, v))
		if escapes && !isMarkup(v) {
			part = escapeHTML(part)
		}
		b.WriteString(part)
	}
	if escapes {
		return markup(b.String())
	}
	return b.String()
}

func (x *exec) evalAll(list []expr, s *scope) []any {
	items := make([]any, len(list))
	for i, e := range list {
		items[i] = x.eval(e, s)
	}
	x.spend(16 * len(items))
	return items
}

// item evaluates of[at].
func (x *exec) item(e *itemExpr, s *scope) any {
	of := x.eval(e.of, s)
	if sl, ok := e.at.(*sliceExpr); ok {
		bounds := [3]any{}
		for i, part := range []expr{sl.from, sl.to, sl.step} {
			if part != nil {
				bounds[i] = x.eval(part, s)
			}
		}
		x.line = e.line
		if !x.folding {
			return slice(x, of, bounds)
		}
		var v any
		if tryPython(func() { v = slice(x, of, bounds) }, "TypeError") {
			return v
		}
		return undefinedItem(of, bounds[0]) // the compiler takes it for an item that does not exist
	}
	if t, ok := e.at.(*tupleExpr); ok {
		for _, part := range t.items {
			if _, ok := part.(*sliceExpr); ok {
				typeError("unhashable type: 'slice'")
			}
		}
	}
	at := x.eval(e.at, s)
	x.line = e.line
	return getItem(x, of, at)
}

// args evaluates the arguments of a call.
func (x *exec) args(a arguments, s *scope) (out args) {
	out.positional = x.evalAll(a.positional, s)
	for i, e := range a.named {
		out.add(a.names[i], x.eval(e, s))
	}
	if a.star != nil {
		next := iterate(x, x.eval(a.star, s))
		for v, ok := next(); ok; v, ok = next() {
			out.positional = append(out.positional, v)
		}
	}
	if a.starStar == nil {
		return out
	}
	d, ok := x.eval(a.starStar, s).(*Dict)
	if !ok {
		typeError("argument after ** must be a mapping")
	}
	for i, k := range d.keys {
		name, ok := text(k)
		if !ok {
			typeError("keywords must be strings")
		}
		for _, n := range out.names {
			if n == name {
				typeError("got multiple values for keyword argument %s", repr(name))
			}
		}
		out.add(name, d.values[i])
	}
	return out
}

// call calls a value.
func (x *exec) call(of any, a args, line int) any {
	x.step()
	x.line = line
	switch f := of.(type) {
	case *function:
		return f.call(x, a)
	case *macro:
		return x.callMacro(f, a)
	case *undefined:
		f.fail()
	case *loopContext:
		if f.recurse == nil {
			typeError("The loop must have the 'recursive' marker to be called recursively.")
		}
		bound := bind("loop", a, "iterable")
		return f.recurse(bound[0])
	case *joiner:
		bind("joiner", a)
		if !f.used {
			f.used = true
			return ""
		}
		return f.sep
	}
	typeError("'%s' object is not callable", typeName(of))
	return nil
}

// filter applies a filter to a value.
func (x *exec) filter(e *filterExpr, of any, s *scope) any {
	a := x.args(e.args, s)
	x.line = e.line
	return x.applyFilter(e.name, of, a)
}

// filterText applies a chain of filters that has no value of its own to a text.
func (x *exec) filterText(e expr, value any, s *scope) any {
	f := e.(*filterExpr)
	if f.of != nil {
		value = x.filterText(f.of, value, s)
	}
	return x.filter(f, value, s)
}

func (x *exec) applyFilter(name string, of any, a args) any {
	f, ok := x.filters[name]
	if !ok {
		raise("TemplateRuntimeError", "No filter named %s found.", repr(name))
	}
	return f(x, of, a)
}

func (x *exec) test(e *testExpr, s *scope) any {
	of := x.eval(e.of, s)
	a := x.args(e.args, s)
	x.line = e.line
	return x.applyTest(e.name, of, a)
}

func (x *exec) applyTest(name string, of any, a args) any {
	t, ok := x.tests[name]
	if !ok {
		raise("TemplateRuntimeError", "No test named %s found.", repr(name))
	}
	return t(x, of, a)
}

// getAttr is the sandbox's lookup of of.name: attributes first, then items.
func getAttr(x *exec, of any, name string) any {
	if v, ok := attribute(x, of, name); ok {
		return v
	}
	if v, ok := item(x, of, name); ok {
		return v
	}
	return undefinedItem(of, name)
}

// getItem is the sandbox's lookup of of[at]: items first, then attributes.
func getItem(x *exec, of, at any) any {
	if v, ok := item(x, of, at); ok {
		return v
	}
	if name, ok := text(at); ok {
		if v, ok := attribute(x, of, name); ok {
			return v
		}
	}
	return undefinedItem(of, at)
}

// item is Python's of[at]; ok is false where Python raises TypeError or LookupError.
func item(x *exec, of, at any) (value any, ok bool) {
	switch v := of.(type) {
	case *undefined:
		v.fail()
	case *Dict:
		if !hashable(at) {
			return nil, false
		}
		return v.Get(at)
	case *List:
		return itemAt(v.Items, at)
	case *Tuple:
		return itemAt(v.Items, at)
	case *rangeValue:
		i, ok := index(at, v.len())
		return v.start + i*v.step, ok
	case string:
		s, ok := runeAt(x, v, at)
		return s, ok
	case markup:
		s, ok := runeAt(x, string(v), at)
		return markup(s), ok
	case bytesValue:
		if i, ok := index(at, len(v)); ok {
			return int(v[i]), true
		}
	}
	return nil, false
}

func hashable(v any) bool {
	switch v := v.(type) {
	case *List, *Dict, *view:
		return false
	case *Tuple:
		for _, item := range v.Items {
			if !hashable(item) {
				return false
			}
		}
	}
	return true
}

// index returns at as a place within n items; negative ones count from the end.
func index(at any, n int) (int, bool) {
	i, ok := small(at)
	if ok && i < 0 {
		i += n
	}
	return i, ok && i >= 0 && i < n
}

func itemAt(items []any, at any) (any, bool) {
	i, ok := index(at, len(items))
	if !ok {
		return nil, false
	}
	return items[i], true
}

func runeAt(x *exec, s string, at any) (string, bool) {
	i, ok := index(at, length(s))
	if !ok {
		return "", false
	}
	x.work(len(s) / 64)
	for _, r := range s {
		if i == 0 {
			return string(r), true
		}
		i--
	}
	return "", false
}
