package pattern

import (
	"slices"
	"sort"
	"unicode"
)

// endOfText is the class behind the last code point. No set has it.
const endOfText = 0

// classes divide the code points into as few parts as possible, so that each set of an expression consists of
// whole parts. A step then looks up a small number instead of a code point.
type classes struct {
	from  []rune   // where each part begins; the first is 0
	class []uint16 // the class of each part, at least 1
	ascii [unicode.MaxASCII + 1]uint16
	n     int // how many classes there are, endOfText included
}

func newClasses(sets []set) classes {
	cuts := []rune{0}
	for _, s := range sets {
		for _, r := range s {
			cuts = append(cuts, r.Lo)
			if r.Hi < unicode.MaxRune {
				cuts = append(cuts, r.Hi+1)
			}
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	// Parts that belong to the same sets are one class.
	in := make([][]byte, len(cuts))
	for i := range in {
		in[i] = make([]byte, (len(sets)+7)/8)
	}
	for k, s := range sets {
		at := 0
		for _, r := range s {
			for ; cuts[at] < r.Lo; at++ {
			}
			for ; at < len(cuts) && cuts[at] <= r.Hi; at++ {
				in[at][k/8] |= 1 << (k % 8)
			}
		}
	}
	c := classes{n: 1}
	number := map[string]uint16{}
	for i, from := range cuts {
		class, ok := number[string(in[i])]
		if !ok {
			class = uint16(c.n)
			number[string(in[i])] = class
			c.n++
		}
		if n := len(c.class); n == 0 || c.class[n-1] != class {
			c.from, c.class = append(c.from, from), append(c.class, class)
		}
	}
	for r := range c.ascii {
		c.ascii[r] = c.find(rune(r))
	}
	return c
}

// of returns the class of a code point.
func (c *classes) of(r rune) uint16 {
	if r <= unicode.MaxASCII {
		return c.ascii[r]
	}
	return c.find(r)
}

func (c *classes) find(r rune) uint16 {
	return c.class[sort.Search(len(c.from), func(i int) bool { return c.from[i] > r })-1]
}

// members returns for each set which classes belong to it.
func (c *classes) members(sets []set) [][]bool {
	all := make([][]bool, len(sets))
	for k, s := range sets {
		all[k] = make([]bool, c.n)
		for _, r := range s {
			at := sort.Search(len(c.from), func(i int) bool { return c.from[i] > r.Lo }) - 1
			for ; at < len(c.from) && c.from[at] <= r.Hi; at++ {
				all[k][c.class[at]] = true
			}
		}
	}
	return all
}
