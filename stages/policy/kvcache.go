package policy

import (
	"fmt"

	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
)

// kvCache is a KV cache: the keys and values of computed tokens. A slot holds one token of all layers.
// The cache does not record which token a slot holds; sessions and streams do, with paths of slots.
//
// A session uses it as a stack: it only ever takes back the slots that were handed out last. A batcher
// counts the holders of each slot, and uses a released slot again. One cache must not be used both ways.
type kvCache struct {
	d         kernel.Device
	k, v      []kernel.Floats // by layer, (slots, G, D)
	width     int             // G·D
	used      int             // slots handed out so far, released ones included
	freeSlots []int32         // of them, those that were released
	refs      []int32         // number of holders, by slot; only of slots that the method slots has handed out
	limit     int             // largest number of slots
}

// firstSlots is the number of slots that the first allocation has room for.
const firstSlots = 256

func newCache(m *model.Model, limit int) kvCache {
	return kvCache{
		d: m.Device, k: make([]kernel.Floats, len(m.Layers)), v: make([]kernel.Floats, len(m.Layers)),
		width: m.NumKVHeads * m.HeadDim, limit: limit,
	}
}

// take hands out n consecutive slots and returns the first.
func (c *kvCache) take(n int) (first int, err error) {
	if c.used+n > c.limit {
		return 0, fmt.Errorf("%w: %d of %d tokens are taken, %d more are needed", ErrFull, c.used, c.limit, n)
	}
	first = c.used
	c.used += n
	if len(c.k) > 0 && c.used*c.width > c.k[0].Len() {
		// Doubling bounds the total cost of growing by about one copy of each token.
		slots := min(max(c.used, 2*c.k[0].Len()/c.width, firstSlots), c.limit)
		for i := range c.k {
			c.k[i] = longer(c.d, c.k[i], slots*c.width)
			c.v[i] = longer(c.d, c.v[i], slots*c.width)
		}
	}
	return first, nil
}

// longer returns memory for n numbers that begin with those of x.
func longer(d kernel.Device, x kernel.Floats, n int) kernel.Floats {
	more := d.Floats(n)
	if x.Len() > 0 {
		d.Copy(more, x)
	}
	return more
}

// dropLast takes back the last n slots that take has handed out.
func (c *kvCache) dropLast(n int) { c.used -= n }

// slots appends n slots to a path, released ones first; the caller is their only holder. After an error
// no slot is taken.
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

// room is the number of slots that can still be handed out.
func (c *kvCache) room() int { return c.limit - c.used + len(c.freeSlots) }

// retain adds a holder to each of the slots.
func (c *kvCache) retain(slots []int32) {
	for _, slot := range slots {
		c.refs[slot]++
	}
}

// release removes a holder from each of the slots. A slot without holders can be handed out again.
func (c *kvCache) release(slots []int32) {
	for _, slot := range slots {
		if c.refs[slot]--; c.refs[slot] == 0 {
			c.freeSlots = append(c.freeSlots, slot)
		}
	}
}

// write stores the rows of k and v (rows, G, D) in their slots.
func (c *kvCache) write(layer int, slots kernel.Ints, k, v kernel.Floats) {
	c.d.ScatterRows(c.k[layer], k, slots, c.width)
	c.d.ScatterRows(c.v[layer], v, slots, c.width)
}

// layer is the keys and values of one layer.
func (c *kvCache) layer(i int) kernel.KV { return kernel.KV{K: c.k[i], V: c.v[i]} }
