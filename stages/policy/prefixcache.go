package policy

import "slices"

// prefixCache keeps the keys and values of prompts for later prompts that begin with the same tokens,
// such as the instructions and tools of many conversations, or the earlier turns of one. Its entries
// hold slots of the KV cache by reference counts, so that a running request and an entry may share
// them. Entries give way when requests need the room, that which was not used for longest first.
type prefixCache struct {
	cache   *kvCache
	entries []prefix // by their last use, the oldest first; none is empty
}

// prefix is the tokens of a prompt, and the cache slots with their keys and values.
type prefix struct {
	tokens []int32
	path   []int32
}

// maxPrefixes bounds the entries, since every new prompt is compared with each of them.
const maxPrefixes = 256

// closest returns the entry that has the most tokens in common with a prompt, the newest of several, and their slots.
// Without one the slots are empty.
func (c *prefixCache) closest(prompt []int32) (entry int, slots []int32) {
	for i, e := range c.entries {
		if n := commonPrefix(e.tokens, prompt); n > 0 && n >= len(slots) {
			entry, slots = i, e.path[:n]
		}
	}
	return entry, slots
}

// share appends to path the slots of the tokens that prompt has in common with the closest entry, which becomes the
// newest, and retains them for a request.
func (c *prefixCache) share(path, prompt []int32) []int32 {
	i, shared := c.closest(prompt)
	if len(shared) == 0 {
		return path
	}
	e := c.entries[i]
	c.entries = append(slices.Delete(c.entries, i, i+1), e)
	c.cache.retain(shared)
	return append(path, shared...)
}

// add keeps a computed prompt that a request holds, in place of entries that it begins with; tokens and path
// must not change later.
func (c *prefixCache) add(tokens, path []int32) {
	if len(path) == 0 {
		return
	}
	begins := func(e prefix) bool { // what holds a slot holds those before it
		n := len(e.path)
		return n <= len(path) && e.path[n-1] == path[n-1]
	}
	for i := len(c.entries) - 1; i >= 0; i-- {
		if begins(c.entries[i]) {
			c.remove(i)
		}
	}
	if len(c.entries) == maxPrefixes {
		c.remove(0)
	}
	c.cache.keep(path)
	c.entries = append(c.entries, prefix{tokens, path})
}

// makeRoom removes entries until the KV cache has n slots to hand out, or none is left.
func (c *prefixCache) makeRoom(n int) {
	for len(c.entries) > 0 && c.cache.room() < n {
		c.remove(max(slices.IndexFunc(c.entries, c.frees), 0))
	}
}

// frees says whether slots become free with an entry: those at its end, which nothing else holds. What
// holds a slot holds all slots before it.
func (c *prefixCache) frees(e prefix) bool {
	return c.cache.refs[e.path[len(e.path)-1]] == holders{entries: 1}
}

func (c *prefixCache) remove(i int) {
	c.cache.drop(c.entries[i].path)
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
