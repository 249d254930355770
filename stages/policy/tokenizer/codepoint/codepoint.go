// Package codepoint puts every code point into the classes by which Hugging Face tokenizers splits texts:
// the general categories of Unicode 16, as its regular-expression library Oniguruma has them. Go's own
// tables are those of Unicode 15, and other parts of that library have other versions. Where their rules
// cut through a category, the category is two classes here, so that every rule is a set of classes.
//
//	codepoint.Letter.Has('é') // true
//
// The package knows no regular expressions and no tokenizers.
package codepoint

import (
	"slices"
	"unicode"
)

// Class is one of the parts into which all code points fall.
type Class uint8

// The classes: the general categories (a surrogate is no code point of a text), and parts of them.
const (
	Lu Class = iota
	Ll
	Lt
	Lm
	Lo
	Mn
	Mc
	Me
	Nd
	Nl
	No
	Pc
	Pd
	Ps
	Pe
	Pi
	Pf
	Po
	Sm
	Sc
	Sk
	So
	Zs
	Zl
	Zp
	Cc
	Cf
	Co
	Cn
	ccSpace    // of Cc: white space, tab to carriage return and next line
	noLatin    // of No: ² ³ ¹ ¼ ½ ¾, word characters to Oniguruma, though only outside of brackets
	soLetter   // of So: letters in circles and squares, which Unicode calls alphabetic
	cfJoin     // of Cf: the two joiners, word characters to Rust's regex
	cnNumber   // of Cn: numbers since Unicode 17, which Rust's is_numeric knows
	numClasses // how many classes there are
)

// Set is a set of classes: bit c is class c.
type Set uint64

// Of returns the set of these classes.
func Of(classes ...Class) (s Set) {
	for _, c := range classes {
		s |= 1 << c
	}
	return s
}

// The sets that Oniguruma calls \p{L}, \p{M}, …, and those of its escapes.
const (
	Letter      = Set(1<<Lu | 1<<Ll | 1<<Lt | 1<<Lm | 1<<Lo)
	Mark        = Set(1<<Mn | 1<<Mc | 1<<Me)
	Number      = Set(1<<Nd | 1<<Nl | 1<<No | 1<<noLatin)
	Punctuation = Set(1<<Pc | 1<<Pd | 1<<Ps | 1<<Pe | 1<<Pi | 1<<Pf | 1<<Po)
	Symbol      = Set(1<<Sm | 1<<Sc | 1<<Sk | 1<<So | 1<<soLetter)
	Separator   = Set(1<<Zs | 1<<Zl | 1<<Zp)
	Other       = Set(1<<Cc | 1<<Cf | 1<<Co | 1<<Cn | 1<<ccSpace | 1<<cfJoin | 1<<cnNumber)
	Space       = Separator | 1<<ccSpace // \s, and Rust's is_whitespace

	WordInBrackets = Letter | Mark | 1<<Nd | 1<<Nl | 1<<Pc | 1<<soLetter // [\w]
	Word           = WordInBrackets | 1<<noLatin                         // \w
	RustWord       = WordInBrackets | 1<<cfJoin                          // \w of Rust's regex
	RustNumeric    = Number | 1<<cnNumber                                // Rust's char::is_numeric
)

// Category returns the set of a general category by its short name, such as "L", "Lu" or "Zs".
func Category(name string) (s Set, ok bool) {
	s, ok = map[string]Set{
		"L": Letter, "M": Mark, "N": Number, "P": Punctuation, "S": Symbol, "Z": Separator, "C": Other,
		"LC": Of(Lu, Ll, Lt), "Lu": Of(Lu), "Ll": Of(Ll), "Lt": Of(Lt), "Lm": Of(Lm), "Lo": Of(Lo),
		"Mn": Of(Mn), "Mc": Of(Mc), "Me": Of(Me), "Nd": Of(Nd), "Nl": Of(Nl), "No": Of(No, noLatin),
		"Pc": Of(Pc), "Pd": Of(Pd), "Ps": Of(Ps), "Pe": Of(Pe), "Pi": Of(Pi), "Pf": Of(Pf), "Po": Of(Po),
		"Sm": Of(Sm), "Sc": Of(Sc), "Sk": Of(Sk), "So": Of(So, soLetter), "Zs": Of(Zs), "Zl": Of(Zl), "Zp": Of(Zp),
		"Cc": Of(Cc, ccSpace), "Cf": Of(Cf, cfJoin), "Co": Of(Co), "Cn": Of(Cn, cnNumber),
	}[name]
	return s, ok
}

// Has tells whether the class of r is in the set.
func (s Set) Has(r rune) bool { return s>>classes[uint32(r)>>8][uint8(r)]&1 != 0 }

// RustPunctuation tells whether the step Punctuation of Hugging Face tokenizers cuts at r: ASCII's
// punctuation and symbols, and what was punctuation in Unicode 8.
func RustPunctuation(r rune) bool {
	if r <= unicode.MaxASCII {
		return (Punctuation | Symbol).Has(r)
	}
	if !Punctuation.Has(r) {
		return slices.Contains(laterOther[:], r)
	}
	return !slices.ContainsFunc(notPunctuation[:], func(n Range) bool { return r >= n.Lo && r <= n.Hi })
}

// Range is the code points from Lo to Hi, both included.
type Range struct{ Lo, Hi rune }

// Ranges returns the code points of the set, in order, as few ranges as possible.
func (s Set) Ranges() (all []Range) {
	for i, p := range classes {
		first := rune(i) << 8
		if one := p[0]; p == uniform[one] {
			if s>>one&1 != 0 {
				all = appended(all, first, first|0xff)
			}
			continue
		}
		for j, c := range p {
			if s>>c&1 != 0 {
				all = appended(all, first|rune(j), first|rune(j))
			}
		}
	}
	return all
}

// appended adds a range behind the last one, or lengthens that.
func appended(all []Range, lo, hi rune) []Range {
	if n := len(all); n > 0 && all[n-1].Hi == lo-1 {
		all[n-1].Hi = hi
		return all
	}
	return append(all, Range{lo, hi})
}

// Script returns the code points of a script of Unicode 16, in order. ok is false for a name that is none,
// and for the scripts that Go's tables do not have yet.
func Script(name string) (all []Range, ok bool) {
	table, ok := unicode.Scripts[name]
	if !ok {
		return nil, false
	}
	parts := slices.Clone(newInScripts[name])
	eachRange(table, func(lo, hi rune) { parts = append(parts, Range{lo, hi}) })
	slices.SortFunc(parts, func(a, b Range) int { return int(a.Lo) - int(b.Lo) })
	for _, p := range parts {
		all = appended(all, p.Lo, p.Hi)
	}
	return all, true
}

// page is the classes of 256 code points.
type page [256]Class

// uniform has for every class the page of code points that are all of that class.
var uniform = func() (pages [numClasses]*page) {
	for c := range pages {
		pages[c] = new(page)
		for i := range pages[c] {
			pages[c][i] = Class(c)
		}
	}
	return pages
}()

// classes are the pages of all code points.
var classes = func() (pages [(unicode.MaxRune + 1) >> 8]*page) {
	for i := range pages {
		pages[i] = uniform[Cn]
	}
	set := func(c Class, lo, hi rune) {
		for lo <= hi {
			i := lo >> 8
			last := min(hi, i<<8|0xff)
			if lo == i<<8 && last == lo|0xff {
				pages[i] = uniform[c]
			} else {
				if pages[i] == uniform[pages[i][0]] {
					own := *pages[i]
					pages[i] = &own
				}
				for r := lo; r <= last; r++ {
					pages[i][uint8(r)] = c
				}
			}
			lo = last + 1
		}
	}
	for c, name := range names {
		eachRange(unicode.Categories[name], func(lo, hi rune) { set(Class(c), lo, hi) })
	}
	for _, d := range differences {
		set(d.class, d.Lo, d.Hi)
	}
	return pages
}()

// eachRange calls f for the ranges of a table, which may be nil; one call for each code point of a range
// with gaps.
func eachRange(t *unicode.RangeTable, f func(lo, hi rune)) {
	if t == nil {
		return
	}
	each := func(lo, hi, stride rune) {
		if stride == 1 {
			f(lo, hi)
			return
		}
		for r := lo; r <= hi; r += stride {
			f(r, r)
		}
	}
	for _, r := range t.R16 {
		each(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	for _, r := range t.R32 {
		each(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
}
