package inspect

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"itool/schemas"
)

// TreeSummary says what a search found.
type TreeSummary struct {
	Round    int            `json:"round"`    // of the policy that searched
	Policy   string         `json:"policy"`   // its name
	Example  string         `json:"example"`  // ID
	Question string         `json:"question"` // the user's last turn
	Nodes    int            `json:"nodes"`
	Depth    int            `json:"depth"`    // fragments of the longest path
	Answers  int            `json:"answers"`  // finished ones
	Passing  int            `json:"passing"`  // of these, right ones
	Wrong    map[string]int `json:"wrong"`    // the others by the paper's type of error
	Pairs    int            `json:"pairs"`    // kept by the filter
	Kinds    map[string]int `json:"kinds"`    // of these, by what the reference decides; "other": nothing
	Dropped  map[string]int `json:"dropped"`  // branching nodes without a pair, by reason
	Filtered bool           `json:"filtered"` // the filter has been there; else the pairs are not known yet
}

// Mixed reports whether the tree has right and wrong answers.
func (t *TreeSummary) Mixed() bool { return t.Passing > 0 && t.Passing < t.Answers }

// Trees lists the search trees of a run.
type Trees struct {
	Schema     string        `json:"schema"`
	Run        string        `json:"run"`
	Total      int           `json:"total"` // trees that the filter finds
	Trees      []TreeSummary `json:"trees"` // by round and example, as many of them as were asked for
	Unreadable []string      `json:"unreadable,omitempty"`
}

// TreeFilter chooses trees. Its zero value is all of them.
type TreeFilter struct {
	Round     *int   // of the policy that searched; nil: all
	Mixed     bool   // with right and wrong answers
	WithPairs bool   // that gave a pair
	NoPairs   bool   // that gave none
	Reason    string // a branching node gave no pair for this reason
	Kind      string // a kept pair is of this kind
	ErrorType string // an answer is wrong in this way
	Limit     int    // most trees that are returned; 0: all
}

func (f TreeFilter) wants(s *TreeSummary) bool {
	switch {
	case f.Mixed && !s.Mixed(),
		f.WithPairs && s.Pairs == 0,
		f.NoPairs && s.Pairs > 0,
		f.Reason != "" && s.Dropped[f.Reason] == 0,
		f.Kind != "" && s.Kinds[f.Kind] == 0,
		f.ErrorType != "" && s.Wrong[f.ErrorType] == 0:
		return false
	}
	return true
}

// Trees lists the trees that a filter finds. *NoAnswersError: there are none at all yet. *NotThereError: the filter
// asks for a round that the run does not have, or
// for a type, a kind or a reason that no tree has.
func (r *Run) Trees(ctx context.Context, f TreeFilter) (*Trees, error) {
	out := &Trees{Schema: SchemaTrees, Run: r.Name, Trees: []TreeSummary{}}
	any, there, rounds := false, words{}, map[string]int{}
	for _, p := range r.Policies {
		keys, err := r.trees(ctx, p.Round)
		if err != nil {
			return nil, err
		}
		if len(keys) > 0 {
			any, rounds[strconv.Itoa(p.Round)] = true, len(keys)
		}
		if f.Round != nil && *f.Round != p.Round {
			continue
		}
		for _, id := range keys {
			s, err := r.summaryOf(ctx, id, p.Round)
			if err != nil {
				return nil, err
			}
			if s == nil {
				continue
			}
			if there.add(s); !f.wants(s) {
				continue
			}
			if out.Total++; f.Limit > 0 && len(out.Trees) >= f.Limit {
				continue
			}
			ex, err := r.example(ctx, id)
			if err != nil {
				return nil, err
			}
			if ex != nil {
				s.Question = shown(ex).Question
			}
			out.Trees = append(out.Trees, *s)
		}
	}
	if !any {
		return nil, &NoAnswersError{r.Name, schemas.PartTrain}
	}
	if f.Round != nil && r.policy(*f.Round) == nil {
		return nil, &NotThereError{r.Name, "policy of the round", strconv.Itoa(*f.Round), rounds}
	}
	if err := there.check(r, f); err != nil {
		return nil, err
	}
	out.Unreadable = r.Unreadable
	return out, nil
}

// summary counts. The question is the caller's to fill in.
func (r *Run) summary(example string, round int, nodes []schemas.Candidate, pairs []Pair, filtered bool) TreeSummary {
	s := TreeSummary{
		Round: round, Policy: r.nameOf(round), Example: example, Nodes: len(nodes), Filtered: filtered,
		Wrong: map[string]int{}, Kinds: map[string]int{}, Dropped: map[string]int{},
	}
	depth := make([]int, len(nodes))
	for i, n := range nodes {
		if i > 0 {
			depth[i] = depth[n.Parent] + 1
			s.Depth = max(s.Depth, depth[i])
		}
		switch {
		case !n.Terminal:
			continue
		case n.Pass:
			s.Passing++
		default:
			s.Wrong[n.ErrorType]++
		}
		s.Answers++
	}
	for _, p := range pairs {
		if p.Reason != "" {
			s.Dropped[p.Reason]++
			continue
		}
		s.Pairs++
		s.Kinds[p.Kind]++
	}
	return s
}

func (r *Run) nameOf(round int) string {
	if p := r.policy(round); p != nil {
		return p.Name
	}
	return fmt.Sprintf("round %d", round)
}

// searches are the trees of an example, by round.
func (r *Run) searches(ctx context.Context, id string) (out []TreeSummary, err error) {
	for _, p := range r.Policies {
		keys, err := r.trees(ctx, p.Round)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(keys, id) {
			continue
		}
		s, err := r.summaryOf(ctx, id, p.Round)
		if err != nil {
			return nil, err
		}
		if s != nil {
			out = append(out, *s)
		}
	}
	return out, nil
}

// summaryOf reads one tree; nil: it cannot be read.
func (r *Run) summaryOf(ctx context.Context, id string, round int) (*TreeSummary, error) {
	nodes, _, ok, err := rows[schemas.Candidate](ctx, r, schemas.RecordCandidate, round, id)
	if err != nil || !ok {
		return nil, err
	}
	if err := checkTree(nodes); err != nil {
		r.Unreadable = append(r.Unreadable, fmt.Sprintf("candidate.%d.%s: %v", round, id, err))
		return nil, nil
	}
	pairs, filtered, err := r.pairsOf(ctx, id, round, nodes)
	if err != nil {
		return nil, err
	}
	s := r.summary(id, round, nodes, pairs, filtered)
	return &s, nil
}
