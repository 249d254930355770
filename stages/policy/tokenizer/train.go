package tokenizer

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Train learns a byte-level BPE vocabulary and returns it as a tokenizer.json, which both Open and
// Hugging Face tokenizers read. Texts are split by Pattern: a token of letters holds nothing else,
// except that it may begin with a "_", and every digit is a token of its own.
//
// vocab is the size of the vocabulary: 256 bytes, the merges, and special, whose IDs come last. The
// result is smaller if no pair of tokens is left that occurs twice. Special tokens in the texts are
// skipped. The same texts give the same bytes, in any order.
func Train(texts iter.Seq[string], vocab int, special []string) ([]byte, error) {
	if least := 256 + len(special); vocab < least || vocab > maxToken {
		return nil, fmt.Errorf("tokenizer: train: vocabulary of %d: not between %d (bytes and special tokens) and %d",
			vocab, least, maxToken)
	}
	var specials *trie
	for i, s := range special {
		if s == "" || slices.Contains(special[:i], s) {
			return nil, fmt.Errorf("tokenizer: train: special token %d, %q: it is empty or listed twice", i, s)
		}
		specials = specials.add(s, int32(i))
	}
	l := newLearner(countPieces(texts, specials))
	l.learn(vocab - len(special))
	return l.file(special)
}

func countPieces(texts iter.Seq[string], specials *trie) map[string]int {
	counts := map[string]int{}
	for text := range texts {
		specials.cut(text, func(string, int32) {}, func(part string) {
			for len(part) > 0 {
				n := scanTrained(part)
				counts[part[:n]]++
				part = part[n:]
			}
		})
	}
	return counts
}

// learner has the pieces as tokens, and the number of occurrences of every pair of neighbours. A
// merge updates only the pieces that contain its pair.
type learner struct {
	pieces []piece
	count  map[uint64]int              // occurrences of a pair
	where  map[uint64]map[int]struct{} // pieces that may contain a pair
	queue  pairQueue
	words  []string         // by token, spelled in the alphabet of tokenizer.json
	ids    map[string]int32 // the inverse of words
	merges [][2]string
}

type piece struct {
	tokens []int32
	count  int
}

func newLearner(counts map[string]int) *learner {
	l := &learner{count: map[uint64]int{}, where: map[uint64]map[int]struct{}{}, ids: map[string]int32{}}
	for b := range 256 {
		l.token(string(alphabet[b]))
	}
	for _, text := range slices.Sorted(maps.Keys(counts)) {
		p := piece{count: counts[text]}
		for i := range len(text) {
			p.tokens = append(p.tokens, int32(text[i]))
		}
		l.pieces = append(l.pieces, p)
		l.add(len(l.pieces)-1, +1, nil)
	}
	for p, n := range l.count {
		l.queue = append(l.queue, pairCount{p, n})
	}
	heap.Init(&l.queue)
	return l
}

// token returns the ID of word. Only a word that is new gets a new ID: two different merges may make
// the same word.
func (l *learner) token(word string) int32 {
	id, ok := l.ids[word]
	if !ok {
		id = int32(len(l.words))
		l.words = append(l.words, word)
		l.ids[word] = id
	}
	return id
}

// add adds the pairs of a piece to the counts (sign +1) or subtracts them (−1), and notes them in changed.
func (l *learner) add(at, sign int, changed map[uint64]struct{}) {
	p := &l.pieces[at]
	for i := 1; i < len(p.tokens); i++ {
		key := pair(p.tokens[i-1], p.tokens[i])
		l.count[key] += sign * p.count
		if changed != nil {
			changed[key] = struct{}{}
		}
		if sign > 0 {
			if l.where[key] == nil {
				l.where[key] = map[int]struct{}{}
			}
			l.where[key][at] = struct{}{}
		}
	}
}

// learn merges the most frequent pair until there are size tokens.
func (l *learner) learn(size int) {
	for len(l.words) < size && len(l.queue) > 0 {
		best := heap.Pop(&l.queue).(pairCount)
		if now := l.count[best.pair]; now != best.count { // the count has changed since it was queued
			if now > 1 {
				heap.Push(&l.queue, pairCount{best.pair, now})
			}
			continue
		}
		if best.count < 2 {
			break
		}
		l.merge(best.pair)
	}
}

func (l *learner) merge(key uint64) {
	left, right := int32(key>>32), int32(uint32(key))
	id := l.token(l.words[left] + l.words[right])
	l.merges = append(l.merges, [2]string{l.words[left], l.words[right]})
	changed := map[uint64]struct{}{}
	for at := range l.where[key] { // the order does not matter: counts are sums
		l.add(at, -1, changed)
		p := &l.pieces[at]
		kept := p.tokens[:0]
		for i := 0; i < len(p.tokens); i++ {
			if i+1 < len(p.tokens) && p.tokens[i] == left && p.tokens[i+1] == right {
				kept = append(kept, id)
				i++
			} else {
				kept = append(kept, p.tokens[i])
			}
		}
		p.tokens = kept
		l.add(at, +1, changed)
	}
	delete(l.where, key)
	delete(l.count, key)
	for p := range changed {
		if n := l.count[p]; n > 1 {
			heap.Push(&l.queue, pairCount{p, n})
		}
	}
}

// component is a step of the pipeline as file writes it.
type component struct {
	Type           string      `json:"type"`
	PreTokenizers  []component `json:"pretokenizers,omitempty"`
	Pattern        *regex      `json:"pattern,omitempty"`
	Behavior       behavior    `json:"behavior,omitempty"`
	Invert         *bool       `json:"invert,omitempty"`
	AddPrefixSpace *bool       `json:"add_prefix_space,omitempty"`
	TrimOffsets    *bool       `json:"trim_offsets,omitempty"`
	UseRegex       *bool       `json:"use_regex,omitempty"`
}

type regex struct{ Regex string }

func (l *learner) file(special []string) ([]byte, error) {
	level := component{Type: "ByteLevel", AddPrefixSpace: new(bool), TrimOffsets: new(bool), UseRegex: new(bool)}
	*level.TrimOffsets = true
	decoder, err := json.Marshal(level)
	if err != nil {
		return nil, err
	}
	cut, err := json.Marshal(component{Type: "Sequence", PreTokenizers: []component{
		{Type: "Split", Pattern: &regex{Pattern}, Behavior: isolated, Invert: new(bool)}, level,
	}})
	if err != nil {
		return nil, err
	}
	f := file{
		Version: "1.0", PreTokenizer: cut, Decoder: decoder, Model: model{Type: "BPE", Vocab: l.ids},
	}
	for i, s := range special {
		f.Added = append(f.Added, addedToken{ID: int32(len(l.words) + i), Content: s, Special: true})
	}
	for _, m := range l.merges {
		raw, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		f.Model.Merges = append(f.Model.Merges, raw)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // keep "<|end|>" readable
	e.SetIndent("", " ")
	err = e.Encode(f)
	return b.Bytes(), err
}

type pairCount struct {
	pair  uint64
	count int
}

// pairQueue is a heap: the highest count first, then the pair with the lowest IDs.
type pairQueue []pairCount

func (q pairQueue) Len() int      { return len(q) }
func (q pairQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q pairQueue) Less(i, j int) bool {
	if c := cmp.Compare(q[j].count, q[i].count); c != 0 {
		return c < 0
	}
	return q[i].pair < q[j].pair
}
func (q *pairQueue) Push(x any) { *q = append(*q, x.(pairCount)) }
func (q *pairQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
