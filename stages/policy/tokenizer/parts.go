package tokenizer

import "slices"

// Kind says where a token comes from.
type Kind int

// The kinds.
const (
	None    Kind = iota // no token has this ID
	Word                // a word of the vocabulary
	Added               // an added token: matched as a whole in any text
	Control             // a special token: matched only in rendered templates
)

// Parts is everything that another program needs to encode texts into the same tokens.
type Parts struct {
	Patterns     []string // the regular expressions that cut texts before merging, each the pieces of the one before
	NFC          bool     // texts are normalised to NFC first
	IgnoreMerges bool     // a word of the vocabulary needs no merges
	Tokens       []string // by ID; words are spelled in GPT-2's alphabet of bytes, added tokens as they are
	Kinds        []Kind   // by ID
	Merges       []string // "left right" in that alphabet, by rank
}

// Parts returns the tokenizer's parts.
func (t *Tokenizer) Parts() Parts {
	p := Parts{
		Patterns: slices.Clone(t.patterns), NFC: t.nfc, IgnoreMerges: t.words != nil,
		Tokens: make([]string, len(t.bytes)), Kinds: make([]Kind, len(t.bytes)), Merges: make([]string, len(t.merges)),
	}
	for id, b := range t.bytes {
		if b != nil {
			p.Tokens[id], p.Kinds[id] = inAlphabet(b), Word
		}
	}
	ranks := make([]int32, 0, len(t.merges)) // with gaps: a merge that the file lists twice has one rank
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
