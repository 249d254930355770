package jinja

import "unicode"

// wordChunks cuts a line as textwrap.wordsep_re does: white space, words, parts of words up to a hyphen that
// stands between letters, and dashes between words ("--").
func wordChunks(s string) (chunks []chunk) {
	line := []rune(s)
	for at := 0; at < len(line); {
		end := at + 1
		switch dashes := dashesBetween(line, at); {
		case isBlank(line[at]):
			for end < len(line) && isBlank(line[end]) {
				end++
			}
		case dashes > 0:
			end = at + dashes
		default:
			end = wordEnd(line, end)
		}
		chunks, at = append(chunks, line[at:end]), end
	}
	return chunks
}

// isBlank is the white space at which textwrap cuts: ASCII's.
func isBlank(r rune) bool { return r >= '\t' && r <= '\r' || r == ' ' }

// wordEnd is where the word ends that goes on at from, or a part of it.
func wordEnd(line []rune, from int) int {
	for end := from; ; end++ {
		switch {
		case end == len(line) || isBlank(line[end]) || dashesBetween(line, end) > 0:
			return end
		case line[end] == '-' && hyphenates(line, end):
			return end + 1
		}
	}
}

// dashesBetween is the number of dashes from at on, if there are at least two between two words; else 0.
func dashesBetween(line []rune, at int) int {
	if at == 0 || !isWordRune(line[at-1]) && !isOneOf(line[at-1], `!"'&.,?`) {
		return 0
	}
	end := at
	for end < len(line) && line[end] == '-' {
		end++
	}
	if end < at+2 || end == len(line) || !isWordRune(line[end]) {
		return 0
	}
	return end - at
}

// hyphenates tells whether the hyphen at parts a word: behind two letters or "x-x", before "x" or "x-x".
func hyphenates(line []rune, at int) bool {
	letter := func(i int) bool {
		return i >= 0 && i < len(line) && isWordRune(line[i]) && !unicode.Is(unicode.Nd, line[i])
	}
	hyphen := func(i int) bool { return i >= 0 && i < len(line) && line[i] == '-' }
	before := letter(at-1) && (letter(at-2) || hyphen(at-2) && letter(at-3))
	return before && letter(at+1) && (letter(at+2) || hyphen(at+2) && letter(at+3))
}

// isWordRune is \w of Python's re.
func isWordRune(r rune) bool { return r == '_' || isAlnum(r) || isNumeric(r) }

func isOneOf(r rune, set string) bool {
	for _, c := range set {
		if c == r {
			return true
		}
	}
	return false
}
