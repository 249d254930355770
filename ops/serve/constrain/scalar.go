package constrain

import (
	"math/big"
	"strconv"
	"strings"

	"itool/schemas/toolcall"
)

// str is a text with bounds of its length in characters.
func (r *reader) str(k *keywords) (int32, error) {
	least, most, err := k.bounds("minLength", "maxLength")
	if err != nil {
		return 0, err
	}
	b := r.b
	if least == 0 && most < 0 {
		return b.anyText(r.l), nil
	}
	return b.rule(func(next int32) int32 {
		return b.quoted(r.l, func(char func(next int32) int32, next int32) int32 {
			one := b.rule(char)
			again := func(next int32) int32 { return b.call(one, next) }
			if most < 0 {
				return b.times(least, least, again, b.any(again, next))
			}
			return b.times(least, most, again, next)
		}, next)
	}), nil
}

// numeric is an integer or a number, perhaps with bounds.
func (r *reader) numeric(name string, k *keywords) (int32, error) {
	low, high, bounded, err := k.limits(name)
	if err != nil {
		return 0, err
	}
	b := r.b
	return b.rule(func(next int32) int32 {
		switch {
		case bounded:
			return b.between(low, high, name == "number", next)
		case name == "number":
			return b.number(next)
		}
		return b.integer(next)
	}), nil
}

// limits reads the bounds of a number. Those of a number must be whole, and may not be exclusive.
func (k *keywords) limits(name string) (low, high int64, bounded bool, err error) {
	low, high = -largest, largest
	for _, of := range []struct {
		key   string
		to    *int64
		shift int64
	}{{"minimum", &low, 0}, {"maximum", &high, 0}, {"exclusiveMinimum", &low, 1}, {"exclusiveMaximum", &high, -1}} {
		v, ok := k.take(of.key)
		if !ok {
			continue
		}
		n, whole := wholeNumber(v)
		switch {
		case !whole:
			return 0, 0, false, k.bad(of.key, "%s is not supported for constrained decoding: only whole "+
				"numbers of up to %d digits are", v.Short(), maxDigits)
		case of.shift != 0 && name == "number":
			return 0, 0, false, k.bad(of.key, "is not supported for a number that may have a fraction")
		}
		bounded = true
		if n += of.shift; of.key == "minimum" || of.key == "exclusiveMinimum" {
			*of.to = max(*of.to, n)
		} else {
			*of.to = min(*of.to, n)
		}
	}
	if low > high {
		return 0, 0, false, k.bad("minimum", "no number is within %d..%d", low, high)
	}
	return low, high, bounded, nil
}

// largest is the largest integer of maxDigits digits.
const largest = 1e15 - 1

// wholeNumber is the value of an int, or of a float without fraction.
func wholeNumber(v toolcall.Value) (int64, bool) {
	switch v.Kind {
	case toolcall.Int:
		n, err := strconv.ParseInt(v.Text, 10, 64)
		return n, err == nil && n >= -largest && n <= largest
	case toolcall.Float:
		n, accuracy := new(big.Float).SetFloat64(v.Float).Int64()
		return n, accuracy == big.Exact && n >= -largest && n <= largest
	}
	return 0, false
}

// between is the integers from low to high. With fractions it is also the numbers between two of them.
func (b *builder) between(low, high int64, fractions bool, next int32) int32 {
	var forms []int32
	span := func(low, high int64, sign string, next int32) {
		if low <= high {
			forms = append(forms, b.text(sign, b.span(strconv.FormatInt(low, 10), strconv.FormatInt(high, 10), next)))
		}
	}
	span(max(low, 0), high, "", next)
	span(max(-high, 1), -low, "-", next)
	if fractions { // the digits before the point cut the fraction off, so the number lies within one of them
		point := b.bytes('.', '.', b.times(1, maxDigits, b.digit, next))
		span(max(low, 0), high-1, "", point)
		span(max(-high, 0), -low-1, "-", point)
	}
	return b.oneOf(forms...)
}

// span is the decimal numbers from low to high, which are not negative.
func (b *builder) span(low, high string, next int32) int32 {
	n := len(low)
	switch {
	case n < len(high): // split at a power of ten
		return b.oneOf(b.span(low, strings.Repeat("9", n), next), b.span("1"+strings.Repeat("0", n), high, next))
	case strings.Trim(low, "0") == "" && strings.Trim(high, "9") == "" && n > 1, n == 0:
		return b.times(n, n, b.digit, next)
	case low[0] == high[0]:
		return b.bytes(low[0], low[0], b.span(low[1:], high[1:], next))
	}
	forms := []int32{
		b.bytes(low[0], low[0], b.span(low[1:], strings.Repeat("9", n-1), next)),
		b.bytes(high[0], high[0], b.span(strings.Repeat("0", n-1), high[1:], next)),
	}
	if low[0]+1 < high[0] {
		forms = append(forms, b.bytes(low[0]+1, high[0]-1, b.times(n-1, n-1, b.digit, next)))
	}
	return b.oneOf(forms...)
}
