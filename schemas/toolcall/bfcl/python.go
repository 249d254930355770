package bfcl

import (
	"regexp"
	"strings"
	"unicode"
)

// Python's numbers and regular expressions know the digits, blanks and letters of all scripts; Go's packages know those
// of ASCII.

// pattern compiles an expression whose \s and \w mean what they mean in Python.
func pattern(expression string) *regexp.Regexp {
	return regexp.MustCompile(strings.NewReplacer(
		`\s`, `[\t-\r\x{1c}-\x20\x{85}\p{Z}]`, `\w`, `[\p{L}\p{N}_]`).Replace(expression))
}

// isSpace reports what Python's str.strip removes.
func isSpace(r rune) bool { return r >= 0x1c && r <= 0x1f || unicode.IsSpace(r) }

// plainDigits writes the decimal digits of all scripts as 0 to 9.
func plainDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= unicode.MaxASCII || !unicode.Is(unicode.Nd, r) || inUnicode15(r) {
			return r
		}
		zero := r
		for unicode.Is(unicode.Nd, zero-1) {
			zero--
		}
		return '0' + (r-zero)%10 // each script has its ten in a row
	}, s)
}

// inUnicode15 reports the digits that Python 3.11, with Unicode 14, does not know: Kawi's and Nag Mundari's.
func inUnicode15(r rune) bool { return r >= 0x11F50 && r <= 0x11F59 || r >= 0x1E4F0 && r <= 0x1E4F9 }
