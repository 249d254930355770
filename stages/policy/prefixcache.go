package policy

import "slices"

// prefixCache keeps the keys and values of prompts for later prompts that begin with the same tokens,
// such as the instructions and tools of many conversations, or the earlier turns of one. Its entries
// hold slots of the KV cache by reference counts, so that a running request and an entry may share
// them. Entries give way when requests need the room, the oldest first.
type prefixCache struct {
	cache   *kvCache
	entries []prefix // oldest first
}

// prefix is the tokens of a prompt, and the cache slots with their keys and values.
type prefix struct {
	tokens []int32
	path   []int32
}

// maxPrefixes bounds the entries, since every new prompt is compared with each of them.
const maxPrefixes = 256

// share appends to path the slots of the tokens that prompt has in common with the closest entry, and
// retains them. An entry that prompt repeats completely is removed: the caller adds the longer one.
func (c *prefixCache) share(path, prompt []int32) []int32 {
	best, length := -1, 0
	for i, e := range c.entries {
		if n := commonPrefix(e.tokens, prompt); n > length {
			best, length = i, n
		}
	}
	if best < 0 {
		return path
	}
	shared := c.entries[best].path[:length]
	path = append(path, shared...)
	c.cache.retain(shared)
	if len(c.entries[best].tokens) == length {
		c.remove(best)
	}
	return path
}

// add keeps a computed prompt. It retains the slots of path; tokens and path must not change later.
func (c *prefixCache) add(tokens, path []int32) {
	if len(c.entries) == maxPrefixes {
		c.remove(0)
	}
	c.cache.retain(path)
	c.entries = append(c.entries, prefix{tokens, path})
}

// makeRoom removes entries until the KV cache has n slots to hand out, or none is left.
func (c *prefixCache) makeRoom(n int) {
	for len(c.entries) > 0 && c.cache.room() < n {
		c.remove(0)
	}
}

func (c *prefixCache) remove(i int) {
	c.cache.release(c.entries[i].path)
	c.entries = slices.Delete(c.entries, i, i+1)
}

// commonPrefix is the number of tokens that a and b begin with.
func commonPrefix(a, b []int32) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
