package constrain

import (
	"errors"
	"fmt"
	"math"
)

// An automaton is nodes with edges. A rule is a part of it that others call: at its end it returns to the node
// behind the call, so that a value can hold values.
type automaton struct {
	nodes   []node
	rules   []int32    // entries
	heights []int32    // by node: levels of calls that the shortest way to the end of the rule takes
	root    int32      // entry
	class   [256]uint8 // bytes of one class lead from every node to the same places
	classes int
}

type node struct {
	op     op
	lo, hi byte  // opByte: a byte from lo to hi leads to next
	next   int32 // a node
	other  int32 // opSplit: also to this node; opCall: the rule, which returns to next
}

type op uint8

const (
	opByte op = iota
	opSplit
	opCall
	opReturn
)

// Limits of an automaton.
const (
	maxNodes = 200_000
	maxDepth = 128 // of calls in each other, in an answer
)

const endless = math.MaxInt32 / 2

// builder makes an automaton. Its methods build a part from behind: they get the node that follows it and return
// the node that it begins with. What is too large sets err, and finish returns it.
type builder struct {
	nodes   []node
	rules   []int32
	strings map[*language]int32 // rules for any text
	frees   map[*language]freeRules
	spaces  int32 // rule
	err     error
}

var errLarge = fmt.Errorf("the schema is too large: its automaton has more than %d nodes", maxNodes)

func newBuilder() *builder {
	b := &builder{strings: map[*language]int32{}, frees: map[*language]freeRules{}}
	b.spaces = b.rule(b.space)
	return b
}

func (b *builder) add(n node) int32 {
	if len(b.nodes) >= maxNodes {
		b.err = errLarge
		return 0
	}
	b.nodes = append(b.nodes, n)
	return int32(len(b.nodes) - 1)
}

// rule makes a rule of what build puts before its end.
func (b *builder) rule(build func(next int32) int32) int32 {
	r := b.reserve()
	b.rules[r] = build(b.add(node{op: opReturn}))
	return r
}

// reserve makes a rule that is defined later.
func (b *builder) reserve() int32 {
	b.rules = append(b.rules, -1)
	return int32(len(b.rules) - 1)
}

func (b *builder) call(rule, next int32) int32 {
	return b.add(node{op: opCall, next: next, other: rule})
}

func (b *builder) bytes(lo, hi byte, next int32) int32 {
	return b.add(node{op: opByte, lo: lo, hi: hi, next: next})
}

func (b *builder) text(s string, next int32) int32 {
	for i := len(s) - 1; i >= 0; i-- {
		next = b.bytes(s[i], s[i], next)
	}
	return next
}

// oneOf is a choice of nodes.
func (b *builder) oneOf(nodes ...int32) int32 {
	at := nodes[len(nodes)-1]
	for i := len(nodes) - 2; i >= 0; i-- {
		at = b.add(node{op: opSplit, next: nodes[i], other: at})
	}
	return at
}

// any repeats a part as often as the model likes.
func (b *builder) any(part func(next int32) int32, next int32) int32 {
	loop := b.add(node{op: opSplit, other: next})
	entry := part(loop)
	if b.err == nil {
		b.nodes[loop].next = entry
	}
	return loop
}

// times repeats a part least to most times.
func (b *builder) times(least, most int, part func(next int32) int32, next int32) int32 {
	at := next
	for i := most; i > 0 && b.err == nil; i-- {
		if at = part(at); i > least {
			at = b.oneOf(at, next)
		}
	}
	return at
}

// finish completes the automaton of an answer that is one of the rules.
func (b *builder) finish(roots []int32) (*automaton, error) {
	root := b.rule(func(next int32) int32 {
		entries := make([]int32, len(roots))
		for i, r := range roots {
			entries[i] = b.call(r, next)
		}
		return b.oneOf(entries...)
	})
	if b.err != nil {
		return nil, b.err
	}
	m := &automaton{nodes: b.nodes, rules: b.rules, root: b.rules[root]}
	m.measure()
	m.classify()
	switch {
	case m.heights[m.root] > maxDepth:
		return nil, errors.New("the schema has no value of finite depth: something in it always needs itself")
	case m.leftRecursive():
		return nil, errors.New("the schema refers to itself without a list or an object between: give the value itself")
	}
	return m, nil
}

// measure computes heights: the least that fulfil the equations of height, so nodes from which no way leads to
// the end stay endless.
func (m *automaton) measure() {
	m.heights = make([]int32, len(m.nodes))
	for i := range m.heights {
		m.heights[i] = endless
	}
	for changed := true; changed; {
		changed = false
		for i := range m.nodes { // most parts were built from behind, so a pass settles most of them
			if h := m.height(&m.nodes[i]); h < m.heights[i] {
				m.heights[i], changed = h, true
			}
		}
	}
}

func (m *automaton) height(n *node) int32 {
	switch n.op {
	case opReturn:
		return 0
	case opSplit:
		return min(m.heights[n.next], m.heights[n.other])
	case opCall:
		return max(m.heights[n.next], min(endless, 1+m.heights[m.rules[n.other]]))
	}
	return m.heights[n.next]
}

// leftRecursive tells whether a rule can call itself before a byte: no stack would hold that.
func (m *automaton) leftRecursive() bool {
	const open, closed = 1, 2
	marks := make([]uint8, len(m.rules))
	var visit func(rule int32) bool
	visit = func(rule int32) bool {
		marks[rule] = open
		for _, to := range m.leads(rule) {
			if marks[to] == open || marks[to] != closed && visit(to) {
				return true
			}
		}
		marks[rule] = closed
		return false
	}
	for r := range m.rules {
		if marks[r] != closed && visit(int32(r)) {
			return true
		}
	}
	return false
}

// leads lists the rules that a rule calls before a byte. What follows a call counts if the called rule can be
// empty.
func (m *automaton) leads(rule int32) (called []int32) {
	seen, todo := map[int32]bool{}, []int32{m.rules[rule]}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[at] {
			continue
		}
		seen[at] = true
		switch n := &m.nodes[at]; n.op {
		case opSplit:
			todo = append(todo, n.next, n.other)
		case opCall:
			if called = append(called, n.other); m.empty(n.other) {
				todo = append(todo, n.next)
			}
		}
	}
	return called
}

// empty tells whether a rule may be empty. Only spaces may: they begin with a choice of the end.
func (m *automaton) empty(rule int32) bool {
	n := &m.nodes[m.rules[rule]]
	return n.op == opSplit && m.nodes[n.next].op == opReturn
}

// classify finds the classes of bytes.
func (m *automaton) classify() {
	var begins [257]bool
	for _, n := range m.nodes {
		if n.op == opByte {
			begins[n.lo], begins[int(n.hi)+1] = true, true
		}
	}
	at := 0
	for b := range 256 {
		if begins[b] && b > 0 {
			at++
		}
		m.class[b] = uint8(at)
	}
	m.classes = at + 1
}
