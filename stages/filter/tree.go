package filter

import (
	"fmt"
	"math"
	"slices"

	"itool/schemas"
)

// tree is a candidate batch and what follows from its rows.
type tree struct {
	rows     []schemas.Candidate
	children [][]int
	finished []int // terminals at or below a node
	passing  []int // those that pass
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
	return t, nil
}

// ends returns the best and the worst child by Q among those with a finished roll-out,
// and the earlier one if several are equal. ok is false if fewer than two have one.
func (t *tree) ends(node int) (best, worst int, ok bool) {
	var done []int
	for _, c := range t.children[node] {
		if t.finished[c] > 0 {
			done = append(done, c)
		}
	}
	if len(done) < 2 {
		return 0, 0, false
	}
	best = done[0]
	for _, c := range done[1:] {
		if t.rows[c].Q > t.rows[best].Q {
			best = c
		}
	}
	worst = -1
	for _, c := range done {
		if c != best && (worst < 0 || t.rows[c].Q < t.rows[worst].Q) {
			worst = c
		}
	}
	return best, worst, true
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
