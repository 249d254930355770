package jinja

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// toFloat is Python's float(v).
func toFloat(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case bool, int, *big.Int:
		i, _ := integer(v)
		return intToFloat(i)
	case string, markup:
		s, _ := text(v)
		if f, ok := parseFloat(s); ok {
			return f
		}
		valueError("could not convert string to float: %s", repr(s))
	case bytesValue:
		unsupported("a float of bytes")
	case *undefined:
		v.fail()
	}
	typeError("float() argument must be a string or a real number, not '%s'", typeName(v))
	return 0
}

// intToFloat rounds to the nearest, ties to even.
func intToFloat(i *big.Int) float64 {
	f, _ := new(big.Float).SetInt(i).Float64()
	if math.IsInf(f, 0) {
		raise("OverflowError", "int too large to convert to float")
	}
	return f
}

// parseFloat reads what Python's float() reads in a text.
func parseFloat(s string) (float64, bool) {
	s = asciiDigits(strings.TrimFunc(s, isSpace))
	switch word := strings.ToLower(s); strings.TrimPrefix(strings.TrimPrefix(word, "-"), "+") {
	case "nan":
		return math.NaN(), len(word) < 5
	case "inf", "infinity":
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil
	}
	for i := range len(s) {
		c := s[i]
		if c == '_' && (i == 0 || i == len(s)-1 || !isDecimal(s[i-1]) || !isDecimal(s[i+1])) {
			return 0, false
		}
		if !isDecimal(c) && !strings.ContainsRune("+-._eE", rune(c)) {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	if err != nil && !math.IsInf(f, 0) { // Python reads 1e999 as infinity
		return 0, false
	}
	return f, true
}

// asciiDigits writes the decimal digits of all scripts as Python's int() and float() read them.
func asciiDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if d, ok := digitValue(r); ok {
			return '0' + rune(d)
		}
		return r
	}, s)
}

// toInt is Python's int(v).
func toInt(v any) *big.Int {
	switch v := v.(type) {
	case float64:
		switch {
		case math.IsNaN(v):
			valueError("cannot convert float NaN to integer")
		case math.IsInf(v, 0):
			raise("OverflowError", "cannot convert float infinity to integer")
		}
		i, _ := big.NewFloat(v).Int(nil)
		return i
	case string, markup:
		s, _ := text(v)
		return parseInt(s, 10)
	case bytesValue:
		unsupported("an integer of bytes")
	case *undefined:
		v.fail()
	}
	i, ok := integer(v)
	if !ok {
		typeError("int() argument must be a string, a bytes-like object or a real number, not '%s'", typeName(v))
	}
	return i
}

// parseInt reads what Python's int(s, base) reads.
func parseInt(s string, base int) *big.Int {
	if base != 0 && (base < 2 || base > 36) {
		valueError("int() base must be >= 2 and <= 36, or 0")
	}
	bad := func() { valueError("invalid literal for int() with base %d: %s", base, repr(s)) }
	t := asciiDigits(strings.TrimFunc(s, isSpace))
	sign := ""
	if t != "" && (t[0] == '+' || t[0] == '-') {
		sign, t = t[:1], t[1:]
	}
	if len(t) > 1 && t[0] == '0' {
		prefix := map[byte]int{'b': 2, 'o': 8, 'x': 16}[t[1]|0x20]
		switch {
		case prefix != 0 && (base == prefix || base == 0):
			base, t = prefix, strings.TrimPrefix(t[2:], "_")
		case base == 0 && strings.Trim(t, "0_") != "":
			bad()
		}
	}
	if base == 0 {
		base = 10
	}
	if t == "" || t[0] == '_' || t[len(t)-1] == '_' || strings.Contains(t, "__") || strings.ContainsAny(t, "+-") {
		bad()
	}
	t = strings.ReplaceAll(t, "_", "")
	if base&(base-1) != 0 && len(t) > maxDigits {
		valueError("Exceeds the limit (%d digits) for integer string conversion", maxDigits)
	}
	i, ok := new(big.Int).SetString(sign+t, base)
	if !ok {
		bad()
	}
	return i
}
