package inspect

import (
	"context"
	"fmt"
	"math"
	"slices"

	"itool/schemas"
	"itool/stages/judge"
)

// Tree is one search tree with its pairs.
type Tree struct {
	Schema  string      `json:"schema"`
	Run     string      `json:"run"`
	Summary TreeSummary `json:"summary"` // which tree it is, and counts
	Of      *Example    `json:"example"` // without answers and searches; nil: its record is not there
	Nodes   []Node      `json:"nodes"`   // in the order of creation: parents before their children
	Pairs   []Pair      `json:"pairs"`   // of every branching node, kept or not; see Summary.Filtered
	Found   []FoundItem `json:"found"`   // the finished answers, each once, the most probable first
}

// Node is one node of a search tree: a fragment of an answer.
type Node struct {
	ID        int     `json:"id"`                   // index in the tree
	Parent    int     `json:"parent"`               // −1 for the root
	Depth     int     `json:"depth"`                // 0 for the root
	Text      string  `json:"text"`                 // of the fragment; empty at the root
	Tokens    int     `json:"tokens"`               // of the fragment; of the prompt at the root
	LogProb   float64 `json:"log_prob"`             // mean per token at temperature 1, nats
	Prior     float64 `json:"prior"`                // p(a|s), normalised over siblings
	Visits    int     `json:"visits"`               // N
	Q         float64 `json:"q"`                    // Eq. 8
	V         float64 `json:"v"`                    // Eq. 9
	Reward    float64 `json:"reward"`               // Eq. 6
	Outcome   float64 `json:"outcome"`              // O
	SelfEval  float64 `json:"self_eval"`            // C; 0 when it does not count
	Terminal  bool    `json:"terminal"`             // the answer ends here
	Cut       bool    `json:"cut,omitempty"`        // … because it ran out of length
	Pass      bool    `json:"pass,omitempty"`       // … and it is right
	ErrorType string  `json:"error_type,omitempty"` // … or wrong in this way
	// ChosenIn and RejectedIn are branching nodes whose kept pair has this node on that side; −1: none.
	ChosenIn   int `json:"chosen_in"`
	RejectedIn int `json:"rejected_in"`
}

// FoundItem is one finished answer of a tree. Nodes that end the same text count as one.
type FoundItem struct {
	Text      string        `json:"text"`
	Pass      bool          `json:"pass"`
	ErrorType string        `json:"error_type,omitempty"`
	Cut       bool          `json:"cut,omitempty"`
	Prob      float64       `json:"probability"` // by the policy at temperature 1, summed over the nodes; 0..1
	Nodes     []int         `json:"nodes"`       // that end it
	Faults    []judge.Fault `json:"faults,omitempty"`
	Parts     []judge.Part  `json:"parts,omitempty"` // see Answer
}

// NotSearchedError says that an example has no tree.
type NotSearchedError struct {
	Run     string
	Example string
	Round   int // LastRound: any
}

func (e *NotSearchedError) Error() string {
	where := "in any round"
	if e.Round != LastRound {
		where = fmt.Sprintf("in round %d", e.Round)
	}
	return fmt.Sprintf("run %s: example %q was not searched %s: itool tree %s --list shows the trees that there are",
		e.Run, e.Example, where, e.Run)
}

// Tree reads the tree of an example. round is that of the policy that searched; LastRound: the last one that did.
// *NotSearchedError: there is none.
func (r *Run) Tree(ctx context.Context, example string, round int) (*Tree, error) {
	rounds := []int{round}
	if round == LastRound {
		rounds = nil
		for _, p := range slices.Backward(r.Policies) {
			rounds = append(rounds, p.Round)
		}
	}
	for _, n := range rounds {
		nodes, _, ok, err := rows[schemas.Candidate](ctx, r, schemas.RecordCandidate, n, example)
		if err != nil {
			return nil, err
		}
		if ok {
			return r.grow(ctx, example, n, nodes)
		}
	}
	return nil, &NotSearchedError{r.Name, example, round}
}

// grow makes the tree of an example out of its records.
func (r *Run) grow(ctx context.Context, example string, round int, nodes []schemas.Candidate) (*Tree, error) {
	if err := checkTree(nodes); err != nil {
		return nil, fmt.Errorf("run %s: round %d: example %s: the stored tree is broken: %w",
			r.Name, round, example, err)
	}
	t := &Tree{Schema: SchemaTree, Run: r.Name, Nodes: []Node{}, Pairs: []Pair{}, Found: []FoundItem{}}
	ex, err := r.example(ctx, example)
	if err != nil {
		return nil, err
	}
	var examiner *judge.Examiner
	if ex != nil {
		t.Of = shown(ex)
		examiner, _ = judge.NewExaminer(ex) // without one the differences are not marked
	}
	for i, n := range nodes {
		node := Node{
			ID: i, Parent: int(n.Parent), Text: n.Text, Tokens: len(n.Tokens), LogProb: n.LogProb, Prior: n.Prior,
			Visits: int(n.Visits), Q: n.Q, V: n.V, Reward: n.Reward, Outcome: n.Outcome, SelfEval: n.SelfEval,
			Terminal: n.Terminal, Cut: n.Cut, Pass: n.Pass, ErrorType: n.ErrorType, ChosenIn: -1, RejectedIn: -1,
		}
		if i > 0 {
			node.Depth = t.Nodes[n.Parent].Depth + 1
		}
		t.Nodes = append(t.Nodes, node)
	}
	t.Found = found(nodes, examiner)
	pairs, filtered, err := r.pairsOf(ctx, example, round, nodes)
	if err != nil {
		return nil, err
	}
	if err := r.markTrained(ctx, round, pairs); err != nil {
		return nil, err
	}
	t.Pairs = append(t.Pairs, pairs...)
	for _, p := range pairs {
		if p.Reason == "" && p.ChosenNode >= 0 && p.RejectedNode >= 0 {
			t.Nodes[p.ChosenNode].ChosenIn, t.Nodes[p.RejectedNode].RejectedIn = p.Node, p.Node
		}
	}
	t.Summary = r.summary(example, round, nodes, pairs, filtered)
	if t.Of != nil {
		t.Summary.Question = t.Of.Question
	}
	return t, nil
}

// checkTree refuses rows that are no tree. They come from a queue, so it assumes nothing about them.
func checkTree(nodes []schemas.Candidate) error {
	if len(nodes) == 0 {
		return fmt.Errorf("it is empty")
	}
	for i, n := range nodes {
		if root := i == 0; root && n.Parent != -1 || !root && (n.Parent < 0 || int(n.Parent) >= i) {
			return fmt.Errorf("node %d has parent %d", i, n.Parent)
		}
	}
	return nil
}

// found are the finished answers of a tree, each once. examiner may be nil.
func found(nodes []schemas.Candidate, examiner *judge.Examiner) []FoundItem {
	out, at := []FoundItem{}, map[string]int{}
	logProb, size := make([]float64, len(nodes)), make([]int, len(nodes))
	for i, n := range nodes {
		if i > 0 {
			logProb[i] = logProb[n.Parent] + n.LogProb*float64(len(n.Tokens))
			size[i] = size[n.Parent] + len(n.Text)
		}
		if !n.Terminal || size[i] > maxAnswerBytes {
			continue
		}
		text := pathText(nodes, i)
		k, known := at[text]
		if !known {
			k = len(out)
			at[text] = k
			out = append(out, FoundItem{Text: text, Pass: n.Pass, ErrorType: n.ErrorType, Cut: n.Cut})
		}
		out[k].Prob += math.Exp(logProb[i])
		out[k].Nodes = append(out[k].Nodes, i)
	}
	for i := range out {
		if f := &out[i]; examiner != nil && !f.Pass {
			c := examiner.Compare(f.Text, f.Cut)
			f.Faults, f.Parts = c.Faults, c.Parts
		} else {
			f.Parts = []judge.Part{{Mark: judge.Same, Text: f.Text}}
		}
	}
	slices.SortStableFunc(out, func(a, b FoundItem) int {
		switch {
		case a.Prob > b.Prob:
			return -1
		case a.Prob < b.Prob:
			return 1
		}
		return 0
	})
	return out
}

// maxAnswerBytes bounds the answers of a tree that are shown: the text of a path can be as long as the tree.
const maxAnswerBytes = 1 << 20

// drawn adds the most probable answer in each tree of a round, of the examples in only or of all.
func (r *Run) drawn(ctx context.Context, round int, only []string, all map[string][]given) error {
	keys, err := r.trees(ctx, round)
	if err != nil {
		return err
	}
	for _, id := range keys {
		if len(only) > 0 && !slices.Contains(only, id) {
			continue
		}
		nodes, _, ok, err := rows[schemas.Candidate](ctx, r, schemas.RecordCandidate, round, id)
		if err != nil {
			return err
		}
		if !ok || checkTree(nodes) != nil {
			continue
		}
		answers := found(nodes, nil)
		if len(answers) == 0 {
			continue
		}
		best := answers[0]
		all[id] = append(all[id], given{round, FromSearch, schemas.Verdict{
			ExampleID: id, Answer: best.Text, Pass: best.Pass, ErrorType: best.ErrorType, Cut: best.Cut,
			Tokens: 1, LogProb: math.Log(best.Prob),
		}})
	}
	return nil
}
