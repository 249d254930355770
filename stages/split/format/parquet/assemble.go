package parquet

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"
)

// ValueError is a value that cannot be written as JSON.
type ValueError struct {
	Column string
	What   string
}

func (e *ValueError) Error() string { return fmt.Sprintf("column %s: %s", e.Column, e.What) }

var errLevels = errors.New("the Parquet file: its columns do not agree on the number of values: it is damaged")

// writer writes one row. Every node gets the entries of its leaves that belong to one value
// of it, at least one per leaf.
type writer struct {
	out  []byte
	most int
}

// object writes a group.
func (w *writer) object(n *node, in [][]entry) error {
	w.out = append(w.out, '{')
	for i, child := range n.children {
		if i > 0 {
			w.out = append(w.out, ',', ' ')
		}
		w.out = append(appendText(w.out, []byte(child.name)), ':', ' ')
		at := len(w.out)
		err := w.child(child, in[child.lo-n.lo:child.hi-n.lo])
		if value := (*ValueError)(nil); child.silent && errors.As(err, &value) {
			w.out, err = append(w.out[:at], "null"...), nil
		}
		if err != nil {
			return err
		}
	}
	w.out = append(w.out, '}')
	return nil
}

// child writes a node that may be absent or repeated.
func (w *writer) child(n *node, in [][]entry) error {
	switch {
	case n.repeated:
		return w.array(n, n, in)
	case n.optional && in[0][0].def < n.def:
		w.out = append(w.out, "null"...)
		return nil
	}
	return w.present(n, in)
}

// present writes a value that is there.
func (w *writer) present(n *node, in [][]entry) error {
	if len(w.out) > w.most {
		return ErrTooLong
	}
	switch {
	case n.list:
		return w.array(n.children[0], element(n), in)
	case n.mapped:
		return w.mapping(n.children[0], in)
	case n.children != nil:
		return w.object(n, in)
	}
	if len(in[0]) != 1 {
		return errLevels
	}
	return w.value(n, &in[0][0])
}

// element finds what a list holds. In the usual form the repeated group only wraps it; older
// writers repeat the element itself (LogicalTypes.md, "Backward-compatibility rules").
func element(list *node) *node {
	repeated := list.children[0]
	if len(repeated.children) != 1 || repeated.name == "array" || repeated.name == list.name+"_tuple" {
		return repeated
	}
	return repeated.children[0]
}

// array writes the elements of a repeated node.
func (w *writer) array(repeated, element *node, in [][]entry) error {
	w.out = append(w.out, '[')
	err := w.each(repeated, in, func(i int, one [][]entry) error {
		if i > 0 {
			w.out = append(w.out, ',', ' ')
		}
		if element == repeated {
			return w.present(element, one)
		}
		return w.child(element, one)
	})
	w.out = append(w.out, ']')
	return err
}

// mapping writes a map as an object. A key that is no text is written as one.
func (w *writer) mapping(pairs *node, in [][]entry) error {
	key, value := pairs.children[0], pairs.children[1]
	w.out = append(w.out, '{')
	err := w.each(pairs, in, func(i int, one [][]entry) error {
		if i > 0 {
			w.out = append(w.out, ',', ' ')
		}
		from := len(w.out)
		if err := w.child(key, one[:key.hi-key.lo]); err != nil {
			return err
		}
		if w.out[from] != '"' {
			w.out = appendText(w.out[:from], []byte(string(w.out[from:])))
		}
		w.out = append(w.out, ':', ' ')
		return w.child(value, one[key.hi-key.lo:])
	})
	w.out = append(w.out, '}')
	return err
}

// each calls f with the entries of each repetition of n.
func (w *writer) each(n *node, in [][]entry, f func(i int, one [][]entry) error) error {
	if in[0][0].def < n.def {
		return nil // none
	}
	rest := append([][]entry(nil), in...)
	one := make([][]entry, len(in))
	for i := 0; len(rest[0]) > 0; i++ {
		for c := range rest {
			end := 1
			for end < len(rest[c]) && rest[c][end].rep > n.rep {
				end++
			}
			if len(rest[c]) == 0 {
				return errLevels
			}
			one[c], rest[c] = rest[c][:end], rest[c][end:]
		}
		if err := f(i, one); err != nil {
			return err
		}
	}
	for _, r := range rest {
		if len(r) > 0 {
			return errLevels
		}
	}
	return nil
}

// value writes a leaf.
func (w *writer) value(n *node, e *entry) error {
	if e.def < n.def {
		return errLevels
	}
	fail := func(what string) error { return &ValueError{Column: n.path, What: what} }
	switch {
	case n.as == asTime && n.nested: // pyarrow makes times of texts that look like one
		return fail("a date or time, and no text: what it was written as cannot be told; write the column as text")
	case n.as == asText:
		if !utf8.Valid(e.bytes) {
			return fail("a text that is no UTF-8")
		}
		if len(w.out)+len(e.bytes) > w.most {
			return ErrTooLong
		}
		w.out = appendText(w.out, e.bytes)
	case n.as == asUUID:
		h := hex.EncodeToString(e.bytes)
		w.out = fmt.Appendf(w.out, `"%s-%s-%s-%s-%s"`, h[:8], h[8:12], h[12:16], h[16:20], h[20:])
	case n.as == asDecimal:
		if len(e.bytes) > 100 {
			return fail("a decimal of more than 100 bytes")
		}
		w.out = append(w.out, decimal(n, e)...)
	case n.typ == boolean:
		w.out = strconv.AppendBool(w.out, e.num == 1)
	case n.typ == int32s && n.as == asUnsigned:
		w.out = strconv.AppendUint(w.out, uint64(uint32(e.num)), 10)
	case n.typ == int32s:
		w.out = strconv.AppendInt(w.out, int64(int32(e.num)), 10)
	case n.as == asUnsigned:
		w.out = strconv.AppendUint(w.out, e.num, 10)
	case n.typ == int64s:
		w.out = strconv.AppendInt(w.out, int64(e.num), 10)
	default:
		f, size := float64(math.Float32frombits(uint32(e.num))), 32
		if n.typ == doubles {
			f, size = math.Float64frombits(e.num), 64
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return fail(fmt.Sprintf("%v is no number in JSON", f))
		}
		if f == math.Trunc(f) && math.Abs(f) < 1e15 {
			w.out = strconv.AppendFloat(w.out, f, 'f', 1, size) // 3 was a float and stays one: 3.0
		} else {
			w.out = strconv.AppendFloat(w.out, f, 'g', -1, size)
		}
	}
	return nil
}

// decimal writes an unscaled number, two's complement, with the point where the scale wants it.
func decimal(n *node, e *entry) string {
	var x big.Int
	switch n.typ {
	case int32s:
		x.SetInt64(int64(int32(e.num)))
	case int64s:
		x.SetInt64(int64(e.num))
	default:
		x.SetBytes(e.bytes)
		if len(e.bytes) > 0 && e.bytes[0] >= 0x80 {
			x.Sub(&x, new(big.Int).Lsh(big.NewInt(1), uint(8*len(e.bytes))))
		}
	}
	sign, digits := "", x.String()
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	if n.scale == 0 {
		return sign + digits
	}
	for len(digits) <= n.scale {
		digits = "0" + digits
	}
	return sign + digits[:len(digits)-n.scale] + "." + digits[len(digits)-n.scale:]
}

// appendText writes a JSON string. The text must be UTF-8.
func appendText(out, text []byte) []byte {
	const digits = "0123456789abcdef"
	out = append(out, '"')
	for _, b := range text {
		switch {
		case b == '"' || b == '\\':
			out = append(out, '\\', b)
		case b == '\n':
			out = append(out, '\\', 'n')
		case b == '\t':
			out = append(out, '\\', 't')
		case b == '\r':
			out = append(out, '\\', 'r')
		case b < ' ':
			out = append(out, '\\', 'u', '0', '0', digits[b>>4], digits[b&15])
		default:
			out = append(out, b)
		}
	}
	return append(out, '"')
}
