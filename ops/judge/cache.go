package judge

import "itool/stages"

// cache keeps at most so many outcomes by digest. It has two generations: what is asked for
// in the old one moves into the new one, and when the new one is full the old one is forgotten.
type cache struct {
	size     int
	now, old map[digest]stages.Outcome
}

func newCache(size int) *cache { return &cache{size: max(1, size/2), now: map[digest]stages.Outcome{}} }

func (c *cache) get(d digest) (stages.Outcome, bool) {
	if o, ok := c.now[d]; ok {
		return o, true
	}
	o, ok := c.old[d]
	if ok {
		c.put(d, o)
	}
	return o, ok
}

func (c *cache) put(d digest, o stages.Outcome) {
	if len(c.now) >= c.size {
		c.old, c.now = c.now, map[digest]stages.Outcome{}
	}
	c.now[d] = o
}
