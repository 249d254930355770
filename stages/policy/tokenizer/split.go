package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// The supported patterns of pre-tokenizers, exactly as in tokenizer.json. For each there is a
// hand-written scanner of one pass: Go's regexp has no look-ahead, and hostile texts can make engines
// with look-ahead run for hours.
const (
	// Llama and Qwen are the patterns of Llama 3 and of Qwen 2 to 3. They differ only in how many
	// digits a piece may have.
	Llama = words + `\p{N}{1,3}` + others
	Qwen  = words + `\p{N}` + others

	words  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|`
	others = `| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	// Pattern is the pattern that Train writes. Letters never share a token with a space, a quote or
	// "=", and every digit is a piece of its own. So a value has the same IDs in prose, in quotes and
	// as an argument, and a small model can learn to copy it. A "_" belongs to the letters behind it:
	// as a token of its own it would come before every part of every name, and a model that copies by
	// looking at the previous token would lose its place there. (That made half of the tokens of names
	// ambiguous; now a quarter is.)
	Pattern = `_?\p{L}+|\p{N}|[^\p{L}\p{N}]+`

	// oldPattern is the pattern that earlier versions of Train wrote.
	oldPattern = `\p{L}+|\p{N}|[^\p{L}\p{N}]+`
)

var scanners = map[string]func(string) int{
	Llama:      func(s string) int { return scanWords(s, 3) },
	Qwen:       func(s string) int { return scanWords(s, 1) },
	Pattern:    scanTrained,
	oldPattern: scanOld,
}

// scanTrained: _?\p{L}+ | \p{N} | [^\p{L}\p{N}]+
func scanTrained(s string) int {
	r, n := utf8.DecodeRuneInString(s)
	if r == '_' && n < len(s) {
		if next, w := utf8.DecodeRuneInString(s[n:]); isLetter(next) {
			return letters(s, n+w)
		}
	}
	return scanOld(s)
}

// scanOld: \p{L}+ | \p{N} | [^\p{L}\p{N}]+
func scanOld(s string) int {
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

// scanWords tries the alternatives of Llama and Qwen in their order. digits is the largest number of
// digits in one piece.
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

// contraction: (?i:'s|'t|'re|'ve|'m|'ll|'d). 0 if s does not begin with one.
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

// letters returns the end of the run of letters that continues at n.
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

// punctuation: ` ?[^\s\p{L}\p{N}]+[\r\n]*`. 0 if s does not begin with it.
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

// spaces: `\s*[\r\n]+|\s+(?!\S)|\s+`, for a text that begins with white space. The piece ends
// behind the last line end of the run; without one it is the whole run, except that the last space is
// left to a word that follows.
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
	return unicode.IsLetter(r) || r >= firstNew && unicode.Is(newLetters, r)
}

func isNumber(r rune) bool {
	if r < utf8.RuneSelf {
		return '0' <= r && r <= '9'
	}
	return unicode.IsNumber(r) || r >= firstNew && unicode.Is(newNumbers, r)
}

func isSpace(r rune) bool { return unicode.Is(unicode.White_Space, r) }
