package tokenizer

import (
	"strings"
	"sync"
	"unicode/utf8"

	"itool/stages/policy/tokenizer/codepoint"
	"itool/stages/policy/tokenizer/pattern"
)

// step is one step of a pre-tokenizer. It cuts every piece that the steps before it made, or changes it.
type step struct {
	first    func(string) int // a scanner: the length of the first part of a piece
	find     finder           // or where a piece is cut
	behavior behavior         // with find: what becomes of the parts
	invert   bool             // with find: a match counts as what lies between matches, and the reverse
	space    bool             // or a space is put before a piece that begins with none
	spell    bool             // or the bytes of a piece are spelled in the alphabet
}

// finder appends the parts of a text to dst: matches, and what lies between them.
type finder func(dst []pattern.Span, text string) []pattern.Span

// behavior says what becomes of matches.
type behavior string

// The behaviours, by their names in tokenizer.json.
const (
	isolated   behavior = "Isolated"           // each is a piece
	removed    behavior = "Removed"            // they are left out
	contiguous behavior = "Contiguous"         // neighbours are one piece
	toPrevious behavior = "MergedWithPrevious" // each belongs to what stands before it
	toNext     behavior = "MergedWithNext"     // each belongs to what stands behind it
)

// cut cuts piece by the steps from one on, and appends the IDs of what comes out.
func (t *Tokenizer) cut(ids []int32, piece string, from int) []int32 {
	for i := from; i < len(t.steps); i++ {
		switch s := &t.steps[i]; {
		case s.first != nil:
			for len(piece) > 0 {
				n := s.first(piece)
				ids = t.cut(ids, piece[:n], i+1)
				piece = piece[n:]
			}
			return ids
		case s.find != nil:
			return t.parts(ids, piece, i)
		case s.space && piece[0] != ' ':
			piece = " " + piece
		case s.spell:
			piece = inAlphabet([]byte(piece))
		}
	}
	if t.spelled {
		b, _ := alphabetBytes(piece)
		piece = string(b)
	}
	return t.bpe.encode(ids, piece)
}

// spanPool has the memory for the parts of pieces.
var spanPool = sync.Pool{New: func() any { return new([]pattern.Span) }}

// parts cuts piece by step i, which is a finder.
func (t *Tokenizer) parts(ids []int32, piece string, i int) []int32 {
	spans := spanPool.Get().(*[]pattern.Span)
	*spans = t.steps[i].find((*spans)[:0], piece)
	for _, s := range t.steps[i].kept(*spans) {
		if s.From < s.To {
			ids = t.cut(ids, piece[s.From:s.To], i+1)
		}
	}
	if cap(*spans) <= 1<<16 {
		spanPool.Put(spans)
	}
	return ids
}

// kept makes pieces of parts, in their memory. It does so as NormalizedString.split of Hugging Face
// tokenizers, for parts of no length too.
func (s *step) kept(parts []pattern.Span) []pattern.Span {
	if s.invert {
		for i := range parts {
			parts[i].Match = !parts[i].Match
		}
	}
	kept := parts[:0]
	switch before := false; s.behavior {
	case removed:
		for _, p := range parts {
			if !p.Match {
				kept = append(kept, p)
			}
		}
	case contiguous:
		for _, p := range parts {
			if n := len(kept); p.Match == before && n > 0 {
				kept[n-1].To = p.To
			} else {
				kept = append(kept, p)
			}
			before = p.Match
		}
	case toPrevious:
		for _, p := range parts {
			if n := len(kept); p.Match && !before && n > 0 {
				kept[n-1].To = p.To
			} else {
				kept = append(kept, p)
			}
			before = p.Match
		}
	case toNext: // from the end to the beginning
		at := len(parts)
		for i := len(parts) - 1; i >= 0; i-- {
			p := parts[i]
			if p.Match && !before && at < len(parts) {
				parts[at].From = p.From
			} else {
				at--
				parts[at] = p
			}
			before = p.Match
		}
		kept = parts[at:]
	default:
		kept = parts
	}
	return kept
}

// literally finds a text.
func literally(what string) finder {
	return func(dst []pattern.Span, text string) []pattern.Span {
		at := 0
		for {
			n := strings.Index(text[at:], what)
			if n < 0 {
				break
			}
			if n > 0 {
				dst = append(dst, pattern.Span{From: at, To: at + n})
			}
			dst = append(dst, pattern.Span{From: at + n, To: at + n + len(what), Match: true})
			at += n + len(what)
		}
		if at < len(text) {
			dst = append(dst, pattern.Span{From: at, To: len(text)})
		}
		return dst
	}
}

// each finds the characters for which is holds.
func each(is func(rune) bool) finder {
	return func(dst []pattern.Span, text string) []pattern.Span {
		from := 0
		for at := 0; at < len(text); {
			r, w := utf8.DecodeRuneInString(text[at:])
			if is(r) {
				if from < at {
					dst = append(dst, pattern.Span{From: from, To: at})
				}
				dst = append(dst, pattern.Span{From: at, To: at + w, Match: true})
				from = at + w
			}
			at += w
		}
		if from < len(text) {
			dst = append(dst, pattern.Span{From: from, To: len(text)})
		}
		return dst
	}
}

// wordsAndOthers finds `\w+|[^\w\s]+`, as Rust's regex understands it.
func wordsAndOthers(dst []pattern.Span, text string) []pattern.Span {
	const other = ^(codepoint.RustWord | codepoint.Space)
	for at := 0; at < len(text); {
		r, w := utf8.DecodeRuneInString(text[at:])
		set := codepoint.Space
		switch {
		case codepoint.RustWord.Has(r):
			set = codepoint.RustWord
		case other.Has(r):
			set = other
		}
		end := run(text, at+w, set)
		dst = append(dst, pattern.Span{From: at, To: end, Match: set != codepoint.Space})
		at = end
	}
	return dst
}
