package inspect

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// message is a turn of TRL's conversational format.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// pairLine is a pair in TRL's conversational preference format (prompt, chosen, rejected, tools), with columns that say
// what it is. Every line has the same columns, none is null, so that the datasets library reads them as a table.
type pairLine struct {
	Prompt   []message `json:"prompt"`
	Chosen   []message `json:"chosen"`
	Rejected []message `json:"rejected"`
	Tools    string    `json:"tools"` // JSON: schemas differ from row to row, and a table's column cannot
	// Shared is what both answers begin with. The run's own loss is over what comes behind it.
	Shared       string  `json:"shared"`
	ChosenEnds   bool    `json:"chosen_ends"` // the answer is whole; else no end of the turn belongs there
	RejectedEnds bool    `json:"rejected_ends"`
	Trained      bool    `json:"trained"` // the policy of the next round was trained on it
	ID           string  `json:"id"`
	Run          string  `json:"run"`
	Round        int     `json:"round"` // of the policy that searched
	Example      string  `json:"example"`
	Node         int     `json:"node"`
	Kind         string  `json:"kind"`
	Proven       bool    `json:"proven"`
	ChosenQ      float64 `json:"chosen_q"`
	RejectedQ    float64 `json:"rejected_q"`
	// The tokens of the run's base model that the update was trained on, exactly: conversation, path and what is
	// shared; then each side.
	PromptIDs   []int32 `json:"prompt_ids,omitempty"`
	ChosenIDs   []int32 `json:"chosen_ids,omitempty"`
	RejectedIDs []int32 `json:"rejected_ids,omitempty"`
}

// Written counts what WritePairs wrote.
type Written struct {
	Pairs   int // lines
	Trained int // of these, pairs that an update was trained on
	Rounds  int // rounds that have any
}

// WritePairs writes the kept pairs of a round, or of all rounds (LastRound), as JSON lines. With ids each has its
// tokens. Nothing is written if a tree or an example of a pair is not there. It is an error if there are no pairs.
func (r *Run) WritePairs(ctx context.Context, w io.Writer, round int, ids bool) (n Written, err error) {
	out := bufio.NewWriter(w)
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	for _, p := range r.Policies {
		if round != LastRound && p.Round != round {
			continue
		}
		pairs, err := r.Pairs(ctx, p.Round, false)
		if err != nil {
			return n, err
		}
		for i := range pairs {
			line, err := r.pairLine(ctx, &pairs[i], ids)
			if err != nil {
				return n, err
			}
			if err := e.Encode(line); err != nil {
				return n, err
			}
			if n.Pairs++; line.Trained {
				n.Trained++
			}
		}
		if len(pairs) > 0 {
			n.Rounds++
		}
	}
	if n.Pairs == 0 {
		return n, fmt.Errorf("run %s has no pairs there: itool tree %s --list shows what its searches gave, and "+
			"itool watch %s how far it is", r.Name, r.Name, r.Name)
	}
	return n, out.Flush()
}

func (r *Run) pairLine(ctx context.Context, q *Pair, ids bool) (*pairLine, error) {
	ex, err := r.example(ctx, q.Example)
	if err != nil {
		return nil, err
	}
	if ex == nil || q.ChosenNode < 0 || q.RejectedNode < 0 {
		return nil, fmt.Errorf("run %s: pair %s: its tree or its example is not there", r.Name, q.ID)
	}
	line := &pairLine{
		Tools: ex.Tools, Shared: q.Before + shared(q.Chosen, q.Rejected),
		Chosen:     []message{{"assistant", q.Before + q.Chosen}},
		Rejected:   []message{{"assistant", q.Before + q.Rejected}},
		ChosenEnds: q.ChosenEnds, RejectedEnds: q.RejectedEnds, Trained: q.Trained,
		ID: q.ID, Run: r.Name, Round: q.Round, Example: q.Example, Node: q.Node, Kind: q.Kind, Proven: q.Proven,
		ChosenQ: q.ChosenQ, RejectedQ: q.RejectedQ,
	}
	if err := json.Unmarshal([]byte(ex.Messages), &line.Prompt); err != nil {
		return nil, fmt.Errorf("run %s: pair %s: the messages of its example: %w", r.Name, q.ID, err)
	}
	if ids {
		line.PromptIDs, line.ChosenIDs, line.RejectedIDs = q.ids[0], q.ids[1], q.ids[2]
	}
	return line, nil
}

// shared is the common beginning of two texts, in whole characters.
func shared(a, b string) string {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	for n > 0 && n < len(a) && !utf8.RuneStart(a[n]) {
		n--
	}
	return a[:n]
}
