package jinja

const maxStep = 1 << 30 // a larger one takes one item, too

// slice is v[from:to:step]; bounds may be None.
func slice(x *exec, v any, bounds [3]any) any {
	if u, ok := v.(*undefined); ok {
		u.fail()
	}
	switch v.(type) {
	case string, markup, bytesValue, *List, *Tuple, *rangeValue:
	case *Dict:
		typeError("unhashable type: 'slice'")
	default:
		typeError("'%s' object is not subscriptable", typeName(v))
	}
	n, _ := size(v)
	from, to, step := sliceBounds(n, bounds)
	if r, ok := v.(*rangeValue); ok {
		if max(step, -step) >= maxStep {
			unsupported("a slice of a range by a large step")
		}
		return &rangeValue{r.start + from*r.step, r.start + to*r.step, r.step * step}
	}
	count := (&rangeValue{from, to, step}).len()
	if b, ok := v.(bytesValue); ok {
		out := make([]byte, count)
		for i := range out {
			out[i] = b[from+i*step]
		}
		return bytesValue(out)
	}
	if s, ok := text(v); ok {
		return sameKind(v, sliceText(x, s, from, count, step))
	}
	var items []any
	switch v := v.(type) {
	case *List:
		items = v.Items
	case *Tuple:
		items = v.Items
	}
	x.spend(16 * count)
	out := make([]any, count)
	for i := range out {
		out[i] = items[from+i*step]
	}
	if _, ok := v.(*List); ok {
		return &List{out}
	}
	return &Tuple{Items: out}
}

func sliceText(x *exec, s string, from, count, step int) string {
	x.spend(len(s))
	runes := []rune(s)
	out := make([]rune, count)
	for i := range out {
		out[i] = runes[from+i*step]
	}
	return string(out)
}

// sliceBounds are the first index, the one behind the last, and the step of a slice of n items.
func sliceBounds(n int, bounds [3]any) (from, to, step int) {
	number := func(v any, none int) int {
		if v == nil {
			return none
		}
		i, ok := small(v)
		if !ok {
			if u, undef := v.(*undefined); undef {
				u.fail()
			}
			typeError("slice indices must be integers or None or have an __index__ method")
		}
		return i
	}
	if step = number(bounds[2], 1); step == 0 {
		valueError("slice step cannot be zero")
	}
	low, high := 0, n
	if step < 0 {
		low, high = -1, n-1
	}
	clamp := func(i int) int {
		if i < 0 {
			i = max(i+n, low)
		}
		return min(i, high)
	}
	if step > 0 {
		from, to = clamp(number(bounds[0], 0)), clamp(number(bounds[1], n))
	} else {
		from, to = n-1, -1
		if bounds[0] != nil {
			from = clamp(number(bounds[0], 0))
		}
		if bounds[1] != nil {
			to = clamp(number(bounds[1], 0))
		}
	}
	return from, to, max(min(step, maxStep), -maxStep)
}
