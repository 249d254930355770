package jinja

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// Python maps case by Unicode's full tables, "ß" to "SS", and lowers "Σ" by its place in a word.

func upper(s string) string {
	if isASCII(s) {
		return strings.ToUpper(s)
	}
	return cases.Upper(language.Und).String(s)
}

func lower(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	if !strings.ContainsRune(s, 'Σ') {
		return cases.Lower(language.Und).String(s)
	}
	runes := []rune(s)
	var b strings.Builder
	for i := range runes {
		b.WriteString(lowerAt(runes, i))
	}
	return b.String()
}

// casefold leaves capital Cherokee letters, to which the small ones fold.
func casefold(s string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexFunc(s, isCherokee)
		if i < 0 {
			i = len(s)
		}
		b.WriteString(cases.Fold().String(s[:i]))
		s = s[i:]
		rest := strings.TrimLeftFunc(s, isCherokee)
		b.WriteString(s[:len(s)-len(rest)])
		s = rest
	}
	return b.String()
}

func isCherokee(r rune) bool { return r >= 0x13a0 && r <= 0x13f5 }

// lowerAt is the lower case of one character of a text.
func lowerAt(runes []rune, i int) string {
	if runes[i] < 0x80 {
		return string(unicode.ToLower(runes[i]))
	}
	if runes[i] == 'Σ' {
		if finalSigma(runes, i) {
			return "ς"
		}
		return "σ"
	}
	return cases.Lower(language.Und).String(string(runes[i]))
}

// finalSigma: a cased letter stands before and none behind, what case ignores passed over.
func finalSigma(runes []rune, at int) bool {
	before := at - 1
	for before >= 0 && caseIgnored(runes[before]) {
		before--
	}
	if before < 0 || !cased(runes[before]) {
		return false
	}
	behind := at + 1
	for behind < len(runes) && caseIgnored(runes[behind]) {
		behind++
	}
	return behind == len(runes) || !cased(runes[behind])
}

func cased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Lowercase, unicode.Other_Uppercase)
}

func caseIgnored(r rune) bool {
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) ||
		strings.ContainsRune("'.:\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027"+
			"\ufe13\ufe52\ufe55\uff07\uff0e\uff1a", r)
}

func isLowerRune(r rune) bool { return unicode.In(r, unicode.Ll, unicode.Other_Lowercase) }
func isUpperRune(r rune) bool { return unicode.In(r, unicode.Lu, unicode.Other_Uppercase) }

func isLower(s string) bool {
	return strings.IndexFunc(s, isLowerRune) >= 0 &&
		strings.IndexFunc(s, func(r rune) bool { return isUpperRune(r) || unicode.IsTitle(r) }) < 0
}

func isUpper(s string) bool {
	return strings.IndexFunc(s, isUpperRune) >= 0 &&
		strings.IndexFunc(s, func(r rune) bool { return isLowerRune(r) || unicode.IsTitle(r) }) < 0
}

func isTitle(s string) bool {
	found, inWord := false, false
	for _, r := range s {
		switch {
		case isUpperRune(r) || unicode.IsTitle(r):
			if inWord {
				return false
			}
			found, inWord = true, true
		case isLowerRune(r):
			if !inWord {
				return false
			}
			found = true
		default:
			inWord = false
		}
	}
	return found
}

func titleRune(r rune) string {
	if r < 0x80 {
		return string(unicode.ToUpper(r))
	}
	return cases.Title(language.Und, cases.NoLower).String(string(r))
}

func capitalize(s string) string {
	runes := []rune(s)
	var b strings.Builder
	for i := range runes {
		if i == 0 {
			b.WriteString(titleRune(runes[0]))
			continue
		}
		b.WriteString(lowerAt(runes, i))
	}
	return b.String()
}

// title is str.title: a letter behind a letter is lower case.
func title(s string) string {
	runes := []rune(s)
	var b strings.Builder
	inWord := false
	for i, r := range runes {
		if inWord {
			b.WriteString(lowerAt(runes, i))
		} else {
			b.WriteString(titleRune(r))
		}
		inWord = cased(r)
	}
	return b.String()
}

func swapCase(s string) string {
	runes := []rune(s)
	var b strings.Builder
	for i, r := range runes {
		switch {
		case isUpperRune(r):
			b.WriteString(lowerAt(runes, i))
		case isLowerRune(r):
			b.WriteString(upper(string(r)))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
