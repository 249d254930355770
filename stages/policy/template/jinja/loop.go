package jinja

import (
	"slices"
)

func (x *exec) forLoop(n *forNode, l *locals) signal {
	over := x.eval(n.over, l)
	if n.recursive {
		x.writeText(x.recursiveLoop(n, over, l, 0))
		return proceed
	}
	return x.loop(n, over, l, l, 0)
}

// recursiveLoop is a loop whose body may call it with other items: a function, which was defined where outer is.
func (x *exec) recursiveLoop(n *forNode, over any, outer *locals, depth int) any {
	x.enter()
	defer x.leave()
	x.work(n.size / 8)
	l := &locals{make([]any, n.size), outer, outer.context}
	return asMarkupIf(n.escapes, x.capture(func() { x.loop(n, over, l, outer, depth) }))
}

func (x *exec) loop(n *forNode, over any, l, outer *locals, depth int) signal {
	if n.test != nil {
		over = x.filtered(n, over, outer)
	}
	c := &loopContext{x: x, over: over, next: iterate(x, over), depth: depth, index: -1}
	if n.recursive {
		c.recurse = func(items any) any { return x.recursiveLoop(n, items, outer, depth+1) }
	}
	completed := false
	for c.advance() {
		x.step()
		if n.loop >= 0 {
			l.vars[n.loop] = c
		}
		x.assign(n.target, c.current, l)
		x.begin(&n.body, l)
		switch x.run(n.nodes, l) {
		case stopLoop:
			return x.loopElse(n, completed, l)
		case proceed:
			completed = true // jinja2 notes it at the end of the body: "continue" skips that
		}
	}
	return x.loopElse(n, completed, l)
}

// loopElse runs the else part unless the body was completed once.
func (x *exec) loopElse(n *forNode, completed bool, l *locals) signal {
	n.end(l)
	if completed || !n.hasElse {
		return proceed
	}
	return x.within(&n.orElse, l)
}

// filtered yields the items for which the loop's test is true.
func (x *exec) filtered(n *forNode, over any, outer *locals) *generator {
	var next func() (any, bool)
	l := x.locals(&n.testBody, outer, outer.context)
	return &generator{name: "generator", next: func() (any, bool) {
		if next == nil {
			x.begin(&n.testBody.body, l)
			next = iterate(x, over)
		}
		for {
			v, ok := next()
			if !ok {
				return nil, false
			}
			x.step()
			x.assign(n.testTarget, v, l)
			if truth(x.eval(n.test, l)) {
				return assigned(n.testTarget, l), true
			}
		}
	}}
}

// assigned is what a target holds: a tuple where it has more than one name.
func assigned(target expr, l *locals) any {
	t, ok := target.(*tupleExpr)
	if !ok {
		return l.get(target.(*nameExpr).at)
	}
	out := &Tuple{}
	for _, item := range t.items {
		out.Items = append(out.Items, assigned(item, l))
	}
	return out
}

// loopContext is the variable loop. It looks ahead by at most one item, as jinja2's does.
type loopContext struct {
	x       *exec
	over    any
	next    func() (any, bool)
	recurse func(items any) any
	depth   int

	index           int // from 0
	before, current any
	ahead           any
	peeked, ended   bool // ahead is valid; there is no item ahead
	length          int
	measured        bool
	changedBefore   *Tuple
}

func (l *loopContext) advance() bool {
	l.peek()
	if l.ended {
		return false
	}
	l.index++
	l.before, l.current = l.current, l.ahead
	l.ahead, l.peeked = nil, false
	return true
}

func (l *loopContext) peek() {
	if !l.peeked {
		l.ahead, l.peeked = nil, true
		v, ok := l.next()
		l.ahead, l.ended = v, !ok
	}
}

// len is the number of items; an iterator is read to its end for it.
func (l *loopContext) len() int {
	if l.measured {
		return l.length
	}
	l.measured = true
	if n, ok := size(l.over); ok {
		l.length = n
		return n
	}
	var rest []any
	ahead := 0
	if l.peeked && !l.ended {
		ahead = 1
	}
	if !l.ended {
		for v, ok := l.next(); ok; v, ok = l.next() {
			rest = append(rest, v)
		}
	}
	l.next = func() (any, bool) {
		if len(rest) == 0 {
			return nil, false
		}
		v := rest[0]
		rest = rest[1:]
		return v, true
	}
	l.length = len(rest) + l.index + 1 + ahead
	return l.length
}

// attr returns an attribute of the variable loop.
func (l *loopContext) attr(name string) (any, bool) {
	switch name {
	case "index":
		return l.index + 1, true
	case "index0":
		return l.index, true
	case "first":
		return l.index == 0, true
	case "last":
		l.peek()
		return l.ended, true
	case "length":
		return l.len(), true
	case "revindex":
		return l.len() - l.index, true
	case "revindex0":
		return l.len() - l.index - 1, true
	case "depth":
		return l.depth + 1, true
	case "depth0":
		return l.depth, true
	case "previtem":
		if l.index == 0 {
			return &undefined{text: "there is no previous item"}, true
		}
		return l.before, true
	case "nextitem":
		l.peek()
		if l.ended {
			return &undefined{text: "there is no next item"}, true
		}
		return l.ahead, true
	case "cycle":
		return &function{"cycle", func(_ *exec, a args) any {
			if len(a.names) > 0 {
				typeError("LoopContext.cycle() got an unexpected keyword argument %s", repr(a.names[0]))
			}
			if len(a.positional) == 0 {
				typeError("no items for cycling given")
			}
			return a.positional[l.index%len(a.positional)]
		}}, true
	case "changed":
		return &function{"changed", func(x *exec, a args) any {
			if len(a.names) > 0 {
				typeError("LoopContext.changed() got an unexpected keyword argument %s", repr(a.names[0]))
			}
			now := &Tuple{Items: slices.Clone(a.positional)}
			if l.changedBefore != nil && equal(x, l.changedBefore, now) {
				return false
			}
			l.changedBefore = now
			return true
		}}, true
	}
	return nil, false
}
