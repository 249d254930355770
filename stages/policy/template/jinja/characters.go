package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Classes of characters, as Python's str has them.

// isSpace is Python's white space, for one character.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// isLineEnd tells what ends a line for str.splitlines.
func isLineEnd(r rune) bool {
	return r >= '\n' && r <= '\r' || r >= 0x1c && r <= 0x1e || r == 0x85 || r == 0x2028 || r == 0x2029
}

func isDecimal(c byte) bool { return c >= '0' && c <= '9' }

func isAlnum(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }

// numerals are the ideographs that have a number for their value.
const numerals = "㐅㒃㠪㭍一七万三九二五亖亿什仟仨伍佰億兆兩八六十千卄卅卌叁参" +
	"參叄四壱壹幺廾廿弌弍弎弐拾捌柒漆玖百肆萬貮貳贰阡陆陌陸零\uf96b\uf973" +
	"\uf978\uf9b2\uf9d1\uf9d3\uf9fd𠀁𠁤𠃢𠄡𠤪𠦃𠦌𠦜𠫪𠫽𠬙𢎐𢦘𣬛𦉭\U0002f890"

func isNumeric(r rune) bool { return unicode.IsNumber(r) || strings.ContainsRune(numerals, r) }

// digitValue is the value of a decimal digit of any script.
func digitValue(r rune) (int, bool) {
	if r < 0x80 {
		return int(r - '0'), r >= '0' && r <= '9'
	}
	for _, rg := range unicode.Nd.R16 {
		if r >= rune(rg.Lo) && r <= rune(rg.Hi) {
			return int(r-rune(rg.Lo)) % 10, true
		}
	}
	for _, rg := range unicode.Nd.R32 {
		if r >= rune(rg.Lo) && r <= rune(rg.Hi) {
			return int(r-rune(rg.Lo)) % 10, true
		}
	}
	return 0, false
}

// isDigit is str.isdigit: decimal digits and those in superscripts, subscripts and circles.
func isDigit(r rune) bool {
	if unicode.Is(unicode.Nd, r) {
		return true
	}
	return r == 0xb2 || r == 0xb3 || r == 0xb9 || r == 0x2070 || r >= 0x2074 && r <= 0x2079 ||
		r >= 0x2080 && r <= 0x2089 || r >= 0x2460 && r <= 0x2468 || r >= 0x2474 && r <= 0x247c ||
		r >= 0x2488 && r <= 0x2490 || r == 0x24ea || r >= 0x24f5 && r <= 0x24fd || r == 0x24ff ||
		r >= 0x2776 && r <= 0x277e || r >= 0x2780 && r <= 0x2788 || r >= 0x278a && r <= 0x2792 ||
		r >= 0x1369 && r <= 0x1371 || r == 0x19da || r >= 0x10a40 && r <= 0x10a43 ||
		r >= 0x10e60 && r <= 0x10e68 || r >= 0x11052 && r <= 0x1105a || r >= 0x1f100 && r <= 0x1f10a
}

func allDigits(s string) bool {
	for _, r := range s {
		if !isDigit(r) {
			return false
		}
	}
	return s != ""
}

// decode returns the first character of s and its length, or 0 and 0.
func decode(s string) (rune, int) {
	if s == "" {
		return 0, 0
	}
	return utf8.DecodeRuneInString(s)
}

// firstRunes are the first n characters.
func firstRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// length counts characters.
func length(s string) int { return utf8.RuneCountInString(s) }
