package tokenizer

import (
	"slices"
	"strings"
)

// Kind is what a token is.
type Kind int

// The kinds.
const (
	None    Kind = iota // no token has this ID
	Word                // of the vocabulary
	Added               // found in any text as a whole
	Control             // the same, but only where a template wrote it
)

// Parts are what another program needs to cut texts into the same tokens.
type Parts struct {
	Pattern      string   // that texts are split by before merging
	NFC          bool     // texts are normalised first
	IgnoreMerges bool     // a word of the vocabulary is taken as it is
	Tokens       []string // by ID: words in GPT-2's alphabet of bytes, others as they are
	Kinds        []Kind   // by ID
	Merges       []string // "left right" in that alphabet, by rank
}

// Parts takes the tokenizer apart.
func (t *Tokenizer) Parts() Parts {
	p := Parts{
		Pattern: t.pattern, NFC: t.nfc, IgnoreMerges: t.words != nil,
		Tokens: make([]string, len(t.bytes)), Kinds: make([]Kind, len(t.bytes)), Merges: make([]string, len(t.merges)),
	}
	for id, b := range t.bytes {
		if b != nil {
			p.Tokens[id], p.Kinds[id] = inAlphabet(b), Word
		}
	}
	ranks := make([]int32, 0, len(t.merges)) // a merge that stood twice left a gap
	for _, m := range t.merges {
		ranks = append(ranks, m.rank)
	}
	slices.Sort(ranks)
	for pair, m := range t.merges {
		at, _ := slices.BinarySearch(ranks, m.rank)
		p.Merges[at] = p.Tokens[pair>>32] + " " + p.Tokens[uint32(pair)]
	}
	for content, id := range t.added {
		p.Tokens[id], p.Kinds[id] = content, Added
		if t.control[id] {
			p.Kinds[id] = Control
		}
	}
	return p
}

func inAlphabet(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(alphabet[c])
	}
	return s.String()
}
