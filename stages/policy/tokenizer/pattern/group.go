package pattern

import (
	"strings"
	"unicode/utf8"
)

// group reads what stands in parentheses.
func (p *parser) group() *node {
	at := p.at
	p.at++
	p.enter()
	fold := p.fold
	if fold {
		p.fail(at, "a group within (?i: ) is not supported")
	}
	var n *node
	switch {
	case !p.accept("?"):
		n = p.choice() // what a capturing group captures matters only to references, which are refused
	case p.accept(":"):
		n = p.choice()
	case p.accept("i:"):
		p.fold = true
		n = p.choice()
	case p.peek("="), p.peek("!"):
		n = place(&node{kind: kindAhead, negate: p.rune() == '!', subs: []*node{p.choice()}})
	case p.accept("<="):
		n = place(p.behind(at, false))
	case p.accept("<!"):
		n = place(p.behind(at, true))
	case p.accept(">"):
		n = &node{kind: kindAtomic, subs: []*node{p.choice()}}
	default:
		what, _, _ := strings.Cut(p.expr[p.at:], ")")
		_, first := utf8.DecodeRuneInString(what)
		p.fail(at, "a group that begins with (?%s is not supported", what[:first])
	}
	if !p.accept(")") {
		p.fail(at, "a ( without its )")
	}
	p.fold = fold
	p.before = 0
	p.depth--
	return n
}

// behind reads the body of a look-behind, which has alternatives of fixed length.
func (p *parser) behind(at int, negate bool) *node {
	body := p.choice()
	all := []*node{body}
	if body.kind == kindChoice {
		all = body.subs
	}
	n := &node{kind: kindBehind, negate: negate}
	for _, alternative := range all {
		seq, ok := flat(nil, alternative)
		if !ok || len(seq) == 0 {
			p.fail(at, "a look-behind is supported for alternatives of single characters and brackets only")
		}
		n.subs = append(n.subs, sequence(seq...))
	}
	return n
}

// flat appends the sets that n is a sequence of; ok is false if it is anything else.
func flat(all []*node, n *node) (_ []*node, ok bool) {
	switch n.kind {
	case kindSet:
		return append(all, n), true
	case kindSequence:
		for _, s := range n.subs {
			if all, ok = flat(all, s); !ok {
				return nil, false
			}
		}
		return all, true
	case kindRepeat:
		if n.min != n.max || n.max > 100 {
			return nil, false
		}
		for range n.max {
			if all, ok = flat(all, n.subs[0]); !ok {
				return nil, false
			}
		}
		return all, true
	}
	return nil, false
}
