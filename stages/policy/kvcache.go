package policy

import (
	"fmt"

	"itool/stages/policy/model"
)

// kvCache holds keys and values by slot. Which token sits in one is the business of
// whoever holds its path.
type kvCache struct {
	k, v      [][]float32 // by layer, (slots, G, D)
	width     int         // G·D
	used      int         // slots handed out so far
	freeSlots []int32     // of them, those that were given back by release
	refs      []int32     // by slot that slots handed out: how many hold it
	limit     int         // the most there may ever be
}

const firstSlots = 256

func newCache(m *model.Model, limit int) kvCache {
	return kvCache{k: make([][]float32, len(m.Layers)), v: make([][]float32, len(m.Layers)), width: m.NumKVHeads * m.HeadDim, limit: limit}
}

// take hands out n slots in a row and returns the first.
func (c *kvCache) take(n int) (first int, err error) {
	if c.used+n > c.limit {
		return 0, fmt.Errorf("%w: %d of %d tokens are taken, %d more are asked for", ErrFull, c.used, c.limit, n)
	}
	first = c.used
	c.used += n
	if need := c.used * c.width; len(c.k) > 0 && need > len(c.k[0]) {
		// Doubling: growth costs less than one copy of each token in the end.
		slots := min(max(c.used, 2*len(c.k[0])/c.width, firstSlots), c.limit)
		for i := range c.k {
			c.k[i] = append(make([]float32, 0, slots*c.width), c.k[i]...)[:slots*c.width]
			c.v[i] = append(make([]float32, 0, slots*c.width), c.v[i]...)[:slots*c.width]
		}
	}
	return first, nil
}

// slots appends n slots to a path, freed ones first. On an error nothing is taken.
func (c *kvCache) slots(path []int32, n int) ([]int32, error) {
	reused := min(n, len(c.freeSlots))
	first, err := c.take(n - reused)
	if err != nil {
		return path, err
	}
	path = append(path, c.freeSlots[len(c.freeSlots)-reused:]...)
	c.freeSlots = c.freeSlots[:len(c.freeSlots)-reused]
	for i := range n - reused {
		path = append(path, int32(first+i))
	}
	if more := c.used - len(c.refs); more > 0 {
		c.refs = append(c.refs, make([]int32, more)...)
	}
	for _, slot := range path[len(path)-n:] {
		c.refs[slot] = 1
	}
	return path, nil
}

// room is how many slots may still be handed out.
func (c *kvCache) room() int { return c.limit - c.used + len(c.freeSlots) }

// retain gives slots another holder.
func (c *kvCache) retain(slots []int32) {
	for _, slot := range slots {
		c.refs[slot]++
	}
}

// release makes slots available for others once nobody holds them.
func (c *kvCache) release(slots []int32) {
	for _, slot := range slots {
		if c.refs[slot]--; c.refs[slot] == 0 {
			c.freeSlots = append(c.freeSlots, slot)
		}
	}
}

// dropLast frees the last n slots.
func (c *kvCache) dropLast(n int) { c.used -= n }

// write stores the rows of k and v (rows, G, D) in their slots.
func (c *kvCache) write(layer int, slots []int32, k, v []float32) {
	for i, slot := range slots {
		copy(c.k[layer][int(slot)*c.width:], k[i*c.width:(i+1)*c.width])
		copy(c.v[layer][int(slot)*c.width:], v[i*c.width:(i+1)*c.width])
	}
}
