package synth

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Words makes the names of places, people, things and makers: syllables that mean
// nothing, so that a model must copy them and cannot have learnt them.
//
// A word belongs to one of folds by its own hash, and a source gives the words of
// its fold only. Two sources of different folds share no word, whatever their
// seeds: that is what makes a held-out set one of values that were never seen.
type Words struct {
	rand        *rand.Rand
	fold, folds int
}

// NewWords returns a source of one fold; folds 0 or 1: all words.
func NewWords(seed uint64, fold, folds int) Words {
	return Words{rand.New(rand.NewPCG(seed, 0x5e7)), fold, folds}
}

// Word is of two or three syllables, lower case.
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

// Name is a word with a capital.
func (w Words) Name() string {
	s := w.Word()
	return strings.ToUpper(s[:1]) + s[1:]
}

// Number draws one of from..to; those of one or two digits belong to all folds.
func (w Words) Number(from, to int) int {
	for {
		if n := from + w.rand.IntN(to-from+1); n < 100 || w.inFold(strconv.Itoa(n)) {
			return n
		}
	}
}

// inFold tells whether a text is of this source's fold.
func (w Words) inFold(s string) bool {
	if w.folds < 2 {
		return true
	}
	h := fnv.New64a()
	h.Write([]byte(s))
	return mix(h.Sum64())%uint64(w.folds) == uint64(w.fold)
}

// mix spreads a hash over all bits: FNV's low ones are weak.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}
