package tokenizer

import (
	"slices"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// nfc brings a text to composed form (NFC, Unicode Standard Annex 15) as Hugging Face tokenizers does. That
// is not quite what golang.org/x/text makes of it, which puts a joiner behind the thirtieth mark in a row
// and has the tables of Unicode 15; those of the Rust library are of Unicode 9.
func nfc(s string) string {
	if norm.NFC.IsNormalString(s) { // then it is to the other library, too
		return s
	}
	chars := decompose(s)
	// Marks behind a character are sorted by class; a character of class 0 stays where it is.
	for i := 0; i < len(chars); {
		j := i + 1
		if chars[i].class != 0 {
			for j < len(chars) && chars[j].class != 0 {
				j++
			}
			slices.SortStableFunc(chars[i:j], func(a, b character) int { return int(a.class) - int(b.class) })
		}
		i = j
	}
	out := make([]byte, 0, len(s))
	for _, c := range compose(chars) {
		if c.r < 0 {
			out = append(out, byte(-c.r))
		} else {
			out = utf8.AppendRune(out, c.r)
		}
	}
	return string(out)
}

// character is a code point with its canonical combining class. r < 0: the byte −r, which is no UTF-8.
type character struct {
	r     rune
	class uint8
}

// decompose returns the characters of s, each replaced by those that it is composed of.
func decompose(s string) []character {
	chars := make([]character, 0, len(s))
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			chars = append(chars, character{r: -rune(s[0])})
		case r < 0xC0 || isLater(r):
			chars = append(chars, character{r: r})
		default:
			for _, d := range norm.NFD.String(s[:n]) {
				chars = append(chars, character{d, norm.NFD.PropertiesString(string(d)).CCC()})
			}
		}
		s = s[n:]
	}
	return chars
}

// compose joins each character of class 0 with the marks behind it for which there is a composed character,
// unless a mark of the same or a higher class stands between.
func compose(chars []character) []character {
	const nothing = -1
	out, starter, between := chars[:0], nothing, nothing
	for _, c := range chars {
		if starter >= 0 && between < int(c.class) {
			if joined, ok := join(out[starter].r, c.r); ok {
				out[starter].r = joined
				continue
			}
		}
		if c.class == 0 {
			starter, between = len(out), nothing
		} else {
			between = int(c.class)
		}
		out = append(out, c)
	}
	return out
}

// join returns the character that a and b are composed to.
func join(a, b rune) (rune, bool) {
	const (
		firstL, firstV, firstT, firstSyllable = 0x1100, 0x1161, 0x11A7, 0xAC00
		numL, numV, numT                      = 19, 21, 28
	)
	if l, v := a-firstL, b-firstV; l >= 0 && l < numL && v >= 0 && v < numV {
		return firstSyllable + (l*numV+v)*numT, true
	}
	if s, t := a-firstSyllable, b-firstT; s >= 0 && s < numL*numV*numT && s%numT == 0 && t > 0 && t < numT {
		return a + t, true
	}
	r, ok := compositions()[[2]rune{a, b}]
	return r, ok
}

// compositions are all pairs that are composed to one character, but for the syllables of Hangul.
var compositions = sync.OnceValue(func() map[[2]rune]rune {
	pairs := map[[2]rune]rune{}
	for _, block := range [][2]rune{{0xC0, 0x30FF}, {0x11000, 0x11FFF}} {
		for r := block[0]; r <= block[1]; r++ {
			s := string(r)
			parts := []rune(norm.NFD.String(s))
			if n := len(parts); n > 1 && norm.NFC.String(s) == s && !isLater(r) {
				first, _ := utf8.DecodeRuneInString(norm.NFC.String(string(parts[:n-1])))
				pairs[[2]rune{first, parts[n-1]}] = r
			}
		}
	}
	return pairs
})

// isLater tells whether r got its combining class or its decomposition after Unicode 9.
func isLater(r rune) bool {
	_, found := slices.BinarySearchFunc(laterMarks[:], r, func(m [2]rune, r rune) int {
		if r < m[0] {
			return 1
		} else if r > m[1] {
			return -1
		}
		return 0
	})
	return found
}

// laterMarks are the marks, and one composed letter, that Unicode 10 to 15 added.
var laterMarks = [...][2]rune{
	{0x7FD, 0x7FD}, {0x898, 0x89F}, {0x8CA, 0x8D3}, {0x9FE, 0x9FE}, {0xC3C, 0xC3C}, {0xD3B, 0xD3C},
	{0xEBA, 0xEBA}, {0x1715, 0x1715}, {0x1ABF, 0x1ACE}, {0x1DF6, 0x1DFA}, {0xA82C, 0xA82C}, {0x10D24, 0x10D27},
	{0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070},
	{0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11938, 0x11938}, {0x1193D, 0x1193E},
	{0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99},
	{0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1},
	{0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
}
