package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// The pre-tokenizers that we know, as they stand in tokenizer.json. Each is a
// hand-written scanner of one pass: Go's regexp has no look-ahead, and engines
// that have it can be made to run for hours.
const (
	// Llama and Qwen are the patterns of Llama 3 and of Qwen 2 to 3. They differ in how
	// many digits make a piece.
	Llama = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	Qwen  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	// Pattern is what Train writes: letters never share a token with a space, a
	// quote or "=", and every digit stands alone, so that a value has the same IDs in
	// prose, in quotes and as an argument, and copying generalises. A "_" belongs to
	// the letters behind it: as a token of its own it would stand before every part of
	// every name, and a model that copies names by the token before would lose its
	// place at each (half of the tokens of names were ambiguous so, a quarter is).
	Pattern = `_?\p{L}+|\p{N}|[^\p{L}\p{N}]+`

	// plainPattern is what Train wrote before.
	plainPattern = `\p{L}+|\p{N}|[^\p{L}\p{N}]+`
)

var scanners = map[string]func(string) int{
	Llama:        func(s string) int { return scanWords(s, 3) },
	Qwen:         func(s string) int { return scanWords(s, 1) },
	Pattern:      scanClasses,
	plainPattern: scanPlain,
}

// scanClasses: _?\p{L}+ | \p{N} | [^\p{L}\p{N}]+
func scanClasses(s string) int {
	r, n := utf8.DecodeRuneInString(s)
	if r == '_' && n < len(s) {
		if next, w := utf8.DecodeRuneInString(s[n:]); isLetter(next) {
			return letters(s, n+w)
		}
	}
	return scanPlain(s)
}

// scanPlain: \p{L}+ | \p{N} | [^\p{L}\p{N}]+
func scanPlain(s string) int {
	r, n := utf8.DecodeRuneInString(s)
	switch {
	case isLetter(r):
		return letters(s, n)
	case isNumber(r):
		return n
	}
	for n < len(s) {
		r, w := utf8.DecodeRuneInString(s[n:])
		if isLetter(r) || isNumber(r) {
			break
		}
		n += w
	}
	return n
}

// scanWords: the alternatives of Llama in their order; digits is the
// longest run of numbers in one piece.
func scanWords(s string, digits int) int {
	if n := contraction(s); n > 0 {
		return n
	}
	r, w := utf8.DecodeRuneInString(s)

	// [^\r\n\p{L}\p{N}]?\p{L}+
	if isLetter(r) {
		return letters(s, w)
	}
	if r != '\r' && r != '\n' && !isNumber(r) && w < len(s) {
		if next, nw := utf8.DecodeRuneInString(s[w:]); isLetter(next) {
			return letters(s, w+nw)
		}
	}
	// \p{N}{1,digits}
	if isNumber(r) {
		for k := 1; k < digits && w < len(s); k++ {
			next, nw := utf8.DecodeRuneInString(s[w:])
			if !isNumber(next) {
				break
			}
			w += nw
		}
		return w
	}
	if n := punctuation(s); n > 0 {
		return n
	}
	return spaces(s)
}

// contraction: (?i:'s|'t|'re|'ve|'m|'ll|'d); 0: none.
func contraction(s string) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	lower := func(i int) byte {
		if i >= len(s) {
			return 0
		}
		return s[i] | 0x20
	}
	switch lower(1) {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if lower(2) == 'e' {
			return 3
		}
	case 'l':
		if lower(2) == 'l' {
			return 3
		}
	}
	// U+017F, the long s, folds to s.
	if len(s) >= 3 && s[1] == 0xC5 && s[2] == 0xBF {
		return 3
	}
	return 0
}

// letters: the end of the run of letters that goes on at n.
func letters(s string, n int) int {
	for n < len(s) {
		r, w := utf8.DecodeRuneInString(s[n:])
		if !isLetter(r) {
			break
		}
		n += w
	}
	return n
}

// punctuation: ` ?[^\s\p{L}\p{N}]+[\r\n]*`; 0: none.
func punctuation(s string) int {
	n := 0
	if s[0] == ' ' {
		n = 1
	}
	start := n
	for n < len(s) {
		r, w := utf8.DecodeRuneInString(s[n:])
		if isSpace(r) || isLetter(r) || isNumber(r) {
			break
		}
		n += w
	}
	if n == start {
		return 0
	}
	for n < len(s) && (s[n] == '\r' || s[n] == '\n') {
		n++
	}
	return n
}

// spaces: `\s*[\r\n]+|\s+(?!\S)|\s+` of a text that begins with white space: up
// to the last line end of the run, else all but the last one when a word follows.
func spaces(s string) int {
	n, lineEnd, last := 0, 0, 0
	for n < len(s) {
		r, w := utf8.DecodeRuneInString(s[n:])
		if !isSpace(r) {
			break
		}
		n += w
		last = w
		if r == '\r' || r == '\n' {
			lineEnd = n
		}
	}
	switch {
	case lineEnd > 0:
		return lineEnd
	case n == len(s) || n == last:
		return n
	}
	return n - last
}

func isLetter(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r|0x20 && r|0x20 <= 'z'
	}
	return unicode.IsLetter(r) || r >= newest && unicode.Is(newLetters, r)
}

func isNumber(r rune) bool {
	if r < utf8.RuneSelf {
		return '0' <= r && r <= '9'
	}
	return unicode.IsNumber(r) || r >= newest && unicode.Is(newNumbers, r)
}

func isSpace(r rune) bool { return unicode.Is(unicode.White_Space, r) }
