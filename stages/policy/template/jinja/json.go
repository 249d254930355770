package jinja

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strings"
	"unicode/utf8"
)

const maxJSONDepth = 100

// FromJSON decodes one JSON value into values of this package and keeps what Python keeps: the
// order of keys, the difference between 1 and 1.0, integers of any size. Every string, keys
// included, goes through each; nil leaves them as they are.
func FromJSON(data []byte, each func(string) string) (any, error) {
	if each == nil {
		each = func(s string) string { return s }
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeJSON(d, each, 0)
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

func decodeJSON(d *json.Decoder, each func(string) string, depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxJSONDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return decodeObject(d, each, depth)
		}
		list := &List{}
		for d.More() {
			v, err := decodeJSON(d, each, depth+1)
			if err != nil {
				return nil, err
			}
			list.Items = append(list.Items, v)
		}
		_, err := d.Token()
		return list, err
	case json.Number:
		return decodeNumber(string(t))
	case string:
		return each(t), nil
	}
	return t, nil // bool, nil
}

func decodeObject(d *json.Decoder, each func(string) string, depth int) (any, error) {
	object := NewDict() // it keeps the first place and the last value of a key, as Python does
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := decodeJSON(d, each, depth+1)
		if err != nil {
			return nil, err
		}
		object.Set(each(key.(string)), v)
	}
	_, err := d.Token()
	return object, err
}

func decodeNumber(text string) (any, error) {
	if !strings.ContainsAny(text, ".eE") {
		i, ok := new(big.Int).SetString(text, 10)
		if !ok || len(text) > 4300 {
			return nil, fmt.Errorf("number %.20s… has too many digits", text)
		}
		return normal(i), nil
	}
	f, ok := parseFloat(text)
	if !ok || math.IsInf(f, 0) {
		return nil, fmt.Errorf("number %.20s is out of range", text)
	}
	return f, nil
}

// dump is Python's json.dumps.
type dump struct {
	x        *exec
	b        strings.Builder
	indent   string // of one level
	lines    bool   // every item on a line of its own
	item     any    // what stands between items, a text
	key      any    // what stands between a key and its value
	ascii    bool
	sortKeys bool
}

// toJSON is transformers' filter: json.dumps(x, ensure_ascii, indent, separators, sort_keys).
func toJSON(x *exec, of any, a args) any {
	b := bind("tojson", a, "ensure_ascii=", "indent=", "separators=", "sort_keys=")
	d := &dump{x: x, item: ", ", key: ": ", ascii: truth(or(b[0], false)), sortKeys: truth(or(b[3], false))}
	indent := or(b[1], nil)
	if d.lines = indent != nil; d.lines {
		d.item = ","
	}
	if s := or(b[2], nil); s != nil {
		pair := list(x, s)
		if len(pair) != 2 {
			valueError("not enough values to unpack (expected 2, got %d)", len(pair))
		}
		d.item, d.key = pair[0], pair[1]
	}
	if s, ok := text(of); ok { // Python looks at no other argument for a text
		d.string(s)
		return d.b.String()
	}
	if d.lines {
		d.indent = indentation(x, indent)
	} else {
		argText("separators", d.item)
		argText("separators", d.key)
	}
	d.value(of, 0)
	return d.b.String()
}

// indentation is a text, or a number of spaces.
func indentation(x *exec, v any) string {
	if s, ok := text(v); ok {
		return s
	}
	if u, ok := v.(*undefined); ok {
		u.fail()
	}
	n := max(count(v), 0)
	if n > maxWidth/64 {
		overLimit("indentation by %d", n)
	}
	return strings.Repeat(" ", n)
}

func (d *dump) add(s string) {
	d.x.spend(len(s))
	d.b.WriteString(s)
}

func (d *dump) value(v any, depth int) {
	if depth > maxReprDepth {
		overLimit("tojson: a value is nested deeper than %d", maxReprDepth)
	}
	switch v := v.(type) {
	case nil:
		d.add("null")
	case bool:
		d.add(map[bool]string{true: "true", false: "false"}[v])
	case int, *big.Int:
		d.add(repr(v))
	case float64:
		d.add(jsonFloat(v))
	case string:
		d.string(v)
	case markup:
		d.string(string(v))
	case *List:
		d.items("[", "]", len(v.Items), depth, func(i int) { d.value(v.Items[i], depth+1) })
	case *Tuple:
		d.items("[", "]", len(v.Items), depth, func(i int) { d.value(v.Items[i], depth+1) })
	case *Dict:
		d.object(v, depth)
	default:
		typeError("Object of type %s is not JSON serializable", typeName(v))
	}
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
	return floatText(f)
}

func (d *dump) object(v *Dict, depth int) {
	order := make([]any, v.Len())
	for i := range order {
		order[i] = i
	}
	if d.sortKeys {
		order = sorted(d.x, order, func(i any) any { return v.keys[i.(int)] }, false)
	}
	d.items("{", "}", len(order), depth, func(i int) {
		at := order[i].(int)
		switch k := v.keys[at].(type) {
		case string, markup:
			s, _ := text(k)
			d.string(s)
		case nil, bool, int, *big.Int, float64:
			key := &dump{x: d.x}
			key.value(k, 0)
			d.string(key.b.String())
		default:
			typeError("keys must be str, int, float, bool or None, not %s", typeName(k))
		}
		d.add(argText("separators", d.key))
		d.value(v.values[at], depth+1)
	})
}

func (d *dump) items(open, end string, n, depth int, one func(i int)) {
	d.add(open)
	if d.lines && n > 0 {
		argText("separators", d.item)
	}
	for i := range n {
		if i > 0 {
			d.add(argText("separators", d.item))
		}
		d.line(depth + 1)
		one(i)
	}
	if n > 0 {
		d.line(depth)
	}
	d.add(end)
}

func (d *dump) line(depth int) {
	if d.lines {
		d.add("\n" + strings.Repeat(d.indent, depth))
	}
}

var jsonEscapes = map[rune]string{
	'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`,
}

func (d *dump) string(s string) {
	d.x.spend(len(s) + 2)
	d.b.WriteByte('"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		escape, ok := jsonEscapes[r]
		switch {
		case ok:
			d.b.WriteString(escape)
		case r < ' ' || d.ascii && r >= 0x7f && r < 0x10000:
			fmt.Fprintf(&d.b, `\u%04x`, r)
		case d.ascii && r >= 0x10000:
			fmt.Fprintf(&d.b, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			d.b.WriteString(s[i : i+n])
		}
		i += n
	}
	d.b.WriteByte('"')
}
