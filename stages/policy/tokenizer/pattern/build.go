package pattern

import "fmt"

// op is what a step of a program does.
type op uint8

const (
	opAccept op = iota // the match, or the body of a look-around or of an atomic group, ends here
	opClass            // one code point of a set, then to
	opSplit            // first, or else to
	opAhead            // to, if what begins with first matches here; negate: if it does not
	opBehind           // to, if one of the sequences ends here; negate: if none does
	opStart            // to, at the beginning of the text
	opEnd              // to, at the end of the text
	opAtomic           // first, of which only the first match counts, then to
)

// step is one step of a program. It comes after every step whose answer it needs at the same place of the text.
type step struct {
	op        op
	negate    bool
	empty     bool // of opAtomic: the body can be empty
	first, to int32
	index     int32 // of opBehind and opAtomic: which one it is
}

// behind is a look-behind: alternatives, each the sets of what must stand before, from left to right. A set
// has one value for each class.
type behind [][][]bool

// holds tells whether one of the alternatives ends before t.
func (b behind) holds(class []uint16, t int) bool {
alternatives:
	for _, sets := range b {
		if len(sets) > t {
			continue
		}
		for i, set := range sets {
			if !set[class[t-len(sets)+i]] {
				continue alternatives
			}
		}
		return true
	}
	return false
}

// builder turns a tree into steps, from the end of the expression to its beginning.
type builder struct {
	steps   []step
	set     []int // by step: the set of opClass
	behind  []*node
	atoms   int
	tooMany bool
}

func build(t *tree) (*Pattern, error) {
	b := &builder{}
	start := b.node(t.root, b.add(step{op: opAccept}))
	if b.tooMany {
		return nil, &Error{t.expr, 0, fmt.Sprintf("it has more than %d steps when its repetitions are written out",
			maxSteps)}
	}
	if b.atoms > maxAtoms {
		return nil, &Error{t.expr, 0, fmt.Sprintf("it has more than %d atomic groups and possessive repetitions",
			maxAtoms)}
	}
	order, ok := b.order()
	if !ok { // parse refuses what could cause it
		return nil, &Error{t.expr, 0, "it repeats something that can be empty"}
	}
	p := &Pattern{
		steps: make([]step, len(b.steps)), start: order[start], atoms: make([]int32, b.atoms),
		classes: newClasses(t.sets),
	}
	members := p.classes.members(t.sets)
	p.hits = make([]bool, p.classes.n*len(b.steps))
	for i, s := range b.steps {
		s.first, s.to = order[s.first], order[s.to]
		p.steps[order[i]] = s
		switch s.op {
		case opAtomic:
			p.atoms[s.index] = order[i]
		case opClass:
			for class, hit := range members[b.set[i]] {
				p.hits[class*len(b.steps)+int(order[i])] = hit
			}
		}
	}
	for _, n := range b.behind {
		var all behind
		for _, seq := range n.subs {
			var sets [][]bool
			for _, s := range seq.subs {
				sets = append(sets, members[s.set])
			}
			all = append(all, sets)
		}
		p.behind = append(p.behind, all)
	}
	return p, nil
}

func (b *builder) add(s step) int32 {
	if len(b.steps) >= maxSteps {
		b.tooMany = true
		return 0
	}
	b.steps, b.set = append(b.steps, s), append(b.set, 0)
	return int32(len(b.steps) - 1)
}

// node adds the steps of n, which go on with to, and returns the first of them.
func (b *builder) node(n *node, to int32) int32 {
	if b.tooMany {
		return 0
	}
	switch n.kind {
	case kindSet:
		i := b.add(step{op: opClass, to: to})
		b.set[i] = n.set
		return i
	case kindSequence:
		for i := len(n.subs) - 1; i >= 0; i-- {
			to = b.node(n.subs[i], to)
		}
		return to
	case kindChoice:
		last := b.node(n.subs[len(n.subs)-1], to)
		for i := len(n.subs) - 2; i >= 0; i-- {
			last = b.add(step{op: opSplit, first: b.node(n.subs[i], to), to: last})
		}
		return last
	case kindRepeat:
		return b.repeat(n, to)
	case kindAhead:
		return b.add(step{op: opAhead, first: b.node(n.subs[0], b.add(step{op: opAccept})), to: to, negate: n.negate})
	case kindBehind:
		b.behind = append(b.behind, n)
		return b.add(step{op: opBehind, to: to, negate: n.negate, index: int32(len(b.behind) - 1)})
	case kindAtomic:
		s := step{op: opAtomic, to: to, index: int32(b.atoms), empty: n.empty()}
		b.atoms++
		s.first = b.node(n.subs[0], b.add(step{op: opAccept}))
		return b.add(s)
	case kindStart:
		return b.add(step{op: opStart, to: to})
	default: // kindEnd
		return b.add(step{op: opEnd, to: to})
	}
}

// repeat writes the body min times, and then as often as it may still come.
func (b *builder) repeat(n *node, to int32) int32 {
	body := n.subs[0]
	split := func(again, on int32) int32 {
		if n.lazy {
			again, on = on, again
		}
		return b.add(step{op: opSplit, first: again, to: on})
	}
	if n.max < 0 { // a loop: its end goes on with its beginning
		loop := b.add(step{op: opSplit})
		again := b.node(body, loop)
		if n.lazy {
			b.steps[loop].first, b.steps[loop].to = to, again
		} else {
			b.steps[loop].first, b.steps[loop].to = again, to
		}
		to = loop
	} else {
		on := to
		for range n.max - n.min {
			to = split(b.node(body, to), on)
		}
	}
	for range n.min {
		to = b.node(body, to)
	}
	return to
}

// order sorts the steps so that each comes after those whose answers it needs at the same place of the text. ok is
// false if there is no such order: then a loop could go round without reading anything.
func (b *builder) order() (number []int32, ok bool) {
	const open, done = 1, 2
	state := make([]uint8, len(b.steps))
	number = make([]int32, len(b.steps))
	next := int32(0)
	var visit func(i int32) bool
	visit = func(i int32) bool {
		if state[i] != 0 {
			return state[i] == done
		}
		state[i] = open
		s := &b.steps[i]
		switch s.op {
		case opAccept, opClass:
		case opSplit, opAhead, opAtomic:
			if !visit(s.first) || (s.op != opAtomic || s.empty) && !visit(s.to) {
				return false
			}
		default:
			if !visit(s.to) {
				return false
			}
		}
		state[i], number[i] = done, next
		next++
		return true
	}
	for i := range b.steps {
		if !visit(int32(i)) {
			return nil, false
		}
	}
	return number, true
}
