package constrain

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// Limits of the states of a grammar.
const (
	maxCache = 8 << 20 // bytes that states, transitions and sets of tokens may take before they are forgotten
	maxWork  = 8 << 20 // steps and bytes of new states for one token

	maxPlaces = 20_000 // of a state; while it is made, each takes some 64 bytes
)

// place is a node that waits for a byte, and where its rule returns to.
type place struct {
	node int32
	up   *frame
}

// frame is a stack of returns. Equal stacks are one frame.
type frame struct {
	back  int32 // node
	up    *frame
	depth int32
	id    int64
}

// state is the places at which an answer may be.
type state struct {
	places  []place
	final   bool     // the answer may end here
	next    []*state // by class of byte; nil: not computed
	allowed []uint64 // set of tokens; nil: not computed
	age     int
}

// dead is the state without places.
var dead = &state{}

// cache has the states of a grammar.
type cache struct {
	states map[string]*state
	frames map[frameKey]*frame
	ids    int64
	bytes  int
	age    int // counts how often it was emptied
	work   int // that the current token may still take
	first  *state

	// Buffers.
	path   []*state // of a walk through the trie, by depth
	seen   map[place]bool
	places []place
	final  bool
	key    []byte
}

type frameKey struct {
	back int32
	up   int64
}

func (c *cache) reset() {
	c.states, c.frames, c.seen = map[string]*state{}, map[frameKey]*frame{}, map[place]bool{}
	c.bytes, c.first = 0, nil
	c.age++
}

// start is the state at the beginning of an answer.
func (c *cache) start(m *automaton) *state {
	if c.first == nil {
		c.work = maxWork
		c.begin()
		c.follow(m, place{node: m.root})
		c.first = c.intern(m)
	}
	return c.first
}

// adopt empties a cache that has grown too large, and returns the state as one of the present cache.
func (c *cache) adopt(m *automaton, s *state) *state {
	if c.bytes > maxCache {
		c.reset()
	}
	if s.age == c.age || s == dead {
		return s
	}
	c.begin()
	c.places, c.final = append(c.places, s.places...), s.final
	return c.intern(m)
}

// step follows a byte.
func (c *cache) step(m *automaton, s *state, b byte) *state {
	if s == dead {
		return dead
	}
	class := m.class[b]
	if s.next == nil {
		s.next = make([]*state, m.classes)
	}
	if to := s.next[class]; to != nil {
		return to
	}
	c.begin()
	for _, p := range s.places {
		if n := &m.nodes[p.node]; n.lo <= b && b <= n.hi {
			c.follow(m, place{n.next, p.up})
		}
	}
	if c.work < 0 { // places may be missing: the state is not kept, nor is the room that it took
		c.seen, c.places = map[place]bool{}, nil
		return dead
	}
	to := c.intern(m)
	if c.work < 0 {
		return dead
	}
	s.next[class] = to
	return to
}

func (c *cache) begin() {
	clear(c.seen)
	c.places, c.final = c.places[:0], false
}

// follow collects the places that p leads to without a byte. A place from which the answer could not end within
// maxDepth is left out, so that every state leads to an end.
func (c *cache) follow(m *automaton, p place) {
	if c.work--; c.work < 0 || c.seen[p] || p.up.level()+m.heights[p.node] > maxDepth {
		return
	}
	if len(c.seen) == maxPlaces {
		c.work = -1
		return
	}
	c.seen[p] = true
	n := &m.nodes[p.node]
	switch n.op {
	case opByte:
		c.places = append(c.places, p)
	case opSplit:
		c.follow(m, place{n.next, p.up})
		c.follow(m, place{n.other, p.up})
	case opCall:
		up := p.up
		if m.nodes[n.next].op != opReturn { // the last call of a rule returns to the rule's caller
			up = c.frame(n.next, p.up)
		}
		c.follow(m, place{m.rules[n.other], up})
	case opReturn:
		if p.up == nil {
			c.final = true
		} else {
			c.follow(m, place{p.up.back, p.up.up})
		}
	}
}

func (f *frame) level() int32 {
	if f == nil {
		return 0
	}
	return f.depth
}

func (f *frame) name() int64 {
	if f == nil {
		return 0
	}
	return f.id
}

func (c *cache) frame(back int32, up *frame) *frame {
	key := frameKey{back, up.name()}
	f := c.frames[key]
	if f == nil {
		c.ids++
		f = &frame{back, up, up.level() + 1, c.ids}
		c.frames[key] = f
		c.cost(100)
	}
	return f
}

// cost counts memory.
func (c *cache) cost(bytes int) {
	c.bytes += bytes
	c.work -= bytes
}

// intern returns the state of the collected places.
func (c *cache) intern(m *automaton) *state {
	if len(c.places) == 0 && !c.final {
		return dead
	}
	slices.SortFunc(c.places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.up.name(), b.up.name()))
	})
	c.key = c.key[:0]
	if c.final {
		c.key = append(c.key, 1)
	}
	for _, p := range c.places {
		c.key = binary.LittleEndian.AppendUint32(c.key, uint32(p.node))
		c.key = binary.LittleEndian.AppendUint64(c.key, uint64(p.up.name()))
	}
	if s := c.states[string(c.key)]; s != nil {
		return s
	}
	s := &state{places: slices.Clone(c.places), final: c.final, age: c.age}
	c.states[string(c.key)] = s
	c.cost(8*m.classes + 32*len(s.places) + 200)
	return s
}
