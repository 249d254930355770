package tokenizer

import "strings"

// alphabet is GPT-2's table, which spells each byte as a visible character so that a vocabulary is
// text. A printable byte stands for itself.
var alphabet, byteOf = func() (letters [256]rune, bytes map[rune]byte) {
	bytes = map[rune]byte{}
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if !(r >= '!' && r <= '~' || r >= 0xA1 && r <= 0xAC || r >= 0xAE) {
			r = next
			next++
		}
		letters[b] = r
		bytes[r] = byte(b)
	}
	return
}()

// alphabetBytes returns the bytes of a word that is spelled in the alphabet. A word that contains
// any other character, for which ok is false, stands for its own UTF-8.
func alphabetBytes(word string) (_ []byte, ok bool) {
	b := make([]byte, 0, len(word))
	for _, r := range word {
		c, ok := byteOf[r]
		if !ok {
			return []byte(word), false
		}
		b = append(b, c)
	}
	return b, true
}

// inAlphabet spells bytes in the alphabet.
func inAlphabet(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(alphabet[c])
	}
	return s.String()
}
