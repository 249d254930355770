package synth

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Words invents the names of places, people, things and makers. They are syllables without
// a meaning, so a model must copy them and cannot have learnt them.
//
// The hash of a word says to which fold it belongs, and a source gives only words of its
// fold. Two sources of different folds share no word, with any seeds. So a held-out set
// has only values that were never trained on.
type Words struct {
	rand        *rand.Rand
	fold, folds int
}

// NewWords returns a source of the words of one fold. With folds 0 or 1 it gives all words.
func NewWords(seed uint64, fold, folds int) Words {
	return Words{rand.New(rand.NewPCG(seed, 0x5e7)), fold, folds}
}

// Word invents a word of two or three syllables in lower case.
func (w Words) Word() string {
	for {
		var b strings.Builder
		for range 2 + w.rand.IntN(2) {
			b.WriteByte("bdfgklmnprstvz"[w.rand.IntN(14)])
			b.WriteByte("aeiou"[w.rand.IntN(5)])
		}
		if s := b.String(); w.inFold(s) {
			return s
		}
	}
}

// Name invents a word with a capital letter.
func (w Words) Name() string {
	s := w.Word()
	return strings.ToUpper(s[:1]) + s[1:]
}

// Number draws a number within from..to. Numbers below 100 belong to all folds.
func (w Words) Number(from, to int) int {
	for {
		if n := from + w.rand.IntN(to-from+1); n < 100 || w.inFold(strconv.Itoa(n)) {
			return n
		}
	}
}

// inFold says whether a text belongs to this source's fold.
func (w Words) inFold(s string) bool {
	if w.folds < 2 {
		return true
	}
	h := fnv.New64a()
	h.Write([]byte(s))
	return mix(h.Sum64())%uint64(w.folds) == uint64(w.fold)
}

// mix spreads a hash over all bits: the low bits of FNV are weak.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}
