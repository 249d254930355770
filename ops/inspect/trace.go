package inspect

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"itool/schemas"
)

// Trace is where something of a run comes from and what came of it. It lists the policies, pairs, trees and
// examples that hang together with what was asked about.
type Trace struct {
	Schema string `json:"schema"`
	Run    string `json:"run"`
	Of     string `json:"of"`   // what was asked about, as the run names it
	Kind   string `json:"kind"` // policy, pair, tree or example
	// Policies are, in order: of a policy, those that it descends from and itself; of a pair or a tree, the one that
	// searched and the one that was trained on it; of an example, all of these.
	Policies []Policy      `json:"policies"`
	Pairs    []Pair        `json:"pairs"`    // of a policy, those that it was trained on; else all, kept or not
	Trees    []TreeSummary `json:"trees"`    // that the pairs come from, by round and example
	Examples []Origin      `json:"examples"` // that the trees search, by ID

	Unreadable []string `json:"unreadable,omitempty"`
}

// The kinds of Trace.
const (
	KindPolicy  = "policy"
	KindPair    = "pair"
	KindTree    = "tree"
	KindExample = "example"
)

// Origin is where an example comes from, and what became of it in the selection of each round.
type Origin struct {
	ID        string     `json:"id"`
	Source    string     `json:"source"` // file of the dataset
	Row       int        `json:"row"`    // in that file, from 0
	Turn      int        `json:"turn"`   // assistant's turn in the row, from 0
	Part      string     `json:"part"`
	Replay    bool       `json:"replay"` // in the buffer that the rounds choose from
	Question  string     `json:"question"`
	Reference string     `json:"reference"`
	Selection []Selected `json:"selection"` // by round; empty unless an example or a pair was asked about
}

// Selected is an example's place in a round's selection.
type Selected struct {
	Round      int     `json:"round"`
	Perplexity float64 `json:"perplexity"`
	Rank       int     `json:"rank"` // among the examples with a call, or without; from 0
	Selected   bool    `json:"selected"`
}

// UnknownError says that a run has nothing of a name.
type UnknownError struct{ Run, What string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("run %s has no policy, pair, tree or example %q: give a policy (warm-up, 1, or a digest), "+
		"a pair (0/EXAMPLE/NODE), a tree (0/EXAMPLE), an example's ID, or an adapter's folder; itool tree %s --list "+
		"shows trees, itool examples %s examples", e.Run, e.What, e.Run, e.Run)
}

// Trace follows what a name says: a policy (its name, round or digest), a pair (0/EXAMPLE/NODE), a tree (0/EXAMPLE) or
// an example (ID). *UnknownError: there is none of that name.
func (r *Run) Trace(ctx context.Context, what string) (*Trace, error) {
	t := &Trace{
		Schema: SchemaTrace, Run: r.Name, Of: what, Policies: []Policy{}, Pairs: []Pair{}, Trees: []TreeSummary{},
		Examples: []Origin{},
	}
	err := r.follow(ctx, t, what)
	t.Unreadable = r.Unreadable
	return t, err
}

func (r *Run) follow(ctx context.Context, t *Trace, what string) error {
	if round, err := r.ParseRound(what); err == nil {
		return r.tracePolicy(ctx, t, round)
	}
	if round, example, node, ok := ParsePairID(what); ok {
		t.Kind = KindPair
		return r.traceTree(ctx, t, round, example, func(p *Pair) bool { return p.Node == node })
	}
	if round, example, ok := strings.Cut(what, "/"); ok {
		t.Kind = KindTree
		n, err := strconv.Atoi(round)
		if err != nil {
			return &UnknownError{r.Name, what}
		}
		return r.traceTree(ctx, t, n, example, func(*Pair) bool { return true })
	}
	return r.traceExample(ctx, t, what)
}

// tracePolicy follows a policy down to the examples that its pairs come from.
func (r *Run) tracePolicy(ctx context.Context, t *Trace, round int) error {
	t.Kind, t.Of = KindPolicy, r.policy(round).Name
	for _, p := range r.Policies {
		if p.Round <= round {
			t.Policies = append(t.Policies, p)
		}
	}
	if round < 1 {
		return nil
	}
	pairs, err := r.Pairs(ctx, round-1, false)
	if err != nil {
		return err
	}
	t.Pairs = slices.DeleteFunc(pairs, func(p Pair) bool { return !p.Trained })
	for i, p := range t.Pairs {
		if i > 0 && t.Pairs[i-1].Example == p.Example {
			continue
		}
		if err := r.addTree(ctx, t, p.Round, p.Example, false); err != nil {
			return err
		}
	}
	return nil
}

// traceTree follows a tree, and those of its pairs that are wanted, both ways.
func (r *Run) traceTree(ctx context.Context, t *Trace, round int, example string, wanted func(*Pair) bool) error {
	keys, err := r.trees(ctx, round)
	if err != nil {
		return err
	}
	if !slices.Contains(keys, example) {
		return &NotSearchedError{r.Name, example, round}
	}
	if err := r.addPairs(ctx, t, round, example, wanted); err != nil {
		return err
	}
	if t.Kind == KindPair && len(t.Pairs) == 0 {
		return fmt.Errorf("run %s: the tree %d/%s has no branching node of that number: itool tree %s %s --round %d "+
			"shows its pairs", r.Name, round, example, r.Name, example, round)
	}
	r.around(t, round)
	return r.addTree(ctx, t, round, example, true)
}

// addPairs adds pairs of a tree, marked as the update took them. That a pair is a duplicate of another tree's is
// known only after all pairs of the round.
func (r *Run) addPairs(ctx context.Context, t *Trace, round int, example string, wanted func(*Pair) bool) error {
	all, err := r.roundPairs(ctx, round, func(id string) bool { return id == example }, true)
	if err != nil {
		return err
	}
	for i := range all {
		if wanted(&all[i]) {
			t.Pairs = append(t.Pairs, all[i])
		}
	}
	return nil
}

// around adds the policy that searched and the one that was trained on what it found.
func (r *Run) around(t *Trace, round int) {
	for _, n := range []int{round, round + 1} {
		known := slices.ContainsFunc(t.Policies, func(p Policy) bool { return p.Round == n })
		if p := r.policy(n); p != nil && !known {
			t.Policies = append(t.Policies, *p)
		}
	}
}

// traceExample follows an example through all rounds.
func (r *Run) traceExample(ctx context.Context, t *Trace, id string) error {
	t.Kind = KindExample
	ex, err := r.example(ctx, id)
	if err != nil {
		return err
	}
	if ex == nil {
		return &UnknownError{r.Name, id}
	}
	for _, p := range r.Policies {
		keys, err := r.trees(ctx, p.Round)
		if err != nil {
			return err
		}
		if !slices.Contains(keys, id) {
			continue
		}
		if err := r.addPairs(ctx, t, p.Round, id, func(*Pair) bool { return true }); err != nil {
			return err
		}
		r.around(t, p.Round)
		if err := r.addTree(ctx, t, p.Round, id, false); err != nil {
			return err
		}
	}
	t.Examples = t.Examples[:0]
	return r.addOrigin(ctx, t, ex, true)
}

// addTree adds a tree and its example. selection adds what became of the example in the rounds' selections.
func (r *Run) addTree(ctx context.Context, t *Trace, round int, example string, selection bool) error {
	ex, err := r.example(ctx, example)
	if err != nil {
		return err
	}
	s, err := r.summaryOf(ctx, example, round)
	if err != nil {
		return err
	}
	if s != nil {
		if ex != nil {
			s.Question = shown(ex).Question
		}
		t.Trees = append(t.Trees, *s)
	}
	if ex == nil {
		return nil
	}
	return r.addOrigin(ctx, t, ex, selection)
}

func (r *Run) addOrigin(ctx context.Context, t *Trace, ex *schemas.Example, selection bool) error {
	o := Origin{
		ID: ex.ID, Source: ex.Source, Row: int(ex.Row), Turn: int(ex.Turn), Part: ex.Part, Replay: ex.Replay,
		Question: shown(ex).Question, Reference: ex.Reference, Selection: []Selected{},
	}
	for _, p := range r.Policies {
		if !selection {
			break
		}
		all, _, _, err := rows[schemas.Selection](ctx, r, schemas.RecordSelection, p.Round, schemas.KeySelection)
		if err != nil {
			return err
		}
		for _, s := range all {
			if s.ExampleID == ex.ID {
				o.Selection = append(o.Selection, Selected{p.Round, s.Perplexity, int(s.Rank), s.Selected})
			}
		}
	}
	t.Examples = append(t.Examples, o)
	return nil
}
