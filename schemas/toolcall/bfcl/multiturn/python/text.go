package python

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"itool/schemas/toolcall"
)

// maxDigits is the most digits that Python converts an int into.
const maxDigits = 4300

var errDigits = &Error{"ValueError", "Exceeds the limit (4300 digits) for integer string conversion; " +
	"use sys.set_int_max_str_digits() to increase the limit"}

var errLarge = &Error{"MemoryError", "the text is too long"}

// Repr is repr(v).
func Repr(v Value) (string, error) {
	w := writer{}
	err := w.repr(v, 0)
	return w.String(), err
}

// Str is str(v): repr(v) but for a text, which stays.
func Str(v Value) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	return Repr(v)
}

// FloatRepr is repr(f).
func FloatRepr(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	return toolcall.Number(f).String()
}

type writer struct{ strings.Builder }

func (w *writer) put(s string) error {
	if w.Len()+len(s) > MaxBytes {
		return errLarge
	}
	w.WriteString(s)
	return nil
}

func (w *writer) repr(v Value, depth int) error {
	if depth > maxDepth {
		return errLimit
	}
	switch x := v.(type) {
	case nil:
		return w.put("None")
	case bool:
		if x {
			return w.put("True")
		}
		return w.put("False")
	case *big.Int:
		return w.integer(x)
	case float64:
		return w.put(FloatRepr(x))
	case string:
		return w.put(toolcall.Text(x).String())
	case Opaque:
		return w.put(x.Text)
	case *List:
		return w.items("[", x.Items, "]", depth)
	case *Tuple:
		if len(x.Items) == 1 {
			return w.items("(", x.Items, ",)", depth)
		}
		return w.items("(", x.Items, ")", depth)
	case *Set:
		if x.Len() == 0 {
			return w.put("set()")
		}
		return w.items("{", x.Items(), "}", depth)
	case *Dict:
		return w.dict(x, depth)
	}
	return &Error{"TypeError", "no value of Python"}
}

// integer refuses what Python refuses, before it is converted: that takes quadratic time.
func (w *writer) integer(n *big.Int) error {
	if n.BitLen() > maxDigits*10/3 {
		return errDigits
	}
	s := n.String()
	if len(strings.TrimPrefix(s, "-")) > maxDigits {
		return errDigits
	}
	return w.put(s)
}

func (w *writer) items(opening string, items []Value, closing string, depth int) error {
	if err := w.put(opening); err != nil {
		return err
	}
	for i, item := range items {
		if i > 0 {
			w.WriteString(", ")
		}
		if err := w.repr(item, depth+1); err != nil {
			return err
		}
	}
	return w.put(closing)
}

func (w *writer) dict(d *Dict, depth int) error {
	w.WriteByte('{')
	for i, key := range d.Keys() {
		if i > 0 {
			w.WriteString(", ")
		}
		if err := w.repr(key, depth+1); err != nil {
			return err
		}
		w.WriteString(": ")
		value, _ := d.Get(key)
		if err := w.repr(value, depth+1); err != nil {
			return err
		}
	}
	return w.put("}")
}

// JSON is json.dumps(v) with Python's defaults. A value that JSON does not have, such as a
// set, is a TypeError.
func JSON(v Value) (string, error) {
	w := writer{}
	err := w.json(v, 0)
	return w.String(), err
}

func (w *writer) json(v Value, depth int) error {
	if depth > maxDepth {
		return &Error{"ValueError", "Circular reference detected"}
	}
	switch x := v.(type) {
	case nil:
		return w.put("null")
	case bool:
		return w.put(strconv.FormatBool(x))
	case *big.Int:
		return w.integer(x)
	case float64:
		return w.put(jsonFloat(x))
	case string:
		return w.text(x)
	case *List:
		return w.array(x.Items, depth)
	case *Tuple:
		return w.array(x.Items, depth)
	case *Dict:
		return w.object(x, depth)
	}
	return &Error{"TypeError", "Object of type " + TypeName(v) + " is not JSON serializable"}
}

func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return FloatRepr(f)
}

func (w *writer) array(items []Value, depth int) error {
	w.WriteByte('[')
	for i, item := range items {
		if i > 0 {
			w.WriteString(", ")
		}
		if err := w.json(item, depth+1); err != nil {
			return err
		}
	}
	return w.put("]")
}

func (w *writer) object(d *Dict, depth int) error {
	w.WriteByte('{')
	for i, key := range d.Keys() {
		if i > 0 {
			w.WriteString(", ")
		}
		name, err := jsonKey(key)
		if err != nil {
			return err
		}
		if err := w.text(name); err != nil {
			return err
		}
		w.WriteString(": ")
		value, _ := d.Get(key)
		if err := w.json(value, depth+1); err != nil {
			return err
		}
	}
	return w.put("}")
}

func jsonKey(key Value) (string, error) {
	switch x := key.(type) {
	case string:
		return x, nil
	case float64:
		return jsonFloat(x), nil
	case nil, bool, *big.Int:
		w := writer{}
		err := w.json(x, 0)
		return w.String(), err
	}
	return "", &Error{"TypeError", "keys must be str, int, float, bool or None, not " + TypeName(key)}
}

const hexDigits = "0123456789abcdef"

// text writes a string in ASCII: other characters become \uXXXX.
func (w *writer) text(s string) error {
	if w.Len()+len(s) > MaxBytes {
		return errLarge
	}
	w.WriteByte('"')
	for i, r := range s {
		switch {
		case r == utf8.RuneError && s[i] == 0xED && i+2 < len(s): // half of a surrogate pair
			w.unit(0xD000 | rune(s[i+1]&0x3F)<<6 | rune(s[i+2]&0x3F))
		case r == utf8.RuneError && s[i]&0xC0 == 0x80: // its other bytes
		case r == '"' || r == '\\':
			w.WriteByte('\\')
			w.WriteRune(r)
		case r >= ' ' && r < 0x7f:
			w.WriteRune(r)
		case r == '\n':
			w.WriteString(`\n`)
		case r == '\r':
			w.WriteString(`\r`)
		case r == '\t':
			w.WriteString(`\t`)
		case r == '\b':
			w.WriteString(`\b`)
		case r == '\f':
			w.WriteString(`\f`)
		case r == 0x7f:
			w.WriteRune(r)
		default:
			w.escape(r)
		}
	}
	return w.put(`"`)
}

func (w *writer) escape(r rune) {
	if high, low := utf16.EncodeRune(r); high != '\uFFFD' {
		w.unit(high)
		w.unit(low)
		return
	}
	w.unit(r)
}

func (w *writer) unit(r rune) {
	w.WriteString(`\u`)
	for shift := 12; shift >= 0; shift -= 4 {
		w.WriteByte(hexDigits[r>>shift&15])
	}
}
