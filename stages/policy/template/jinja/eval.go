package jinja

import (
	"slices"
	"strings"
)

// eval returns the value of an expression.
func (x *exec) eval(e expr, l *locals) any {
	x.step()
	if x.folding != nil {
		x.folding.foldable(e)
	}
	switch e := e.(type) {
	case *constExpr:
		if e.infinite && x.folding == nil {
			raise("NameError", "name 'inf' is not defined") // Python's words for it, which jinja2 writes
		}
		return e.value
	case *nameExpr:
		v := l.get(e.at)
		if v != missing {
			return v
		}
		if e.parameter {
			unsupported("the variable %s of a body that has ended", e.name)
		}
		return &undefined{name: e.name}
	case *listExpr:
		return &List{x.evalAll(e.items, l)}
	case *tupleExpr:
		return &Tuple{Items: x.evalAll(e.items, l)}
	case *dictExpr:
		d := NewDict()
		for i, k := range e.keys {
			key := x.eval(k, l)
			value := x.eval(e.values[i], l)
			d.set(x.key(key), key, value)
		}
		x.spend(32 * len(e.keys))
		return d
	case *attrExpr:
		of := x.eval(e.of, l)
		x.line = e.line
		return getAttr(x, of, e.name)
	case *itemExpr:
		return x.item(e, l)
	case *callExpr:
		of := x.eval(e.of, l)
		return x.call(of, x.args(e.args, l), e.line)
	case *filterExpr:
		return x.filter(e, x.eval(e.of, l), l)
	case *testExpr:
		return x.test(e, l)
	case *condExpr:
		switch {
		case truth(x.eval(e.test, l)):
			return x.eval(e.then, l)
		case e.orElse != nil:
			return x.eval(e.orElse, l)
		}
		if x.folding != nil {
			panic(impossible{})
		}
		return &undefined{text: "the inline if-expression evaluated to false and no else section was defined."}
	}
	return x.operator(e, l)
}

// operator evaluates expressions of operators.
func (x *exec) operator(e expr, l *locals) any {
	switch e := e.(type) {
	case *unaryExpr:
		of := x.eval(e.of, l)
		x.line = e.line
		return unary(x, e.op, of)
	case *binaryExpr:
		left := x.eval(e.left, l)
		right := x.eval(e.right, l)
		x.line = e.line
		return binary(x, e.op, left, right)
	case *logicExpr:
		left := x.eval(e.left, l)
		if truth(left) != e.and {
			return left
		}
		return x.eval(e.right, l)
	case *compareExpr:
		left := x.eval(e.first, l)
		for i, op := range e.ops {
			right := x.eval(e.rest[i], l)
			x.line = e.line
			if !compare(x, op, left, right) {
				return false
			}
			left = right
		}
		return true
	case *concatExpr:
		return x.concatenate(x.evalAll(e.parts, l), e.escapes && x.folding == nil)
	}
	panic("jinja: an expression without a meaning")
}

// concatenate joins texts of all values; with autoescape a Markup among them makes one of all.
func (x *exec) concatenate(values []any, autoescape bool) any {
	escapes := autoescape && slices.ContainsFunc(values, isMarkup)
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

func (x *exec) evalAll(list []expr, l *locals) []any {
	items := make([]any, len(list))
	for i, e := range list {
		items[i] = x.eval(e, l)
	}
	x.spend(16 * len(items))
	return items
}

// item evaluates of[at].
func (x *exec) item(e *itemExpr, l *locals) any {
	of := x.eval(e.of, l)
	if sl, ok := e.at.(*sliceExpr); ok {
		bounds := [3]any{}
		for i, part := range []expr{sl.from, sl.to, sl.step} {
			if part != nil {
				bounds[i] = x.eval(part, l)
			}
		}
		x.line = e.line
		if x.folding == nil {
			return slice(x, of, bounds)
		}
		var v any
		if tryPython(func() { v = slice(x, of, bounds) }, "TypeError") {
			return v
		}
		return undefinedItem(of, bounds[0]) // the compiler takes it for an item that does not exist
	}
	if t, ok := e.at.(*tupleExpr); ok && slices.ContainsFunc(t.items, isSlice) {
		x.slices(t, l)
		if u, ok := of.(*undefined); ok {
			u.fail()
		}
		return &undefined{text: "a tuple of slices is no item"}
	}
	at := x.eval(e.at, l)
	x.line = e.line
	return getItem(x, of, at)
}

// slices evaluates slices in a tuple. Only the compiler comes so far: Python has no code for them (see check.go).
func (x *exec) slices(t *tupleExpr, l *locals) {
	for _, item := range t.items {
		if !isSlice(item) {
			x.eval(item, l)
			continue
		}
		for _, part := range parts(item) {
			if part != nil {
				x.eval(part, l)
			}
		}
	}
}

// args evaluates the arguments of a call.
func (x *exec) args(a arguments, l *locals) (out args) {
	out.positional = x.evalAll(a.positional, l)
	for i, e := range a.named {
		out.add(a.names[i], x.eval(e, l))
	}
	if a.star != nil {
		next := iterate(x, x.eval(a.star, l))
		for v, ok := next(); ok; v, ok = next() {
			out.positional = append(out.positional, v)
		}
	}
	if a.starStar == nil {
		return out
	}
	d, ok := x.eval(a.starStar, l).(*Dict)
	if !ok {
		typeError("argument after ** must be a mapping")
	}
	before := map[string]bool{}
	for _, n := range out.names {
		before[n] = true
	}
	x.spend(32 * d.Len())
	for i, k := range d.keys {
		name, ok := text(k)
		if !ok {
			typeError("keywords must be strings")
		}
		if before[name] {
			typeError("got multiple values for keyword argument %s", repr(name))
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
func (x *exec) filter(e *filterExpr, of any, l *locals) any {
	a := x.args(e.args, l)
	x.line = e.line
	return x.applyFilter(e.name, of, a)
}

// filterText applies a chain of filters that has no value of its own to a text.
func (x *exec) filterText(e expr, value any, l *locals) any {
	f := e.(*filterExpr)
	if f.of != nil {
		value = x.filterText(f.of, value, l)
	}
	return x.filter(f, value, l)
}

func (x *exec) applyFilter(name string, of any, a args) any {
	f, ok := x.filters[name]
	if !ok {
		raise("TemplateRuntimeError", "No filter named %s found.", repr(name))
	}
	return f(x, of, a)
}

func (x *exec) test(e *testExpr, l *locals) any {
	of := x.eval(e.of, l)
	a := x.args(e.args, l)
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
		h, ok := x.maybeKey(at)
		if !ok {
			return nil, false
		}
		return v.get(h)
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
