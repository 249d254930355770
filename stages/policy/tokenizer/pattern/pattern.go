// Package pattern cuts texts by regular expressions as Hugging Face tokenizers does: with the syntax of
// Oniguruma, its order of alternatives and its classes of code points (Unicode 16), look-ahead included.
// The time is linear in the length of the text, for every expression and every text.
//
// It reads what the expressions of tokenizers consist of: characters and their escapes, brackets with ranges,
// other brackets and && in them, \s \d \w \p{…} and their opposites, alternatives, groups, look-around, atomic
// groups, greedy, lazy and possessive repetitions, (?i: ) around ASCII, and ^ $ \A \z \Z \b \B. Compile refuses
// everything else, and what other libraries read in another way; its error names the part and its place.
//
//	p, err := pattern.Compile(`\p{L}+(?!\S)|\s+`)
//	spans := p.Spans(nil, "to be")
//
// A library that backtracks was rejected. A hostile text can keep one busy for hours, and a time limit
// makes what comes out depend on how busy the machine is. Here nothing is tried twice: see Pattern.ends.
package pattern

import (
	"fmt"
	"sync"
	"unicode/utf8"
)

// The bounds of an expression. The longest one of a published tokenizer has some 2,000 bytes, and the
// largest program 1,100 steps (Jais 2).
const (
	maxBytes  = 1 << 14 // of an expression
	maxDepth  = 50      // of groups and brackets
	maxRepeat = 1000    // in {n,m}
	maxSteps  = 2000    // of a program; the time for one code point is proportional to them
	maxAtoms  = 16      // atomic groups and possessive repetitions; each takes memory for every code point
)

// Pattern is a compiled expression. It does not change, so many goroutines may use it at once.
type Pattern struct {
	steps   []step
	start   int32   // the step with which a match begins
	atoms   []int32 // the steps that are atomic groups
	behind  []behind
	hits    []bool // (classes, steps) whether the set of a step has the class
	classes classes
	scratch sync.Pool // *scratch
}

// Span is a part of a text, from byte From to before byte To.
type Span struct {
	From, To int
	Match    bool // the expression matches this part; otherwise it lies between matches
}

// Compile reads an expression. Errors say at which byte it has what.
func Compile(expr string) (*Pattern, error) {
	tree, err := parse(expr)
	if err != nil {
		return nil, err
	}
	return build(tree)
}

// Spans appends to dst the parts of text, in order: the matches, and what lies between them. Together they
// are the text. A match may be empty. Bytes that are no UTF-8 count as U+FFFD, one for each byte.
func (p *Pattern) Spans(dst []Span, text string) []Span {
	s, _ := p.scratch.Get().(*scratch)
	if s == nil {
		s = &scratch{}
	}
	s.read(&p.classes, text)
	ends, n := p.ends(s), len(s.class)-1
	prev := 0
	add := func(from, to int, match bool) {
		dst = append(dst, Span{s.at[from], s.at[to], match})
	}
	// An empty match directly behind a match does not count, as in Oniguruma's own iterator.
	for from, last := 0, -1; from <= n; {
		at := from
		for at <= n && ends[at] < 0 {
			at++
		}
		if at > n {
			break
		}
		end := int(ends[at])
		if empty := end == at; empty && end == last {
			from++
			continue
		}
		if prev != at {
			add(prev, at, false)
		}
		add(at, end, true)
		prev, from, last = end, end, end
	}
	if prev != n {
		add(prev, n, false)
	}
	if len(s.class) <= keep {
		p.scratch.Put(s)
	}
	return dst
}

// keep is the longest text, in code points, whose memory is kept for the next call.
const keep = 1 << 16

// scratch is the memory for one text of n code points.
type scratch struct {
	class []uint16 // (n + 1) the classes of the code points, then endOfText
	at    []int    // (n + 1) where each code point begins
	ends  []int32  // (n + 1) where the match that begins here ends, or −1
	now   []int32  // (steps) where a match that goes on here with this step ends, or −1
	next  []int32  // the same, one code point later
	after []int32  // (atoms, n + 1) the same, for the step behind each atomic group
}

// read fills in the classes and places of the code points.
func (s *scratch) read(c *classes, text string) {
	s.class, s.at = s.class[:0], s.at[:0]
	for i, r := range text { // a byte that is no UTF-8 is read as U+FFFD
		s.class = append(s.class, c.of(r))
		s.at = append(s.at, i)
	}
	s.class = append(s.class, endOfText)
	s.at = append(s.at, len(text))
}

// ends computes for every place where the match that begins there ends.
//
// A backtracking matcher asks: if step i goes on at place t, where does the match end? Without references
// back to groups the answer depends on nothing else. It depends on the answers of other steps at t, which
// order sorts before i, and on those at t + 1. So the answers are computed from the end of the text to its
// beginning, each once: time is steps × places, and of the answers two places are enough to remember.
func (p *Pattern) ends(s *scratch) []int32 {
	n := len(s.class) - 1
	s.ends = sized(s.ends, n+1)
	s.now, s.next = sized(s.now, len(p.steps)), sized(s.next, len(p.steps))
	s.after = sized(s.after, len(p.atoms)*(n+1))
	for i := range s.next {
		s.next[i] = none
	}
	for t := n; t >= 0; t-- {
		p.answer(s, t)
		for k, i := range p.atoms {
			s.after[k*(n+1)+t] = s.now[p.steps[i].to]
		}
		s.ends[t] = s.now[p.start]
		s.now, s.next = s.next, s.now
	}
	return s.ends
}

// answer computes for every step where the match ends if the step goes on at place t.
func (p *Pattern) answer(s *scratch, t int) {
	now, next, n := s.now, s.next, len(s.class)-1
	hits := p.hits[int(s.class[t])*len(p.steps):][:len(p.steps)]
	for i := range p.steps {
		st := &p.steps[i]
		goOn := false
		switch st.op {
		case opAccept:
			now[i] = int32(t)
			continue
		case opClass:
			now[i] = none
			if hits[i] {
				now[i] = next[st.to]
			}
			continue
		case opSplit:
			if now[i] = now[st.first]; now[i] != none {
				continue
			}
			goOn = true
		case opAtomic: // an empty body goes on here
			body := now[st.first]
			if body > int32(t) {
				now[i] = s.after[int(st.index)*(n+1)+int(body)]
				continue
			}
			goOn = body != none
		case opAhead:
			goOn = (now[st.first] != none) != st.negate
		case opBehind:
			goOn = p.behind[st.index].holds(s.class, t) != st.negate
		case opStart:
			goOn = t == 0
		case opEnd:
			goOn = t == n
		}
		now[i] = none
		if goOn {
			now[i] = now[st.to]
		}
	}
}

const none = -1

func sized(s []int32, n int) []int32 {
	if cap(s) < n {
		return make([]int32, n)
	}
	return s[:n]
}

// Error says what about an expression is not supported, or wrong, and where.
type Error struct {
	Expr string
	Byte int // where it stands
	What string
}

func (e *Error) Error() string {
	expr := e.Expr
	if len(expr) > 200 {
		expr = expr[:200]
		for !utf8.ValidString(expr) && len(expr) > 190 {
			expr = expr[:len(expr)-1]
		}
		expr += "…"
	}
	return fmt.Sprintf("pattern %q: byte %d: %s", expr, e.Byte, e.What)
}
