package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nikolalohinski/gonja/v2/exec"
)

const maxDepth = 100 // of nested JSON

// decode reads one JSON value and keeps what Python keeps: the order of keys, and
// the difference between 1 and 1.0. Every string, keys included, goes through
// content.
func decode(data []byte, content func(string) string) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d, content, 0)
	if errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

func decodeValue(d *json.Decoder, content func(string) string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			list := []any{}
			for d.More() {
				v, err := decodeValue(d, content, depth+1)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := d.Token()
			return list, err
		}
		return decodeObject(d, content, depth)
	case json.Number:
		return number(string(t))
	case string:
		return content(t), nil
	}
	return t, nil // bool, nil
}

func decodeObject(d *json.Decoder, content func(string) string, depth int) (any, error) {
	object := exec.NewDict()
	at := map[string]int{} // Python keeps the first place and the last value of a key
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := decodeValue(d, content, depth+1)
		if err != nil {
			return nil, err
		}
		name := content(key.(string))
		pair := &exec.Pair{Key: exec.AsValue(name), Value: exec.AsValue(v)}
		if i, twice := at[name]; twice {
			object.Pairs[i] = pair
			continue
		}
		at[name] = len(object.Pairs)
		object.Pairs = append(object.Pairs, pair)
	}
	_, err := d.Token()
	return object, err
}

func number(text string) (any, error) {
	if !strings.ContainsAny(text, ".eE") {
		if i, err := strconv.Atoi(text); err == nil {
			return i, nil
		}
		return json.Number(text), nil // Python's integers have no end; print it as it is
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("number %s is out of range", text)
	}
	return f, nil
}

// dumps writes v as Python's json.dumps(v, ensure_ascii=False, indent=indent)
// does; indent < 0 means None.
func dumps(b *strings.Builder, v any, indent, depth int, sortKeys bool) error {
	if depth > maxDepth {
		return fmt.Errorf("tojson: nested deeper than %d", maxDepth)
	}
	if b.Len() > maxOutput {
		return errTooLarge
	}
	switch v := v.(type) {
	case *exec.Value:
		if v.IsNil() {
			b.WriteString("null")
			return nil
		}
		return dumps(b, v.Interface(), indent, depth, sortKeys)
	case exec.Dict:
		return dumpDict(b, &v, indent, depth, sortKeys)
	case *exec.Dict:
		return dumpDict(b, v, indent, depth, sortKeys)
	case string:
		dumpString(b, v)
	case json.Number:
		b.WriteString(v.String())
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int:
		b.WriteString(strconv.Itoa(v))
	case float64:
		b.WriteString(pythonFloat(v))
	default:
		return dumpReflected(b, reflect.ValueOf(v), indent, depth, sortKeys)
	}
	return nil
}

// dumpReflected takes what templates make themselves: lists and namespaces.
func dumpReflected(b *strings.Builder, v reflect.Value, indent, depth int, sortKeys bool) error {
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		return dumpAll(b, '[', ']', v.Len(), indent, depth, func(i int) error {
			return dumps(b, v.Index(i).Interface(), indent, depth+1, sortKeys)
		})
	case reflect.Map:
		d := exec.NewDict()
		for _, k := range v.MapKeys() {
			d.Pairs = append(d.Pairs, &exec.Pair{Key: exec.AsValue(k.Interface()),
				Value: exec.AsValue(v.MapIndex(k).Interface())})
		}
		return dumpDict(b, d, indent, depth, true) // Go's maps have no order of their own
	}
	return fmt.Errorf("tojson: %s is not JSON", v.Type())
}

func dumpDict(b *strings.Builder, d *exec.Dict, indent, depth int, sortKeys bool) error {
	pairs := d.Pairs
	if sortKeys {
		pairs = slices.Clone(pairs)
		slices.SortStableFunc(pairs, func(x, y *exec.Pair) int {
			return strings.Compare(x.Key.String(), y.Key.String())
		})
	}
	return dumpAll(b, '{', '}', len(pairs), indent, depth, func(i int) error {
		dumpString(b, pairs[i].Key.String())
		b.WriteString(": ")
		return dumps(b, pairs[i].Value, indent, depth+1, sortKeys)
	})
}

func dumpAll(b *strings.Builder, open, end byte, n, indent, depth int, one func(i int) error) error {
	line := func(depth int) {
		if indent >= 0 && n > 0 {
			b.WriteByte('\n')
			for range indent * depth {
				b.WriteByte(' ')
			}
		}
	}
	b.WriteByte(open)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
			if indent < 0 {
				b.WriteByte(' ')
			}
		}
		line(depth + 1)
		if err := one(i); err != nil {
			return err
		}
	}
	line(depth)
	b.WriteByte(end)
	return nil
}

// dumpString differs from Go's encoder, which escapes <, >, &, U+007F and U+2028.
func dumpString(b *strings.Builder, s string) {
	const hex = "0123456789abcdef"
	b.WriteByte('"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteByte(byte(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r < ' ':
			b.WriteString(`\u00`)
			b.WriteByte(hex[r>>4])
			b.WriteByte(hex[r&15])
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	b.WriteByte('"')
}

// pythonFloat writes f as Python's repr: shortest, always with a point or an
// exponent, exponents below −4 and from 16.
func pythonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64) // two digits of exponent, as in Python
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
