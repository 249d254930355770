package policy

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestKVCacheCounts begins and ends 3,000 random requests. After each, the cache must count as many free and idle
// slots as a count of all requests and entries gives, and a slot must hold one token. A request that fits must get
// its slots.
func TestKVCacheCounts(t *testing.T) {
	const limit, all = 64, 3000
	r := rand.New(rand.NewPCG(1, 2))
	cache := kvCache{limit: limit}
	prefixes := prefixCache{cache: &cache}
	type request struct{ tokens, path []int32 }
	var running []request
	added := 0
	for range all {
		switch {
		case r.IntN(3) > 0: // a request begins, if it fits, and keeps its prompt
			tokens := make([]int32, 1+r.IntN(20))
			for i := range tokens {
				tokens[i] = int32(r.IntN(2))
			}
			_, shared := prefixes.closest(tokens)
			if len(tokens)-len(shared) > cache.room()+cache.idle-cache.idleOf(shared) {
				continue
			}
			path := prefixes.share(nil, tokens)
			prefixes.makeRoom(len(tokens) - len(path))
			path, err := cache.slots(path, len(tokens)-len(path))
			if err != nil {
				t.Fatal(err)
			}
			prefixes.add(tokens, path)
			running = append(running, request{tokens, path})
			added++
		case len(running) > 0: // one ends
			i := r.IntN(len(running))
			cache.release(running[i].path)
			running = slices.Delete(running, i, i+1)
		}
		held, kept := map[int32]bool{}, map[int32]bool{}
		tokenIn := map[int32]int32{}
		check := func(tokens, path []int32, in map[int32]bool) {
			for i, slot := range path {
				in[slot] = true
				if other, ok := tokenIn[slot]; ok && other != tokens[i] {
					t.Fatalf("slot %d holds token %d and token %d", slot, other, tokens[i])
				}
				tokenIn[slot] = tokens[i]
			}
		}
		for _, q := range running {
			check(q.tokens, q.path, held)
		}
		for _, e := range prefixes.entries {
			check(e.tokens, e.path, kept)
		}
		idle := 0
		for slot := range kept {
			if !held[slot] {
				idle++
			}
		}
		if cache.idle != idle || cache.room() != limit-len(held)-idle {
			t.Fatalf("%d idle and %d free slots, want %d and %d",
				cache.idle, cache.room(), idle, limit-len(held)-idle)
		}
	}
	if added < all/4 {
		t.Errorf("only %d of %d requests ran", added, all)
	}
}
