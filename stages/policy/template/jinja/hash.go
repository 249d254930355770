package jinja

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// A key of a dict is found by a comparable value that is equal for equal keys: 1, 1.0 and True are one key.

type (
	bigKey       string // an integer beyond 64 bits
	tupleKey     string
	undefinedKey struct{}
	rangeKey     struct{ start, step, len int }
)

const maxKeyBytes = 1 << 20 // of a tuple that is a key

// hashKey returns the comparable value of a key, and raises for what cannot be one.
func hashKey(v any) any {
	h, bad := hash(v)
	if bad != nil {
		typeError("unhashable type: '%s'", typeName(bad))
	}
	return h
}

// key is hashKey, counted.
func (x *exec) key(v any) any {
	h := hashKey(v)
	x.hashed(h)
	return h
}

// maybeKey is key; ok is false for what cannot be a key.
func (x *exec) maybeKey(v any) (h any, ok bool) {
	h, bad := hash(v)
	x.hashed(h)
	return h, bad == nil
}

func (x *exec) hashed(h any) {
	switch h := h.(type) {
	case string:
		x.work(len(h) / 64)
	case tupleKey:
		x.work(len(h) / 16)
	}
}

// hash returns the comparable value of a key, or what of it cannot be a key.
func hash(v any) (h, bad any) {
	switch v := v.(type) {
	case nil, int, string, bytesValue, *function, *macro, *loopContext, *namespace, *generator, *cycler, *joiner:
		return v, nil
	case markup:
		return string(v), nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case *big.Int:
		return bigKey(v.Text(16)), nil
	case float64:
		return floatKey(v), nil
	case *rangeValue:
		return hashRange(v), nil
	case *undefined:
		return undefinedKey{}, nil
	case *view:
		if v.kind == "dict_values" {
			return v, nil
		}
	case *Tuple:
		var b strings.Builder
		if bad := writeKey(&b, v); bad != nil {
			return nil, bad
		}
		return tupleKey(b.String()), nil
	}
	return nil, v
}

// floatKey is that of the integer where a float is one.
func floatKey(f float64) any {
	switch {
	case f != f:
		unsupported("what is not a number as a key")
	case math.IsInf(f, 0) || f != math.Trunc(f):
		return f
	}
	i, _ := big.NewFloat(f).Int(nil)
	h, _ := hash(normal(i))
	return h
}

// hashRange is equal for ranges with equal items.
func hashRange(r *rangeValue) rangeKey {
	switch n := r.len(); n {
	case 0:
		return rangeKey{}
	case 1:
		return rangeKey{r.start, 0, 1}
	default:
		return rangeKey{r.start, r.step, n}
	}
}

// writeKey writes a tuple so that equal ones have equal texts, and no others.
func writeKey(b *strings.Builder, t *Tuple) (bad any) {
	if b.Len() > maxKeyBytes {
		overLimit("a tuple that is a key has more than %d bytes", maxKeyBytes)
	}
	b.WriteByte('(')
	for _, item := range t.Items {
		if inner, ok := item.(*Tuple); ok {
			if bad := writeKey(b, inner); bad != nil {
				return bad
			}
			continue
		}
		h, bad := hash(item)
		if bad != nil {
			return bad
		}
		switch h := h.(type) {
		case int:
			b.WriteString(strconv.Itoa(h))
		case string:
			b.WriteString(strconv.Itoa(len(h)) + ":" + h)
		case *function, *macro, *loopContext, *namespace, *generator, *cycler, *joiner, *view:
			fmt.Fprintf(b, "%p", h)
		default:
			fmt.Fprintf(b, "%T%v", h, h)
		}
		b.WriteByte(',')
	}
	b.WriteByte(')')
	return nil
}
