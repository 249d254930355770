// Package constrain restricts what a model draws to JSON of a schema, or to calls of tools, token by token
// (constrained decoding). It knows no HTTP and no model: a Vocabulary is the bytes of each token, a Matcher
// gives the set of tokens that may come next.
//
// A schema becomes an automaton over bytes with calls and returns (automaton.go), because JSON nests. Sets of
// its places become states on demand, with their transitions and their sets of tokens kept (states.go). A set of
// tokens is one walk through the trie of the vocabulary (vocabulary.go).
//
// Schemas are hostile input: size, nesting, states and work per token are bounded, and what is not supported is
// an error that names the keyword and its place. Nothing is ignored but what describes, such as title.
//
//	v, err := constrain.NewVocabulary(size, bytesOf, isControl, ends)
//	g, err := constrain.Compile(v, constrain.Spec{Schema: schema})
//	request.Constraint = g.Matcher()
package constrain

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"itool/schemas/toolcall"
)

// Spec says what an answer may be: one value of JSON, or calls, or either.
type Spec struct {
	Schema json.RawMessage // of the JSON; nil: none
	Object bool            // any JSON object, without a schema
	Calls  *Calls          // nil: none
}

// Calls are calls of tools.
type Calls struct {
	Format toolcall.Format
	Tools  json.RawMessage // as clients send them
	Name   string          // of the only tool that may be called; "": all may
	Many   bool            // up to maxCalls calls; false: one
}

// Grammar is a compiled Spec for one vocabulary. Many goroutines may use it.
type Grammar struct {
	vocabulary *Vocabulary
	machine    *automaton

	mu    sync.Mutex
	cache cache
}

// Compile makes the automaton of a spec. The error names the keyword of a schema, and its place.
func Compile(v *Vocabulary, s Spec) (*Grammar, error) {
	b := newBuilder()
	var roots []int32
	if s.Calls != nil {
		rule, err := b.calls(s.Calls)
		if err != nil {
			return nil, err
		}
		roots = append(roots, rule)
	}
	switch {
	case s.Schema != nil:
		rule, err := b.schema(s.Schema, jsonText)
		if err != nil {
			return nil, err
		}
		roots = append(roots, rule)
	case s.Object:
		roots = append(roots, b.free(jsonText).object)
	}
	if len(roots) == 0 {
		return nil, errors.New("constrain: nothing to restrict to")
	}
	m, err := b.finish(roots)
	if err != nil {
		return nil, err
	}
	g := &Grammar{vocabulary: v, machine: m}
	g.cache.path = make([]*state, v.deep+1)
	g.cache.reset()
	if g.cache.start(m); g.cache.work < 0 {
		return nil, ErrComplex
	}
	return g, nil
}

// ErrComplex says that a schema is so ambiguous that a token would take too long.
var ErrComplex = errors.New("the schema allows too many readings of what was drawn: use fewer alternatives " +
	"that begin alike")

// Matcher follows one answer. It implements policy.Constraint.
type Matcher struct {
	g     *Grammar
	state *state
}

// Matcher starts at the beginning of an answer.
func (g *Grammar) Matcher() *Matcher {
	g.mu.Lock()
	defer g.mu.Unlock()
	return &Matcher{g, g.cache.start(g.machine)}
}

// Allowed returns the set of tokens that may come next. The error is ErrComplex.
func (m *Matcher) Allowed() ([]uint64, error) {
	g := m.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.state == dead { // Accept gave up
		return nil, ErrComplex
	}
	m.state = g.cache.adopt(g.machine, m.state)
	if m.state.allowed == nil {
		set, err := g.walk(m.state)
		if err != nil {
			return nil, err
		}
		m.state.allowed = set
		g.cache.bytes += 8 * len(set)
	}
	return m.state.allowed, nil
}

// Accept follows a token. After an end of the answer nothing more is allowed.
func (m *Matcher) Accept(id int32) {
	g := m.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if slices.Contains(g.vocabulary.ends, id) {
		return
	}
	g.cache.work = maxWork
	for _, b := range g.vocabulary.bytes(id) {
		m.state = g.cache.step(g.machine, m.state, b)
	}
}

// Done tells whether the answer may end here.
func (m *Matcher) Done() bool { return m.state.final }

// walk goes through the trie of the vocabulary and collects the tokens whose bytes the automaton takes.
func (g *Grammar) walk(from *state) ([]uint64, error) {
	v, c := g.vocabulary, &g.cache
	c.work = maxWork
	set := make([]uint64, (v.size+63)/64)
	if from.final {
		for _, id := range v.ends {
			set[id>>6] |= 1 << (id & 63)
		}
	}
	c.path[0] = from
	for i := int32(0); i < int32(len(v.trie)); {
		n := &v.trie[i]
		s := c.step(g.machine, c.path[n.depth-1], n.b)
		if c.work < 0 {
			return nil, ErrComplex
		}
		if s == dead {
			i = n.behind
			continue
		}
		c.path[n.depth] = s
		for _, id := range v.ids[n.first : n.first+n.tokens] {
			set[id>>6] |= 1 << (id & 63)
		}
		i++
	}
	return set, nil
}
