package ui

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"itool/ops/inspect"
)

// Limits of one answer about a tree: a node's children are fetched when it is opened.
const (
	firstLevels  = 3   // that are shown at first
	mostChildren = 100 // of one node at a time
	firstNodes   = 400 // in all at first
)

// TreeView is a search tree as it is shown.
type TreeView struct {
	*inspect.Tree
	Root *Branch
	Live bool
	Run  string
}

// Branch is a node with the children that are shown.
type Branch struct {
	inspect.Node
	Children []*Branch
	Hidden   int    // children that are not shown
	More     string // address that shows them; "": a file, which cannot
	Open     bool
}

// Tone says how good the node is, for its colour.
func (b *Branch) Tone() string {
	switch {
	case b.Q > 0:
		return "up"
	case b.Q < 0:
		return "down"
	}
	return ""
}

// Strength is the absolute value of Q in percent.
func (b *Branch) Strength() string { return fmt.Sprintf("%.0f%%", 100*min(1, math.Abs(b.Q))) }

// End says how an answer ends.
func (b *Branch) End() string {
	switch {
	case !b.Terminal:
		return ""
	case b.Pass:
		return "✓ right"
	case b.Cut:
		return "✗ cut by length"
	}
	return "✗ " + b.ErrorType
}

// grower makes branches of a tree's nodes, at most as many as left.
type grower struct {
	nodes    []inspect.Node
	children [][]int
	address  string // of the tree; "": nothing can be fetched later
	left     int
}

func newGrower(t *inspect.Tree, address string, nodes int) *grower {
	g := &grower{t.Nodes, make([][]int, len(t.Nodes)), address, nodes}
	for i, n := range t.Nodes {
		if n.Parent >= 0 && n.Parent < i { // inspect has checked it
			g.children[n.Parent] = append(g.children[n.Parent], i)
		}
	}
	return g
}

// branch shows a node with so many levels below it, from a child on.
func (g *grower) branch(node, levels, from int) *Branch {
	b := &Branch{Node: g.nodes[node], Open: levels > 0}
	g.left--
	all := g.children[node]
	all = all[min(from, len(all)):]
	for _, child := range all[:min(len(all), mostChildren)] {
		if levels <= 0 || g.left <= 0 {
			break
		}
		b.Children = append(b.Children, g.branch(child, levels-1, 0))
	}
	if b.Hidden = len(all) - len(b.Children); b.Hidden > 0 && g.address != "" {
		b.More = fmt.Sprintf("%s/%d?from=%d", g.address, node, from+len(b.Children))
	}
	b.Open = len(b.Children) > 0
	return b
}

// trees lists the search trees of a run.
func (s *Server) trees(w http.ResponseWriter, r *http.Request) error {
	run, release, err := s.inspected(r.Context(), r)
	if err != nil {
		return err
	}
	defer release()
	q := r.URL.Query()
	f := inspect.TreeFilter{Limit: mostTrees, Mixed: q.Get("only") == "mixed", WithPairs: q.Get("only") == "pairs"}
	if round := lastSearched(run); q.Get("round") == "" && round >= 0 {
		f.Round = &round
	} else if n, err := strconv.Atoi(q.Get("round")); err == nil {
		f.Round = &n
	}
	found, err := run.Trees(r.Context(), f)
	return fragment(w, "tree-list", found, err)
}

// lastSearched is the last round that can have trees: that of the policy before the last, or the last itself.
func lastSearched(run *inspect.Run) int {
	return max(0, len(run.Policies)-3)
}

// shelf keeps the trees that were shown last: their nodes are opened one after the other. A tree never changes.
type shelf struct {
	mu    sync.Mutex
	trees []*inspect.Tree // the last one first
}

const mostKept = 4

func (s *shelf) put(t *inspect.Tree) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trees = append([]*inspect.Tree{t}, s.trees[:min(len(s.trees), mostKept-1)]...)
}

// get finds the tree of a request; nil: it is not kept.
func (s *shelf) get(r *http.Request) *inspect.Tree {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.trees {
		if t.Run == r.PathValue("run") && t.Summary.Example == r.PathValue("example") &&
			strconv.Itoa(t.Summary.Round) == r.PathValue("round") {
			return t
		}
	}
	return nil
}

// readTree reads the tree of a request.
func (s *Server) readTree(r *http.Request) (*inspect.Tree, error) {
	run, release, err := s.inspected(r.Context(), r)
	if err != nil {
		return nil, err
	}
	defer release()
	round, err := strconv.Atoi(r.PathValue("round"))
	if err != nil {
		return nil, fmt.Errorf("%w: %.20q is no round", errAsked, r.PathValue("round"))
	}
	t, err := run.Tree(r.Context(), r.PathValue("example"), round)
	var none *inspect.NotSearchedError
	if errors.As(err, &none) {
		return nil, fmt.Errorf("%w: %w", errAsked, err)
	}
	if err == nil {
		s.shelf.put(t)
	}
	return t, err
}

func treeAddress(t *inspect.Tree) string {
	return fmt.Sprintf("/run/%s/tree/%d/%s", url.PathEscape(t.Run), t.Summary.Round, url.PathEscape(t.Summary.Example))
}

// tree shows a search tree, its first levels.
func (s *Server) tree(w http.ResponseWriter, r *http.Request) error {
	t, err := s.readTree(r)
	if err != nil {
		return err
	}
	v := &TreeView{Tree: t, Live: true, Run: t.Run}
	v.Root = newGrower(t, treeAddress(t), firstNodes).branch(0, firstLevels, 0)
	return fragment(w, "tree", v, nil)
}

// children shows the children of one node.
func (s *Server) children(w http.ResponseWriter, r *http.Request) error {
	t := s.shelf.get(r)
	if t == nil {
		var err error
		if t, err = s.readTree(r); err != nil {
			return err
		}
	}
	node, err := strconv.Atoi(r.PathValue("node"))
	if err != nil || node < 0 || node >= len(t.Nodes) {
		return fmt.Errorf("%w: the tree has no node %.20q", errAsked, r.PathValue("node"))
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("from"))
	b := newGrower(t, treeAddress(t), firstNodes).branch(node, 2, max(0, from))
	return fragment(w, "children", b, nil)
}

// frozenTreesOf reads some trees of the last round that was searched, those with pairs.
func frozenTreesOf(ctx context.Context, run *inspect.Run) ([]*TreeView, error) {
	round, left := lastSearched(run), frozenNodes
	found, err := run.Trees(ctx, inspect.TreeFilter{Round: &round, WithPairs: true, Limit: frozenTrees})
	var none *inspect.NoAnswersError
	if errors.As(err, &none) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []*TreeView
	for _, summary := range found.Trees {
		t, err := run.Tree(ctx, summary.Example, round)
		if err != nil {
			return nil, err
		}
		g := newGrower(t, "", left)
		out = append(out, &TreeView{Tree: t, Run: t.Run, Root: g.branch(0, frozenDepth, 0)})
		if left = g.left; left <= 0 {
			break
		}
	}
	return out, nil
}
