package toolcall

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
)

// FromJSON reads one JSON value. It keeps the order of object keys and the difference between
// 10 and 10.0, which encoding/json loses. A repeated key has its last value. Half of a
// surrogate pair, which encoding/json replaces by another character, is an error.
func FromJSON(raw []byte) (Value, error) {
	if at := LoneSurrogate(raw); at >= 0 {
		return Value{}, fmt.Errorf("toolcall: json: byte %d: half of a surrogate pair is no character", at)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	v, err := fromJSON(dec, 0)
	if err != nil {
		return v, fmt.Errorf("toolcall: json: byte %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return v, fmt.Errorf("toolcall: json: byte %d: more than one value", dec.InputOffset())
	}
	return v, nil
}

func fromJSON(dec *json.Decoder, depth int) (Value, error) {
	token, err := dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return Value{}, err
	}
	if depth > MaxDepth {
		return Value{}, errors.New("more than 200 levels of nesting")
	}
	switch t := token.(type) {
	case bool:
		return Truth(t), nil
	case string:
		return Text(t), nil
	case json.Number:
		return jsonNumber(t.String())
	case json.Delim:
		if t == '[' {
			return jsonArray(dec, depth)
		}
		return jsonObject(dec, depth)
	}
	return Value{}, nil
}

// jsonNumber reads an int if the number has neither point nor exponent, as Python does.
func jsonNumber(s string) (Value, error) {
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(s, 64)
		return Number(f), err
	}
	n, ok := new(big.Int), false
	if len(s) <= MaxDigits {
		n, ok = n.SetString(s, 10)
	}
	if !ok {
		return Value{}, fmt.Errorf("an int of more than %d digits", MaxDigits)
	}
	return Value{Kind: Int, Text: n.String()}, nil
}

func jsonArray(dec *json.Decoder, depth int) (Value, error) {
	list := Value{Kind: List}
	for dec.More() {
		item, err := fromJSON(dec, depth+1)
		if err != nil {
			return list, err
		}
		list.Items = append(list.Items, item)
	}
	_, err := dec.Token()
	return list, err
}

func jsonObject(dec *json.Decoder, depth int) (Value, error) {
	dict := Value{Kind: Dict}
	at := map[string]int{}
	for dec.More() {
		key, err := fromJSON(dec, depth+1)
		if err != nil {
			return dict, err
		}
		value, err := fromJSON(dec, depth+1)
		if err != nil {
			return dict, err
		}
		if i, given := at[key.Text]; given {
			dict.Pairs[i].Value = value
			continue
		}
		at[key.Text] = len(dict.Pairs)
		dict.Pairs = append(dict.Pairs, Pair{key, value})
	}
	_, err := dec.Token()
	return dict, err
}

// RepeatedKey returns a key that stands twice in one object of a JSON text, at any depth; "":
// there is none, or the text is no JSON.
func RepeatedKey(raw []byte) string {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var open []map[string]bool // of the objects that are open; nil for a list
	key := true                // within an object the next text is a key
	for {
		token, err := dec.Token()
		if err != nil {
			return ""
		}
		last := len(open) - 1
		switch t := token.(type) {
		case json.Delim:
			if t == '}' || t == ']' {
				open, key = open[:last], true
				continue
			}
			var seen map[string]bool
			if t == '{' {
				seen = map[string]bool{}
			}
			open, key = append(open, seen), true
			continue
		case string:
			if key && last >= 0 && open[last] != nil {
				if open[last][t] {
					return t
				}
				open[last][t], key = true, false
				continue
			}
		}
		key = true
	}
}

// LoneSurrogate returns the place of the first escape in a JSON text that is half of a
// surrogate pair, such as \ud83d without \ude00 behind it; −1: there is none.
func LoneSurrogate(raw []byte) int {
	for i := 0; i < len(raw); i++ {
		next := bytes.IndexByte(raw[i:], '\\')
		if next < 0 {
			return -1
		}
		i += next
		r, escaped := unit16(raw[i:])
		switch {
		case !escaped:
			i++ // the escaped character, which may be a backslash
		case r >= 0xD800 && r < 0xDC00:
			if low, ok := unit16(raw[i+6:]); !ok || low < 0xDC00 || low > 0xDFFF {
				return i
			}
			i += 11
		case r >= 0xDC00 && r <= 0xDFFF:
			return i
		}
	}
	return -1
}

// unit16 reads an escape \uXXXX at the beginning of s.
func unit16(s []byte) (uint64, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[2:6]), 16, 32)
	return n, err == nil
}

// JSON writes the value as Python's json.dumps does: a tuple becomes a list.
func (v Value) JSON() string {
	var b strings.Builder
	jsonTo(&b, v)
	return b.String()
}
