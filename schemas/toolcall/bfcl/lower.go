package bfcl

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// lower is Python's str.lower. Go's differs in two letters: İ, which becomes two characters, and Σ, which at the end of
// a word becomes ς.
func lower(s string) string {
	if !utf8.ValidString(s) {
		return s // half of a surrogate pair, see toolcall.DecodeEdition: equal to no possible answer
	}
	if !strings.ContainsAny(s, "İΣ") {
		return strings.ToLower(s)
	}
	runes := []rune(s)
	var b strings.Builder
	for i, r := range runes {
		switch {
		case r == 'İ':
			b.WriteString("i\u0307")
		case r == 'Σ' && endsWord(runes, i):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// endsWord reports whether a letter stands before runes[i] and none behind it, apart from characters that have no case.
func endsWord(runes []rune, i int) bool {
	before, after := i-1, i+1
	for before >= 0 && caseless(runes[before]) {
		before--
	}
	for after < len(runes) && caseless(runes[after]) {
		after++
	}
	return before >= 0 && cased(runes[before]) && (after == len(runes) || !cased(runes[after]))
}

func cased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Uppercase, unicode.Other_Lowercase)
}

// caseless characters are passed over when the end of a word is looked for (Unicode: Case_Ignorable).
func caseless(r rune) bool {
	const marks = "'.:^`\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a"
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) || strings.ContainsRune(marks, r)
}
