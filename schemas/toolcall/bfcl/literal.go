package bfcl

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

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
	s = plainDigits(s)
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

var (
	pythonInt   = regexp.MustCompile(`^[+-]?\d+(_\d+)*$`)
	pythonFloat = regexp.MustCompile(
		`(?i)^[+-]?(inf(inity)?|nan|(\d+(_\d+)*\.?|(\d+(_\d+)*)?\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?)$`)
)

// number reads a text as Python's int does, else as its float does, else as the text that it is.
func number(s string) toolcall.Value {
	written := plainDigits(strip(s))
	plain := strings.ReplaceAll(written, "_", "")
	if pythonInt.MatchString(written) && len(plain) <= toolcall.MaxDigits {
		n, _ := new(big.Int).SetString(strings.TrimPrefix(plain, "+"), 10)
		return toolcall.Value{Kind: toolcall.Int, Text: n.String()}
	}
	if pythonFloat.MatchString(written) {
		f, _ := strconv.ParseFloat(plain, 64) // out of range is an infinity, as in Python
		return toolcall.Number(f)
	}
	return toolcall.Text(s)
}

// quotedBy reports whether s begins and ends with the quote, which may be the same character.
func quotedBy(s, quote string) bool {
	return strings.HasPrefix(s, quote) && strings.HasSuffix(s, quote)
}

// shave is Python's s[1:-1].
func shave(s string) string {
	if utf8.RuneCountInString(s) < 2 {
		return ""
	}
	_, first := utf8.DecodeRuneInString(s)
	_, last := utf8.DecodeLastRuneInString(s)
	return s[first : len(s)-last]
}

// pieces splits the inside of a literal at its commas. Like BFCL, it ignores quotes.
func pieces(s string, read func(string) toolcall.Value) []toolcall.Value {
	items := []toolcall.Value{}
	for piece := range strings.SplitSeq(s, ",") {
		items = append(items, read(strings.TrimFunc(piece, isSpace)))
	}
	return items
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
