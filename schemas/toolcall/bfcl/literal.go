package bfcl

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"itool/schemas/toolcall"
)

// Literals of Java and JavaScript arrive as source text, without the quotes around them. The
// declared type of the parameter decides how the text is read.

// convert reads the source text of a value. Values in Python are read already.
func (lang language) convert(v toolcall.Value, param toolcall.Param) toolcall.Value {
	element := ""
	if lang.hasElements(param.Type) && param.Items != nil {
		element = param.Items.Type
	}
	switch lang {
	case java:
		return javaValue(v.Text, param.Type, element)
	case javaScript:
		return scriptValue(v.Text, param.Type, element)
	}
	return v
}

// wholeText reads an int literal that ends with one of the letters in suffix, or with none if
// suffix is "".
func wholeText(s, suffix string) (toolcall.Value, bool) {
	digits := strings.TrimRight(s, suffix)
	if suffix != "" && len(digits) != len(s)-1 || len(digits) > toolcall.MaxDigits {
		return toolcall.Value{}, false
	}
	if !allDigits(strings.TrimPrefix(digits, "-")) {
		return toolcall.Value{}, false
	}
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return toolcall.Value{}, false
	}
	return toolcall.Value{Kind: toolcall.Int, Text: n.String()}, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// guess reads a literal without a declared type: a bool, a quoted text, a number, or else a text.
func guess(s string) toolcall.Value {
	if s == "true" || s == "false" {
		return toolcall.Truth(s == "true")
	}
	if u := unquote(s); u != s {
		return toolcall.Text(u)
	}
	if v, ok := wholeText(s, ""); ok {
		return v
	}
	if decimal.MatchString(s) {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return toolcall.Number(f)
		}
	}
	return toolcall.Text(s)
}

var decimal = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$`)

// pieces splits the inside of a literal at its commas. Like BFCL, it ignores quotes.
func pieces(s string, read func(string) toolcall.Value) []toolcall.Value {
	var items []toolcall.Value
	if strings.TrimSpace(s) == "" {
		return nil
	}
	for piece := range strings.SplitSeq(s, ",") {
		items = append(items, read(strings.TrimSpace(piece)))
	}
	return items
}

// unquote removes the quotes of a text that begins and ends with the same quote.
func unquote(s string) string {
	if last := len(s) - 1; last > 0 && s[0] == s[last] && (s[0] == '"' || s[0] == '\'') {
		return s[1:last]
	}
	return s
}

// put sets a key as a Python dict does: a repeated key has its last value at its first place.
func put(pairs []toolcall.Pair, key, value toolcall.Value) []toolcall.Pair {
	for i := range pairs {
		if toolcall.PythonEqual(pairs[i].Key, key) {
			pairs[i].Value = value
			return pairs
		}
	}
	return append(pairs, toolcall.Pair{Key: key, Value: value})
}
