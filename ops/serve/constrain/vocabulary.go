package constrain

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// Vocabulary is the tokens of a model, as a trie of their bytes.
type Vocabulary struct {
	size  int
	bytes func(id int32) []byte
	ends  []int32
	trie  []trieNode // in preorder
	ids   []int32    // of the tokens, in the order of their bytes
	deep  int        // length of the longest token
}

// trieNode is a byte of tokens.
type trieNode struct {
	b      byte
	depth  uint16 // 1 for the first byte
	behind int32  // the node after those below this one
	first  int32  // of ids: the tokens that end here
	tokens int32
}

// maxToken is the length in bytes from which on a token is not drawn under a constraint.
const maxToken = 1024

// NewVocabulary makes the trie of tokens 0..size-1. Control tokens are never drawn, but for ends, which end an
// answer. A constraint can lead to any byte of a text, so each must be a token of its own.
func NewVocabulary(size int, bytesOf func(id int32) []byte, control func(id int32) bool,
	ends []int32) (*Vocabulary, error) {
	v := &Vocabulary{size: size, bytes: bytesOf, ends: ends}
	if len(ends) == 0 {
		return nil, fmt.Errorf("constrain: no token ends an answer")
	}
	for id := range int32(size) {
		if n := len(bytesOf(id)); n > 0 && n <= maxToken && !control(id) && !slices.Contains(ends, id) {
			v.ids = append(v.ids, id)
		}
	}
	slices.SortFunc(v.ids, func(a, b int32) int {
		return cmp.Or(bytes.Compare(bytesOf(a), bytesOf(b)), cmp.Compare(a, b))
	})
	v.build()
	return v, v.complete()
}

// build makes the nodes from the sorted tokens: each shares with the one before what both begin with.
func (v *Vocabulary) build() {
	var open []int32 // the nodes from the root to the last token
	var last []byte
	closeTo := func(depth int) {
		for len(open) > depth {
			v.trie[open[len(open)-1]].behind = int32(len(v.trie))
			open = open[:len(open)-1]
		}
	}
	for i, id := range v.ids {
		token := v.bytes(id)
		shared := 0
		for shared < min(len(token), len(last)) && token[shared] == last[shared] {
			shared++
		}
		closeTo(shared)
		for _, b := range token[shared:] {
			open = append(open, int32(len(v.trie)))
			v.trie = append(v.trie, trieNode{b: b, depth: uint16(len(open)), first: int32(i)})
		}
		v.trie[open[len(open)-1]].tokens++
		v.deep, last = max(v.deep, len(token)), token
	}
	closeTo(0)
}

// complete checks that every byte that may have to follow is a token.
func (v *Vocabulary) complete() error {
	var single [256]bool
	for _, n := range v.trie {
		if n.depth == 1 && n.tokens > 0 {
			single[n.b] = true
		}
	}
	for b := range 256 {
		needed := b == '\n' || b >= ' ' && b < 0x7f || b >= 0x80 && b < 0xc0 // continuation bytes of UTF-8
		if needed && !single[b] {
			return fmt.Errorf("constrain: the vocabulary has no token for the single byte %#02x", b)
		}
	}
	return nil
}
