package python

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"

	"itool/schemas/toolcall"
)

// ParseJSON is json.loads(data): a number without point and exponent is an int, objects keep
// the order of their names, and a repeated name has its last value.
func ParseJSON(data []byte) (Value, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := parseJSON(dec, 0)
	if err != nil {
		return nil, fmt.Errorf("byte %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("byte %d: want the end", dec.InputOffset())
	}
	return v, nil
}

func parseJSON(dec *json.Decoder, depth int) (Value, error) {
	if depth > toolcall.MaxDepth {
		return nil, fmt.Errorf("want at most %d levels of nesting", toolcall.MaxDepth)
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch x := token.(type) {
	case json.Delim:
		if x == '{' {
			return parseObject(dec, depth)
		}
		list := &List{}
		for dec.More() {
			item, err := parseJSON(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list.Items = append(list.Items, item)
		}
		_, err := dec.Token()
		return list, err
	case json.Number:
		return parseNumber(string(x))
	}
	return token, nil // a text, a bool or null
}

func parseObject(dec *json.Decoder, depth int) (Value, error) {
	d := NewDict()
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		value, err := parseJSON(dec, depth+1)
		if err != nil {
			return nil, err
		}
		d.set(key, value)
	}
	_, err := dec.Token()
	return d, err
}

func parseNumber(s string) (Value, error) {
	if !strings.ContainsAny(s, ".eE") {
		if len(s) > maxDigits {
			return nil, errDigits
		}
		n, ok := new(big.Int).SetString(s, 10)
		if !ok {
			return nil, fmt.Errorf("%q is no number", s)
		}
		return n, nil
	}
	f, _ := strconv.ParseFloat(s, 64) // out of range is an infinity, as in Python
	return f, nil
}

// Of makes the value of a literal.
func Of(v toolcall.Value) Value {
	switch v.Kind {
	case toolcall.Bool:
		return v.Bool
	case toolcall.Int:
		n, _ := new(big.Int).SetString(v.Text, 10)
		return n
	case toolcall.Float:
		return v.Float
	case toolcall.String:
		return v.Text
	case toolcall.List:
		return &List{ofAll(v.Items)}
	case toolcall.Tuple:
		return &Tuple{ofAll(v.Items)}
	case toolcall.Dict:
		d := NewDict()
		for _, p := range v.Pairs {
			d.set(Of(p.Key), Of(p.Value))
		}
		return d
	case toolcall.Bytes:
		return Opaque{"bytes", v.String()}
	case toolcall.Complex:
		return imaginary(v.Text)
	}
	return nil
}

// imaginary is the value of a literal such as 2.50j, or of -2j.
func imaginary(literal string) Value {
	size, _ := strconv.ParseFloat(strings.Trim(literal, "-j"), 64)
	text := strings.TrimSuffix(FloatRepr(size), ".0") + "j"
	if strings.HasPrefix(literal, "-") {
		text = "(-0-" + text + ")"
	}
	return Opaque{"complex", text}
}

func ofAll(items []toolcall.Value) []Value {
	all := make([]Value, len(items))
	for i, item := range items {
		all[i] = Of(item)
	}
	return all
}
