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
// 10 and 10.0, which encoding/json loses. A repeated key has its last value.
func FromJSON(raw []byte) (Value, error) {
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
