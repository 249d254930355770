package tokenizer

import (
	"strings"
	"unicode/utf8"

	"itool/stages/policy/tokenizer/codepoint"
)

// The expressions of published pre-tokenizers that have a hand-written scanner of one pass, exactly as in
// tokenizer.json, except that there a line end may also stand as itself. All others are left to the
// package pattern, which takes some ten times as long.
const (
	// GPT2 is the expression that ByteLevel has built in; StarCoder and SmolLM cut at digits before it.
	GPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

	// Llama and Qwen are the expressions of Llama 3 and of Qwen 2 to 3. They differ only in how many
	// digits a piece may have. In Qwen35 the marks of a word belong to it.
	Llama  = contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*` + blanks
	Qwen   = contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*` + blanks
	Qwen35 = contractions + `|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*` + blanks

	// O200k is the expression of GPT-4o, gpt-oss and Llama 4, Tekken that of Mistral's. A word ends where
	// a capital follows a small letter.
	O200k = capital + small + `+` + contractions + `?|` + capitals + small + `*` + contractions +
		`?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*` + blanks
	Tekken = capital + small + `+|` + capitals + small + `*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*` + blanks

	// DeepSeek V3 cuts by these three, one after the other.
	DeepSeekDigits = `\p{N}{1,3}`
	DeepSeekHan    = `[一-龥぀-ゟ゠-ヿ]+`
	DeepSeekWords  = `[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_` + "`" + `{|}~][A-Za-z]+|` +
		`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*` + blanks

	contractions = `(?i:'s|'t|'re|'ve|'m|'ll|'d)`
	capital      = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*`
	capitals     = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+`
	small        = `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
	blanks       = `|\s*[\r\n]+|\s+(?!\S)|\s+`

	// Digits is the expression of the step Digits with individual_digits, without the numbers of Unicode 17.
	Digits = `\p{N}`

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

// scanner cuts a text by an expression. first is the length of the first piece of a non-empty text: a match,
// or what lies before one. whole: every character belongs to a match.
type scanner struct {
	first func(string) int
	whole bool
}

var scanners = map[string]scanner{
	GPT2:           {scanGPT2, true},
	Llama:          {func(s string) int { return scanWords(s, codepoint.Letter, 3) }, true},
	Qwen:           {func(s string) int { return scanWords(s, codepoint.Letter, 1) }, true},
	Qwen35:         {func(s string) int { return scanWords(s, codepoint.Letter|codepoint.Mark, 1) }, true},
	O200k:          {func(s string) int { return scanCased(s, 3, true) }, true},
	Tekken:         {func(s string) int { return scanCased(s, 1, false) }, true},
	DeepSeekDigits: {func(s string) int { return scanDigits(s, codepoint.Number, 3) }, false},
	DeepSeekHan:    {scanHan, false},
	DeepSeekWords:  {scanDeepSeek, false},
	Digits:         {func(s string) int { return scanDigits(s, codepoint.Number, 1) }, false},
	Pattern:        {scanTrained, true},
	oldPattern:     {scanOld, true},
}

// escaped spells line ends as in the constants.
var escaped = strings.NewReplacer("\r", `\r`, "\n", `\n`)

// scanTrained: _?\p{L}+ | \p{N} | [^\p{L}\p{N}]+
func scanTrained(s string) int {
	if s[0] == '_' {
		if n := run(s, 1, codepoint.Letter); n > 1 {
			return n
		}
	}
	return scanOld(s)
}

// scanOld: \p{L}+ | \p{N} | [^\p{L}\p{N}]+
func scanOld(s string) int {
	r, n := utf8.DecodeRuneInString(s)
	switch {
	case codepoint.Letter.Has(r):
		return run(s, n, codepoint.Letter)
	case codepoint.Number.Has(r):
		return n
	}
	return run(s, n, ^(codepoint.Letter | codepoint.Number))
}

// scanDigits: \p{N}{1,most}, or what lies before it.
func scanDigits(s string, numbers codepoint.Set, most int) int {
	r, n := utf8.DecodeRuneInString(s)
	if !numbers.Has(r) {
		return run(s, n, ^numbers)
	}
	return digits(s, n, numbers, most)
}

// digits returns the end of up to most digits, of which the first ends at n.
func digits(s string, n int, numbers codepoint.Set, most int) int {
	for k := 1; k < most && n < len(s); k++ {
		r, w := utf8.DecodeRuneInString(s[n:])
		if !numbers.Has(r) {
			break
		}
		n += w
	}
	return n
}

// scanHan: DeepSeekHan, or what lies before it.
func scanHan(s string) int {
	han := func(r rune) bool { return r >= '一' && r <= '龥' || r >= '぀' && r <= 'ヿ' }
	first, n := utf8.DecodeRuneInString(s)
	for n < len(s) {
		r, w := utf8.DecodeRuneInString(s[n:])
		if han(r) != han(first) {
			break
		}
		n += w
	}
	return n
}

// scanGPT2 tries the alternatives of GPT2 in their order.
func scanGPT2(s string) int {
	if s[0] == '\'' {
		switch {
		case len(s) > 1 && strings.IndexByte("stmd", s[1]) >= 0:
			return 2
		case len(s) > 2 && (s[1:3] == "re" || s[1:3] == "ve" || s[1:3] == "ll"):
			return 3
		}
	}
	n := 0
	if s[0] == ' ' && len(s) > 1 {
		n = 1
	}
	r, w := utf8.DecodeRuneInString(s[n:])
	switch {
	case codepoint.Letter.Has(r):
		return run(s, n+w, codepoint.Letter)
	case codepoint.Number.Has(r):
		return run(s, n+w, codepoint.Number)
	case !codepoint.Space.Has(r):
		return run(s, n+w, notSpaceLetterNumber)
	}
	return spaces(s, false)
}

const notSpaceLetterNumber = ^(codepoint.Space | codepoint.Letter | codepoint.Number)

// scanWords tries the alternatives of Llama and Qwen in their order. letters are the characters of words,
// most is the largest number of digits in one piece.
func scanWords(s string, letters codepoint.Set, most int) int {
	if n := contraction(s); n > 0 {
		return n
	}
	r, w := utf8.DecodeRuneInString(s)
	if codepoint.Number.Has(r) {
		return digits(s, w, codepoint.Number, most)
	}
	// [^\r\n\p{L}\p{N}]?letters+
	if codepoint.Letter.Has(r) {
		return run(s, w, letters)
	}
	if r != '\r' && r != '\n' {
		if n := run(s, w, letters); n > w || letters.Has(r) {
			return n
		}
	}
	if n := others(s, ^(codepoint.Space | codepoint.Number | letters), "\r\n"); n > 0 {
		return n
	}
	return spaces(s, true)
}

// scanCased tries the alternatives of O200k and Tekken in their order.
func scanCased(s string, most int, withContraction bool) int {
	r, w := utf8.DecodeRuneInString(s)
	if codepoint.Number.Has(r) {
		return digits(s, w, codepoint.Number, most)
	}
	from := 0 // where the word begins: a character that is no letter may stand before it
	if !codepoint.Letter.Has(r) {
		from = w
	}
	n, first := from, false
	if r != '\r' && r != '\n' {
		n, first = casedWord(s, from)
	}
	if codepoint.Mark.Has(r) && !first { // a mark is a word for itself before it stands before capitals
		n = w
	} else if n == from {
		if n := others(s, notSpaceLetterNumber, "\r\n/"); n > 0 {
			return n
		}
		return spaces(s, true)
	}
	if withContraction {
		n += contraction(s[n:])
	}
	return n
}

// casedWord returns where the word that begins at from ends; from if there is none. first says that it is one
// of the first alternative, capital small+, and not only capitals. Its end is behind the small letters, or
// if there are none, behind the last letter that is neither capital nor small.
func casedWord(s string, from int) (n int, first bool) {
	last := 0
	for n = from; n < len(s); {
		r, w := utf8.DecodeRuneInString(s[n:])
		if !begins.Has(r) {
			break
		}
		n += w
		if goesOn.Has(r) {
			last = n
		}
	}
	if end := run(s, n, goesOn); end > n {
		return end, true
	}
	if last > 0 {
		return last, true
	}
	return n, false
}

// The characters that begin a word in O200k and Tekken, and those that go on with it. Marks and letters
// without case do both.
const (
	begins = codepoint.Letter&^(1<<codepoint.Ll) | codepoint.Mark
	goesOn = codepoint.Letter&^(1<<codepoint.Lu|1<<codepoint.Lt) | codepoint.Mark
)

// scanDeepSeek: DeepSeekWords, or what lies before its next match.
func scanDeepSeek(s string) int {
	if n := deepSeekMatch(s); n > 0 {
		return n
	}
	n := 0
	for n == 0 || n < len(s) && deepSeekMatch(s[n:]) == 0 {
		_, w := utf8.DecodeRuneInString(s[n:])
		n += w
	}
	return n
}

// deepSeekMatch tries the alternatives of DeepSeekWords in their order; 0 if s begins with none.
func deepSeekMatch(s string) int {
	const word, sign = codepoint.Letter | codepoint.Mark, codepoint.Punctuation | codepoint.Symbol
	r, w := utf8.DecodeRuneInString(s)
	isSign := sign.Has(r)
	if isSign && r < utf8.RuneSelf {
		n := 1
		for n < len(s) && s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z' {
			n++
		}
		if n > 1 {
			return n
		}
	}
	if codepoint.Letter.Has(r) {
		return run(s, w, word)
	}
	if r != '\r' && r != '\n' && !isSign {
		if n := run(s, w, word); n > w || word.Has(r) {
			return n
		}
	}
	if n := others(s, sign, "\r\n"); n > 0 {
		return n
	}
	if codepoint.Space.Has(r) {
		return spaces(s, true)
	}
	return 0
}

// contraction: the alternatives of contractions. 0 if s does not begin with one.
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

// run returns the end of the run of members of set that goes on at n.
func run(s string, n int, set codepoint.Set) int {
	for n < len(s) {
		r, w := utf8.DecodeRuneInString(s[n:])
		if !set.Has(r) {
			break
		}
		n += w
	}
	return n
}

// others: ` ?[set]+[ends]*`. 0 if s does not begin with it.
func others(s string, set codepoint.Set, ends string) int {
	start := 0
	if s[0] == ' ' {
		start = 1
	}
	n := run(s, start, set)
	if n == start {
		return 0
	}
	for n < len(s) && strings.IndexByte(ends, s[n]) >= 0 {
		n++
	}
	return n
}

// spaces: `\s*[\r\n]+|\s+(?!\S)|\s+`, for a text that begins with white space. The piece ends behind the last
// line end of the run; without one it is the whole run, except that the last space is left to a word that
// follows. lines false: `\s+(?!\S)|\s+`, for which a line end is white space like any other.
func spaces(s string, lines bool) int {
	n, lineEnd, last := 0, 0, 0
	for n < len(s) {
		r, w := utf8.DecodeRuneInString(s[n:])
		if !codepoint.Space.Has(r) {
			break
		}
		n += w
		last = w
		if r == '\r' || r == '\n' {
			lineEnd = n
		}
	}
	switch {
	case lines && lineEnd > 0:
		return lineEnd
	case n == len(s) || n == last:
		return n
	}
	return n - last
}
