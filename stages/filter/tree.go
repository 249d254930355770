package filter

import (
	"fmt"
	"math"
	"slices"

	"itool/schemas"
	"itool/stages/judge"
)

// tree is a candidate batch and what follows from its rows.
type tree struct {
	rows     []schemas.Candidate
	children [][]int
	finished []int           // terminals at or below a node
	passing  []int           // those that pass
	exam     *judge.Examiner // by the reference at the root; nil: there is none, or it cannot be read
}

// newTree checks that the rows are one tree, with parents before their children. The
// rows come from a queue, so it assumes nothing about them.
func newTree(rows []schemas.Candidate) (*tree, error) {
	n := len(rows)
	t := &tree{rows: rows, children: make([][]int, n), finished: make([]int, n), passing: make([]int, n)}
	for i, r := range rows {
		first := i == 0
		switch {
		case int(r.Node) != i:
			return nil, fmt.Errorf("row %d: node %d: rows must be numbered in order", i, r.Node)
		case first && r.Parent != -1:
			return nil, fmt.Errorf("row 0: parent %d: the first row is the root, with parent -1", r.Parent)
		case !first && (r.Parent < 0 || int(r.Parent) >= i):
			return nil, fmt.Errorf("row %d: parent %d: parents come before their children", i, r.Parent)
		case r.ExampleID != rows[0].ExampleID:
			return nil, fmt.Errorf("row %d: example %q: the tree is of %q", i, r.ExampleID, rows[0].ExampleID)
		case math.IsNaN(r.Q) || math.IsInf(r.Q, 0):
			return nil, fmt.Errorf("row %d: q: %g is not a finite number", i, r.Q)
		}
		if !first {
			t.children[r.Parent] = append(t.children[r.Parent], i)
		}
	}
	for i, r := range slices.Backward(rows) {
		if r.Terminal {
			t.finished[i]++
		}
		if r.Terminal && r.Pass {
			t.passing[i]++
		}
		if i > 0 {
			t.finished[r.Parent] += t.finished[i]
			t.passing[r.Parent] += t.passing[i]
		}
	}
	if n > 0 {
		t.exam = examiner(&rows[0])
	}
	return t, nil
}

// examiner reads the reference at the root.
func examiner(root *schemas.Candidate) *judge.Examiner {
	if root.Reference == "" && root.Acceptable == "" {
		return nil
	}
	e, err := judge.NewExaminer(&schemas.Example{
		ID: root.ExampleID, Category: root.Category, Tools: root.Tools, Reference: root.Reference,
		Acceptable: root.Acceptable, Calls: root.Calls,
	})
	if err != nil {
		return nil // expand has read it; another program may write what cannot be read
	}
	return e
}

// sides are the children of a node that a pair can have. Unless unfinished ones count, below each an
// answer has come to its end.
func (t *tree) sides(node int, unfinished bool) []int {
	var all []int
	for _, c := range t.children[node] {
		if t.finished[c] > 0 || unfinished {
			all = append(all, c)
		}
	}
	return all
}

// ends returns the best and the worst of at least two sides by Q, and the earlier one if several are equal.
func (t *tree) ends(sides []int) (best, worst int) {
	best = sides[0]
	for _, c := range sides[1:] {
		if t.rows[c].Q > t.rows[best].Q {
			best = c
		}
	}
	worst = -1
	for _, c := range sides {
		if c != best && (worst < 0 || t.rows[c].Q < t.rows[worst].Q) {
			worst = c
		}
	}
	return best, worst
}

// decided returns two of the sides between which the reference decides: the best by Q that it prefers to
// some other, and the worst of those others. A side that leads to an answer that passes is not worse,
// though the grammar may say so. ok is false if there are no two such sides.
func (t *tree) decided(text string, sides []int) (best, worst int, ok bool) {
	if t.exam == nil {
		return 0, 0, false
	}
	fragments := make([]judge.Fragment, len(sides))
	for i, c := range sides {
		fragments[i] = t.fragment(text, c)
	}
	better := func(c, than int, found bool) bool { return !found || t.rows[c].Q > t.rows[than].Q }
	for i, c := range sides {
		if !better(c, best, ok) {
			continue
		}
		under, found := 0, false
		for j, other := range sides {
			if t.passing[other] > 0 {
				continue
			}
			if _, over := fragments[i].Over(fragments[j]); over && (!found || t.rows[other].Q < t.rows[under].Q) {
				under, found = other, true
			}
		}
		if found {
			best, worst, ok = c, under, true
		}
	}
	return best, worst, ok
}

// fragment judges a child of a node by the reference; text is the answer's up to the node.
func (t *tree) fragment(text string, child int) judge.Fragment {
	r := &t.rows[child]
	return t.exam.Fragment(text, r.Text, r.Terminal && !r.Cut)
}

// kind is what the reference decides between two children of a node, "" for nothing.
func (t *tree) kind(text string, chosen, rejected int) judge.Kind {
	if t.exam == nil {
		return ""
	}
	kind, _ := t.fragment(text, chosen).Over(t.fragment(text, rejected))
	return kind
}

// path returns the tokens of the prompt and of the answer up to the node, and the
// answer's text up to the node.
func (t *tree) path(node int) (tokens []int32, text string) {
	var nodes []int
	for n := node; n > 0; n = int(t.rows[n].Parent) {
		nodes = append(nodes, n)
	}
	tokens = slices.Clone(t.rows[0].Tokens)
	for _, n := range slices.Backward(nodes) {
		tokens = append(tokens, t.rows[n].Tokens...)
		text += t.rows[n].Text
	}
	return tokens, text
}

func (t *tree) side(node int) side {
	r := t.rows[node]
	return side{tokens: r.Tokens, text: r.Text, terminal: r.Terminal, q: r.Q, passing: t.passing[node]}
}
