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
// counts the holders of each slot, and uses a slot without holders again. One cache must not be used both ways.
type kvCache struct {
	d         kernel.Device
	k, v      []kernel.Floats // by layer, (slots, G, D)
	width     int             // G·D
	used      int             // slots handed out so far, released ones included
	freeSlots []int32         // of them, those that were released
	refs      []holders       // by slot; only of slots that the method slots has handed out
	idle      int             // slots that only entries of the prefix cache hold
	limit     int             // largest number of slots
}

// holders counts those that hold a slot: requests that run, and entries of the prefix cache.
type holders struct{ requests, entries int32 }

// firstSlots is the number of slots that the first allocation has room for.
const firstSlots = 256

func newCache(m *model.Model, limit int) kvCache {
	return kvCache{
		d: m.Device, k: make([]kernel.Floats, len(m.Layers)), v: make([]kernel.Floats, len(m.Layers)),
		width: m.NumKVHeads * m.HeadDim, limit: limit,
	}
}

// take hands out n consecutive slots and returns the first. After an error, or a failure of the device, no slot is
// taken.
func (c *kvCache) take(n int) (first int, err error) {
	first = c.used
	used := first + n
	if used > c.limit {
		return 0, fmt.Errorf("%w: %d of %d tokens are taken, %d more are needed", ErrFull, first, c.limit, n)
	}
	for i := range c.k {
		c.k[i], c.v[i] = c.grown(c.k[i], used), c.grown(c.v[i], used)
	}
	c.used = used
	return first, nil
}

// grown returns memory for that many slots at least, which begins with x.
func (c *kvCache) grown(x kernel.Floats, slots int) kernel.Floats {
	if slots*c.width <= x.Len() {
		return x
	}
	// Doubling bounds the total cost of growing by about one copy of each token.
	return longer(c.d, x, min(max(slots, 2*x.Len()/c.width, firstSlots), c.limit)*c.width)
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

// slots appends n slots to a path, released ones first; the request that asks is their only holder. After an
// error no slot is taken.
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
		c.refs = append(c.refs, make([]holders, more)...)
	}
	for _, slot := range path[len(path)-n:] {
		c.refs[slot] = holders{requests: 1}
	}
	return path, nil
}

// room is the number of slots that can be handed out now.
func (c *kvCache) room() int { return c.limit - c.used + len(c.freeSlots) }

// retain makes a request one more holder of each of the slots.
func (c *kvCache) retain(slots []int32) {
	c.idle -= c.idleOf(slots)
	for _, slot := range slots {
		c.refs[slot].requests++
	}
}

// release ends a request's hold of each of the slots.
func (c *kvCache) release(slots []int32) {
	for _, slot := range slots {
		c.refs[slot].requests--
		c.freed(slot)
	}
	c.idle += c.idleOf(slots)
}

// keep makes an entry of the prefix cache one more holder of each of the slots, which a request holds.
func (c *kvCache) keep(slots []int32) {
	for _, slot := range slots {
		c.refs[slot].entries++
	}
}

// drop ends an entry's hold of each of the slots.
func (c *kvCache) drop(slots []int32) {
	c.idle -= c.idleOf(slots)
	for _, slot := range slots {
		c.refs[slot].entries--
		c.freed(slot)
	}
	c.idle += c.idleOf(slots)
}

// freed makes a slot without holders one that can be handed out again.
func (c *kvCache) freed(slot int32) {
	if c.refs[slot] == (holders{}) {
		c.freeSlots = append(c.freeSlots, slot)
	}
}

// idleOf is the number of the slots that only entries hold.
func (c *kvCache) idleOf(slots []int32) (n int) {
	for _, slot := range slots {
		if h := c.refs[slot]; h.requests == 0 && h.entries > 0 {
			n++
		}
	}
	return n
}

// write stores the rows of k and v (rows, G, D) in their slots.
func (c *kvCache) write(layer int, slots kernel.Ints, k, v kernel.Floats) {
	c.d.ScatterRows(c.k[layer], k, slots, c.width)
	c.d.ScatterRows(c.v[layer], v, slots, c.width)
}

// layer is the keys and values of one layer.
func (c *kvCache) layer(i int) kernel.KV { return kernel.KV{K: c.k[i], V: c.v[i]} }
