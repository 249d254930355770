package search

import (
	"iter"
	"slices"
)

// Tree is the result of a search. It is flat: nodes refer to each other by index,
// and a parent comes before its children. Nodes[0] is the root, the empty answer.
type Tree struct {
	Nodes []Node `json:"nodes"`

	Stop       Stop `json:"stop"`
	Iterations int  `json:"iterations"`
	Revisits   int  `json:"revisits"` // iterations that found nothing left to draw
	Tokens     int  `json:"tokens"`   // sampled, duplicates included
	Draws      int  `json:"draws"`    // requests made, roll-outs included

	Expansions  int     `json:"expansions"`  // times that a node was expanded or widened
	Distinct    int     `json:"distinct"`    // children that those nodes have
	Temperature float64 `json:"temperature"` // at the end of the search
}

// Node is a state and, except for the root, the action that led to it.
type Node struct {
	Parent   int   `json:"parent"`             // −1 at the root
	Children []int `json:"children,omitempty"` // in the order drawn; read only

	// The action.
	Tokens  []int32 `json:"tokens,omitempty"`
	LogProb float64 `json:"logprob"` // nats per token, at temperature 1
	Prior   float64 `json:"prior"`   // p(a|s): exp(LogProb) normalised over the siblings
	Handle  int64   `json:"-"`       // Fragment.Handle

	// The state.
	Depth    int     `json:"depth"`  // fragments from the root
	Length   int     `json:"length"` // tokens from the root, this node's included
	Terminal bool    `json:"terminal,omitempty"`
	Cut      bool    `json:"cut,omitempty"`  // terminal because it reached the length limit
	Pass     bool    `json:"pass,omitempty"` // terminal and right
	Outcome  float64 `json:"outcome"`        // O
	SelfEval float64 `json:"selfeval"`       // C
	R        float64 `json:"r"`              // R(s) = O + C

	// The statistics.
	N      int     `json:"n"`      // visits, at least 1
	Reward float64 `json:"reward"` // r(s,a) = R(s') − R(s), with this node as s'
	Q      float64 `json:"q"`      // Q(s,a) = r + γ·V(s'); at the root, which no action leads to, γ·V
	V      float64 `json:"v"`      // V(s) = Σ N·Q / Σ N over the children; 0 without children

	Draws    int  `json:"draws"`             // continuations drawn from this node
	Covered  bool `json:"covered,omitempty"` // its children hold Params.Coverage of the probability
	Done     bool `json:"done,omitempty"`    // nothing is left to draw at or below this node
	Finished int  `json:"finished"`          // terminals at or below: finished roll-outs
	Passing  int  `json:"passing"`           // terminals at or below that pass
}

func newTree(p Params) *Tree {
	return &Tree{Nodes: []Node{{Parent: -1, Prior: 1}}, Temperature: p.Temperature}
}

// Prefix appends to dst the answer's tokens from the root through the node.
func (t *Tree) Prefix(dst []int32, node int) []int32 {
	end := len(dst) + t.Nodes[node].Length
	dst = slices.Grow(dst, t.Nodes[node].Length)[:end]
	for i := node; i > 0; i = t.Nodes[i].Parent {
		end -= copy(dst[end-len(t.Nodes[i].Tokens):end], t.Nodes[i].Tokens)
	}
	return dst
}

// Branching yields, in index order, the nodes at which at least two children have
// finished roll-outs. Only these can give a preference pair.
func (t *Tree) Branching() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range t.Nodes {
			finished := 0
			for _, child := range t.Nodes[i].Children {
				finished += min(1, t.Nodes[child].Finished)
			}
			if finished >= 2 && !yield(i) {
				return
			}
		}
	}
}

// MeanDistinct is the mean number of children per expansion. It measures how varied
// the policy's answers are. 0 before the first expansion.
func (t *Tree) MeanDistinct() float64 {
	if t.Expansions == 0 {
		return 0
	}
	return float64(t.Distinct) / float64(t.Expansions)
}

// add appends a child that a fragment leads to, and returns its index.
func (t *Tree) add(parent int, f Fragment) int {
	child := len(t.Nodes)
	p := &t.Nodes[parent]
	p.Children = append(p.Children, child)
	t.Nodes = append(t.Nodes, Node{
		Parent: parent, Tokens: f.Tokens, LogProb: f.LogProb, Prior: 1, Handle: f.Handle,
		Depth: p.Depth + 1, Length: p.Length + len(f.Tokens),
		Terminal: f.Terminal, Cut: f.Cut,
		Reward: 0 - p.R, // R(s') is 0 until the state is judged
	})
	return child
}
