package tokenizer

import (
	"hash/maphash"
	"sync/atomic"
)

// The cache has the IDs of words that were encoded before, which are most of any text. 16384 slots
// with at most 64 bytes and their IDs stay below 8 MiB. A word overwrites the slot of its hash, so the
// cache needs no lock and no eviction list.
const (
	cacheSlots    = 1 << 14
	cacheWordSize = 64 // bytes
)

// bpe is byte-pair encoding: it merges the bytes of one word into tokens, lowest rank first.
type bpe struct {
	single [256]int32        // the token of a byte; -1: it has none and is dropped
	merges map[uint64]merged // by the pair of IDs
	words  map[string]int32  // set by ignore_merges: words of the vocabulary, which need no merges
	seed   maphash.Seed
	cache  *[cacheSlots]atomic.Pointer[cached]
}

type merged struct{ rank, id int32 }

type cached struct {
	word string
	ids  []int32
}

func pair(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

func (b *bpe) encode(ids []int32, word string) []int32 {
	if len(word) > cacheWordSize {
		return b.merge(ids, word)
	}
	slot := &b.cache[maphash.String(b.seed, word)%cacheSlots]
	if c := slot.Load(); c != nil && c.word == word {
		return append(ids, c.ids...)
	}
	start := len(ids)
	ids = b.merge(ids, word)
	// The word is a part of a larger text: copy it, so that the cache does not keep that text in memory.
	slot.Store(&cached{word: string([]byte(word)), ids: append([]int32(nil), ids[start:]...)})
	return ids
}

// symbol is one token of a word while it is merged: a doubly linked list in a slice.
type symbol struct{ previous, next, id int32 }

// candidate is a merge that was possible when it was queued. It is stale if one of its two symbols
// has changed since then.
type candidate struct{ rank, at, id, left, right int32 }

func (c candidate) before(d candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.at < d.at
}

func (b *bpe) merge(ids []int32, word string) []int32 {
	if id, ok := b.words[word]; ok {
		return append(ids, id)
	}
	symbols := make([]symbol, 0, len(word))
	for i := range len(word) {
		if id := b.single[word[i]]; id >= 0 {
			n := int32(len(symbols))
			symbols = append(symbols, symbol{n - 1, n + 1, id})
		}
	}
	if len(symbols) == 0 {
		return ids
	}
	symbols[len(symbols)-1].next = -1

	// With a heap a hostile word of a million bytes takes n log n, not n².
	var queue candidates
	push := func(at int32) {
		if at < 0 || symbols[at].next < 0 {
			return
		}
		left, right := symbols[at].id, symbols[symbols[at].next].id
		if m, ok := b.merges[pair(left, right)]; ok {
			queue.push(candidate{m.rank, at, m.id, left, right})
		}
	}
	for i := range symbols {
		push(int32(i))
	}
	for len(queue) > 0 {
		c := queue.pop()
		s := &symbols[c.at]
		if s.id != c.left || s.next < 0 || symbols[s.next].id != c.right {
			continue
		}
		gone := &symbols[s.next]
		s.id, s.next = c.id, gone.next
		gone.id, gone.next = -1, -1
		if s.next >= 0 {
			symbols[s.next].previous = c.at
		}
		push(s.previous)
		push(c.at)
	}
	for i := int32(0); i >= 0; i = symbols[i].next {
		ids = append(ids, symbols[i].id)
	}
	return ids
}

// candidates is a binary heap with the first candidate to merge on top. container/heap would
// allocate for every candidate.
type candidates []candidate

func (h *candidates) push(c candidate) {
	q := append(*h, c)
	i := len(q) - 1
	for i > 0 && q[i].before(q[(i-1)/2]) {
		q[i], q[(i-1)/2] = q[(i-1)/2], q[i]
		i = (i - 1) / 2
	}
	*h = q
}

func (h *candidates) pop() candidate {
	q := *h
	top, last := q[0], len(q)-1
	q[0] = q[last]
	q = q[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if child+1 < len(q) && q[child+1].before(q[child]) {
			child++
		}
		if !q[child].before(q[i]) {
			break
		}
		q[i], q[child] = q[child], q[i]
		i = child
	}
	*h = q
	return top
}
