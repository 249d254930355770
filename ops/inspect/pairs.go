package inspect

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"itool/schemas"
	"itool/stages/filter"
)

// Pair is what a branching node of a tree gave: two fragments, the better one chosen, or the reason why they are no
// pair.
type Pair struct {
	ID      string `json:"id"`    // ROUND/EXAMPLE/NODE, such as 0/s0000000-00004/7
	Round   int    `json:"round"` // of the policy that searched; a pair is trained into the policy of the next
	Example string `json:"example"`
	Node    int    `json:"node"` // the branching one
	// ChosenNode and RejectedNode are its children on the two sides; −1: the tree is not there.
	ChosenNode   int     `json:"chosen_node"`
	RejectedNode int     `json:"rejected_node"`
	Before       string  `json:"before"`        // the answer's text up to the branching node
	Chosen       string  `json:"chosen"`        // the fragment behind it
	Rejected     string  `json:"rejected"`      // … and the one that it is preferred to
	ChosenEnds   bool    `json:"chosen_ends"`   // the turn ends with it
	RejectedEnds bool    `json:"rejected_ends"` // …
	ChosenQ      float64 `json:"chosen_q"`
	RejectedQ    float64 `json:"rejected_q"`
	Similarity   float64 `json:"similarity"`       // 1 − normalised token edit distance of the fragments
	Kind         string  `json:"kind"`             // what the reference decides; "other": nothing
	Proven       bool    `json:"proven"`           // an answer below the chosen side passes, none below the other
	Reason       string  `json:"reason,omitempty"` // "": kept; else why it is no pair
	Why          string  `json:"why,omitempty"`    // Reason as a sentence
	// Trained says that the policy of the next round was trained on it. If not, Untrained says why; both are empty
	// as long as that policy is not made.
	Trained   bool   `json:"trained"`
	Untrained string `json:"untrained,omitempty"`

	ids      [3][]int32 // prompt, chosen and rejected; of a kept one
	policy   string     // digest of the policy that searched
	identity [sha256.Size]byte
}

// whys are the reasons of the filter as sentences.
var whys = map[filter.Reason]string{
	filter.ForeignPolicy:    "it was searched with other weights than this round's",
	filter.EmptySide:        "one side is only the beginning of the other",
	filter.OverLength:       "prompt and answer are longer than filter.max_tokens",
	filter.Similar:          "the sides are too similar (filter.similarity)",
	filter.EqualAfterParse:  "both sides say the same, written differently",
	filter.SmallQDifference: "the search values both sides nearly alike (filter.min_q_difference)",
	filter.Duplicate:        "another node of this tree gave the same pair",
	filter.ChosenLowQ:       "the better side is not good enough (filter.min_chosen_q)",
	filter.RejectedViable:   "the worse side can lead to a right answer, too",
	filter.ChosenUnproven:   "no right answer was found below the better side",
	filter.Undecided:        "neither the reference nor an answer says which side is better",
	filter.NoReference:      "the tree has no reference that could say which side is better",
}

// WhyDropped is a filter's reason as a sentence; "" for a reason that is not known.
func WhyDropped(reason string) string { return whys[filter.Reason(reason)] }

// ParsePairID reads the ID of a pair.
func ParsePairID(id string) (round int, example string, node int, ok bool) {
	parts := strings.Split(id, "/")
	if len(parts) != 3 {
		return 0, "", 0, false
	}
	round, err := strconv.Atoi(parts[0])
	if err != nil {
		return 0, "", 0, false
	}
	node, err = strconv.Atoi(parts[2])
	return round, parts[1], node, err == nil && parts[1] != ""
}

// pairsOf reads the pairs of a tree. filtered is false if the filter has not been there yet. nodes are those of the
// tree, which were checked, or nil.
func (r *Run) pairsOf(ctx context.Context, example string, round int, nodes []schemas.Candidate) (
	out []Pair, filtered bool, err error,
) {
	all, h, ok, err := rows[schemas.Pair](ctx, r, schemas.RecordPair, round, example)
	if err != nil || !ok {
		return nil, false, err
	}
	children := make([][]int, len(nodes))
	for i, n := range nodes {
		if i > 0 {
			children[n.Parent] = append(children[n.Parent], i)
		}
	}
	for _, p := range all {
		q := Pair{
			ID: fmt.Sprintf("%d/%s/%d", round, example, p.Node), Round: round, Example: example, Node: int(p.Node),
			ChosenNode: -1, RejectedNode: -1, Chosen: p.ChosenText, Rejected: p.RejectedText,
			ChosenQ: p.ChosenQ, RejectedQ: p.RejectedQ, Similarity: p.Similarity, Kind: cmp.Or(p.Kind, "other"),
			Proven: p.Proven, Reason: p.Reason, Why: WhyDropped(p.Reason),
			ids: [3][]int32{p.PromptIDs, p.ChosenIDs, p.RejectedIDs}, policy: h.Policy, identity: p.Identity(),
		}
		if q.Node >= 0 && q.Node < len(nodes) {
			q.Before = pathText(nodes, q.Node)
			q.ChosenNode, q.ChosenEnds = child(nodes, children[q.Node], p.ChosenText, p.ChosenQ, -1)
			q.RejectedNode, q.RejectedEnds = child(nodes, children[q.Node], p.RejectedText, p.RejectedQ, q.ChosenNode)
		}
		out = append(out, q)
	}
	return out, true, nil
}

// child finds the side of a pair among the children of its node: the first with its text and Q, which is the one that
// the filter takes, too. ends: the turn ends with it.
func child(nodes []schemas.Candidate, among []int, text string, q float64, not int) (node int, ends bool) {
	for _, i := range among {
		if n := &nodes[i]; i != not && n.Text == text && n.Q == q {
			return i, n.Terminal && !n.Cut
		}
	}
	return -1, false
}

// pathText is the text of an answer up to a node.
func pathText(nodes []schemas.Candidate, node int) string {
	var parts []string
	for n := node; n > 0; n = int(nodes[n].Parent) {
		parts = append(parts, nodes[n].Text)
	}
	slices.Reverse(parts)
	return strings.Join(parts, "")
}

// Pairs reads the pairs of a round, by example and node, and marks those that the next policy was trained on. With
// all, those that were dropped are among them.
func (r *Run) Pairs(ctx context.Context, round int, all bool) ([]Pair, error) {
	return r.roundPairs(ctx, round, func(string) bool { return true }, all)
}

// roundPairs is Pairs for the examples that are wanted. The pairs of the others are read, since they decide which is
// a duplicate, but not their trees.
func (r *Run) roundPairs(ctx context.Context, round int, wanted func(string) bool, all bool) ([]Pair, error) {
	keys, err := r.c.ResultKeys(ctx, r.Name, schemas.RecordPair, round)
	if err != nil {
		return nil, err
	}
	out, train := []Pair{}, r.trainer(round)
	for _, key := range keys {
		var nodes []schemas.Candidate
		if wanted(key) {
			nodes, _, _, err = rows[schemas.Candidate](ctx, r, schemas.RecordCandidate, round, key)
		}
		if err != nil {
			return nil, err
		}
		if checkTree(nodes) != nil {
			nodes = nil
		}
		pairs, _, err := r.pairsOf(ctx, key, round, nodes)
		if err != nil {
			return nil, err
		}
		for i := range pairs {
			if train(&pairs[i]); wanted(key) && (all || pairs[i].Reason == "") {
				out = append(out, pairs[i])
			}
		}
	}
	return out, nil
}

// uses says whether a pair was trained on, as Pair does.
type uses struct {
	trained   bool
	untrained string
}

// markTrained marks pairs of one tree. Which are duplicates depends on all of the round, which are read once.
func (r *Run) markTrained(ctx context.Context, round int, pairs []Pair) error {
	if len(pairs) == 0 || r.policy(round+1) == nil {
		return nil
	}
	if r.uses[round] == nil {
		all, err := r.Pairs(ctx, round, false)
		if err != nil {
			return err
		}
		r.uses[round] = map[string]uses{}
		for _, p := range all {
			r.uses[round][p.ID] = uses{p.Trained, p.Untrained}
		}
	}
	for i := range pairs {
		u := r.uses[round][pairs[i].ID]
		pairs[i].Trained, pairs[i].Untrained = u.trained, u.untrained
	}
	return nil
}

// trainer marks the pairs of a round as the update took them; it must see all of them, in order. The rules are those
// of the update: pairs of another policy are left out, and duplicates.
func (r *Run) trainer(round int) func(*Pair) {
	seen := map[[sha256.Size]byte]bool{}
	searched, trained := r.policy(round), r.policy(round+1)
	return func(p *Pair) {
		switch {
		case trained == nil || p.Reason != "":
		case searched == nil || p.policy != searched.Digest:
			p.Untrained = "it was searched with another policy than the round's"
		case seen[p.identity]:
			p.Untrained = "another tree gave the same pair"
		case trained.Status != schemas.StatusTrained:
			p.Untrained = "the round trained nothing: " + cmp.Or(trained.Detail, trained.Status)
		default:
			p.Trained = true
		}
		if p.Reason == "" && p.Untrained == "" {
			seen[p.identity] = true
		}
	}
}
