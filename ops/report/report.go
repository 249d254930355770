// Package report describes a run: which rows were used, what every round's search gave, and
// how accurate every policy is.
//
//	r, err := report.Gather(ctx, courier, "r1") // from the stream and the store, at any time
//	err = r.Short(os.Stdout, false)             // the verdict in a dozen lines
//	err = r.Text(os.Stdout)                     // all tables
//	err = r.HTML(f)                             // one self-contained page
//
// gather.go reads the records, accuracy.go does the statistics, gates.go judges whether the
// numbers can be believed, findings.go puts them into sentences, text.go and html.go print them.
//
// It never changes a run, and every number comes from the run's records.
package report

import (
	"encoding/json"
	"fmt"

	"itool/ops/dataset"
	"itool/schemas"
	"itool/stages/evaluate/stats"
	"itool/stages/split"
)

// Report holds all numbers that are shown. Its JSON is for programs.
type Report struct {
	Run          string          `json:"run"`
	Created      string          `json:"created"` // RFC 3339
	Status       string          `json:"status"`  // running, or the status of schemas.End
	Detail       string          `json:"detail,omitempty"`
	Stalled      string          `json:"stalled,omitempty"` // why a running one needs a person, and what to do
	Waiting      []string        `json:"waiting,omitempty"` // what a running one waits for
	Seed         uint64          `json:"seed"`
	ConfigDigest string          `json:"config_digest"`
	Config       json.RawMessage `json:"config"`
	Base         string          `json:"base,omitempty"` // as its user named it; empty: not kept
	Datasets     []Dataset       `json:"datasets"`
	Rows         Rows            `json:"rows"`
	Policies     []Policy        `json:"policies"` // base, warm-up, round 1 …
	Rounds       []Round         `json:"rounds"`   // of search, from 0
	Effect       *Effect         `json:"effect,omitempty"`
	Plateau      *Plateau        `json:"plateau,omitempty"` // nil: not measured, see warmup.plateau
	Gates        []Gate          `json:"gates"`             // conditions for believing the numbers
	Failures     []Failure       `json:"failures,omitempty"`
	Refused      []Failure       `json:"refused,omitempty"`    // invalid results, with their writers
	Unreadable   []string        `json:"unreadable,omitempty"` // records that were left out, and why
	Foreign      int             `json:"foreign,omitempty"`    // records that are no items of the run
	Seconds      []StageTime     `json:"seconds"`              // in the order of the line
	Workers      []string        `json:"workers"`              // names, each with the worker's version and kernel level
}

// Dataset is one published file.
type Dataset struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	SHA256 string `json:"sha256"`
	Rows   int    `json:"rows"`
	// Notes say what became of its rows besides being kept or dropped; nil: nothing, or the shards that were read
	// by another run, of which this one took the results over, have their notes there.
	Notes *split.Notes `json:"notes,omitempty"`
}

// Rows counts assistant turns. Each is either kept, or dropped for one reason.
type Rows struct {
	Total      int            `json:"total"`
	Kept       int            `json:"kept"`
	Dropped    map[string]int `json:"dropped"`              // by reason
	Example    map[string]Row `json:"example,omitempty"`    // the first dropped row of each reason
	Parts      map[string]int `json:"parts"`                // train, validation, test
	Replay     int            `json:"replay"`               // rows of train from which the rounds choose
	Difficulty map[string]int `json:"difficulty,omitempty"` // of train: easy, medium, hard
	// Numbers are what itool data says of the examples: tokens, tools, contradictions.
	Numbers *dataset.Numbers `json:"numbers,omitempty"`
}

// Row says where a dropped row comes from.
type Row struct {
	Source string `json:"source"`
	Row    int    `json:"row"` // from 0
	Detail string `json:"detail"`
}

// Policy is one policy, its training and its accuracy.
type Policy struct {
	Round    int                `json:"round"` // −1 base, 0 warm-up
	Name     string             `json:"name"`
	Digest   string             `json:"digest"`
	Status   string             `json:"status"` // base, trained, no update, stopped: guard
	Detail   string             `json:"detail,omitempty"`
	Steps    int                `json:"steps"`
	Examples int                `json:"examples"`
	Metrics  map[string]float64 `json:"metrics,omitempty"`
	Curve    []Point            `json:"curve,omitempty"`
	// Accuracy is nil if nothing was evaluated. A policy that did not change has the accuracy
	// of the one before.
	Accuracy *Accuracy `json:"accuracy,omitempty"`
}

// Running reports whether the run goes on: it may have further policies later.
func (r *Report) Running() bool { return r.Status == running }

// Changed reports whether training changed the weights. It is false for the base, and for a
// round without an update, whose policy is the one before.
func (p Policy) Changed() bool { return p.Round >= 0 && p.Status == schemas.StatusTrained }

// Point is one step of training.
type Point struct {
	Step       int      `json:"step"`
	Phase      string   `json:"phase,omitempty"` // easy, medium, hard, simpo
	Loss       float64  `json:"loss"`            // before the step: per answer token, or per pair, nats
	Validation *float64 `json:"validation,omitempty"`
	Right      *float64 `json:"right,omitempty"`    // share of right answers to validation examples after the step
	Chosen     float64  `json:"chosen,omitempty"`   // mean log-probability per token of the step's pairs, nats
	Rejected   float64  `json:"rejected,omitempty"` // the same of the rejected sides
	Accuracy   float64  `json:"accuracy,omitempty"` // share of the step's pairs with the chosen side ahead
}

// Accuracy is exact match on the evaluated rows.
type Accuracy struct {
	Parts []string `json:"parts"` // test, validation
	stats.Summary
	// Gain is the paired difference of Headline to the policy before; nil for the first policy,
	// and if nothing was trained.
	Gain *stats.Difference `json:"gain,omitempty"`
}

// Headline is exact match on the rows that want a call, or on all rows if none does.
func (a *Accuracy) Headline() stats.Interval {
	if a.Calls.N > 0 {
		return a.Calls
	}
	return a.Pass
}

// Effect is the gain of the two halves of the method, the warm-up and the rounds: differences
// of the headline, paired on the same rows. A gain is nil if one of its policies was not
// evaluated, or if nothing was trained.
type Effect struct {
	WarmUp *stats.Difference `json:"warm_up,omitempty"` // warm-up − base
	Rounds *stats.Difference `json:"rounds,omitempty"`  // last policy − warm-up

	// HeadroomShare is the share of the warm-up's headroom that the rounds gained: Rounds ÷
	// the headroom, both as shares of rows. It is nil if one of them is missing, or if the
	// headroom is not positive.
	HeadroomShare *float64 `json:"rounds_of_headroom,omitempty"`
}

// Plateau is what more epochs of fine-tuning would change after the warm-up. A probe, a copy of
// the policy that is thrown away, is trained for these epochs. Measured is greedy exact match
// on the validation rows that want a call, before and after.
type Plateau struct {
	Epochs int              `json:"epochs"` // of the probe
	Rate   float64          `json:"rate"`   // its peak learning rate
	Before float64          `json:"before"` // share of right answers of the warm-up's policy, 0..1
	After  float64          `json:"after"`  // share of right answers of the probe
	Change stats.Difference `json:"change"` // After − Before, paired, as a share
}

// Headroom is how much more often one of several draws is right than the greedy answer, on
// validation rows that want a call. A round cannot gain more.
type Headroom struct {
	Draws   int              `json:"draws"`   // k, at temperature 1
	Greedy  float64          `json:"greedy"`  // share of right greedy answers, 0..1
	Sampled float64          `json:"sampled"` // pass@k: share of rows with a right draw, 0..1
	Gap     stats.Difference `json:"gap"`     // Sampled − Greedy, paired, as a share
}

// Sides are the mean log-probabilities per token of chosen and rejected answers, before and
// after the update, in nats.
type Sides struct {
	ChosenBefore   float64 `json:"chosen_before"`
	ChosenAfter    float64 `json:"chosen_after"`
	RejectedBefore float64 `json:"rejected_before"`
	RejectedAfter  float64 `json:"rejected_after"`
}

// Round is the funnel of one round: what policy Round searched, and what policy Round+1 was
// trained on.
type Round struct {
	Round      int     `json:"round"` // of the policy that searched
	Scored     int     `json:"scored"`
	Perplexity float64 `json:"perplexity"` // geometric mean over the scored examples
	Selected   int     `json:"selected"`
	Trees      int     `json:"trees"`
	Nodes      int     `json:"nodes"`
	// Branching counts the nodes with two or more children that lead to finished answers, or to any
	// if filter.unfinished is set. Each gives a pair, or a reason why it gives none.
	Branching  int `json:"branching"`
	Terminals  int `json:"terminals"`   // finished answers
	Unfinished int `json:"unfinished"`  // roll-outs that ended before their answers did
	Passing    int `json:"passing"`     // finished answers that are right
	Cut        int `json:"cut"`         // finished answers that reached the length limit, and so failed
	MixedTrees int `json:"mixed_trees"` // trees with right and wrong answers: in mode proven only they give pairs
	// Pairs counts the kept pairs, each once. Until the update has run, it is the filter's count,
	// in which duplicates and pairs of another policy are not recognized yet.
	Pairs       int            `json:"pairs"`
	PairTrees   int            `json:"pair_trees"`   // trees that gave any of them
	Kinds       map[string]int `json:"kinds"`        // the filter's, by what the reference decides, see Kinds
	KindsProven map[string]int `json:"kinds_proven"` // … of which a passing answer proves these
	Proven      int            `json:"proven"`       // all that a passing answer proves
	PairsReason map[string]int `json:"pairs_reason"` // dropped pairs, by reason
	OtherMode   int            `json:"other_mode"`   // pairs that the other acceptance mode would keep
	Mode        string         `json:"mode"`         // acceptance mode of the run: proven, paper or fragment
	Steps       int            `json:"steps"`        // optimiser steps that made policy Round+1
	// How far these steps moved the pairs: mean |Δ log-probability| of a side, nats.
	ChosenChange   float64   `json:"chosen_change"`
	RejectedChange float64   `json:"rejected_change"`
	Sides          *Sides    `json:"sides,omitempty"`    // nil: nothing was trained
	Answers        *Answers  `json:"answers,omitempty"`  // of policy Round to the selected examples; nil: not asked
	Lengths        *Lengths  `json:"lengths,omitempty"`  // of policy Round; nil: not counted
	Judge          *Judge    `json:"judge,omitempty"`    // of policy Round
	Headroom       *Headroom `json:"headroom,omitempty"` // of policy Round; nil: not measured
	// HeadroomShare is the share of the headroom that the round gained: the gain of policy
	// Round+1 over policy Round ÷ Headroom.Gap, both as shares of rows. It is nil if one of them
	// is missing, or if the headroom is not positive.
	HeadroomShare *float64 `json:"gain_of_headroom,omitempty"`

	unfinishedToo bool // filter.unfinished
}

// Answers are what the policy answered to the examples that were then selected, when they were scored.
type Answers struct {
	Draws  int            `json:"draws"`  // answers per example; 0: none were drawn
	Mixed  int            `json:"mixed"`  // examples that some of the draws get right and some wrong
	Never  int            `json:"never"`  // examples that no draw gets right
	Solved int            `json:"solved"` // examples that every draw gets right
	Greedy int            `json:"greedy"` // examples that were answered greedily
	Errors map[string]int `json:"errors"` // of these, the wrong ones by type of error
}

// Lengths counts the answers to validation examples that reached the limit, before the search.
type Lengths struct {
	Answers         int `json:"answers"`
	Cut             int `json:"cut"`
	Limit           int `json:"limit"`            // tokens of an answer
	Tokens          int `json:"tokens"`           // all but one in twenty have at most so many
	ReferenceTokens int `json:"reference_tokens"` // of the longest reference that was selected or asked
	// Warning says what is too short and which setting helps; "": nothing is.
	Warning string `json:"warning,omitempty"`
}

// Judge says how well the policy's evaluation of its own answers agrees with the reference,
// measured on validation examples.
type Judge struct {
	Counts bool `json:"counts"` // the self-evaluation is part of the search's reward: it is C
	// AUC is that of the self-evaluation as a classifier of right and wrong answers; nil: all
	// answers were right, all were wrong, or nothing was measured.
	AUC *float64 `json:"auc"`
	// Mass is the mean probability that the policy gave to the four letters that it may answer
	// with; nil: nothing was measured.
	Mass   *float64 `json:"mass"`
	Reason string   `json:"reason"` // why it counts or does not
}

// Failure is an item that was given up.
type Failure struct {
	Round    int    `json:"round"`
	Key      string `json:"key"`
	Stage    string `json:"stage"`
	Reason   string `json:"reason"`
	Attempts int    `json:"attempts"`
	Error    string `json:"error"`
	Subject  string `json:"subject"`
	Worker   string `json:"worker"`
}

// StageTime is the wall time of one stage's items, summed over all workers.
type StageTime struct {
	Stage   string  `json:"stage"`
	Items   int     `json:"items"`
	Seconds float64 `json:"seconds"`
}

// PolicyName is the name of a round's policy in reports: −1 is the base, 0 the warm-up.
func PolicyName(round int) string {
	switch round {
	case -1:
		return "base"
	case 0:
		return "warm-up"
	}
	return fmt.Sprintf("round %d", round)
}

// PolicyOf is the policy of a round, −1 for the base, or nil if the run has none.
func (r *Report) PolicyOf(round int) *Policy {
	for i := range r.Policies {
		if r.Policies[i].Round == round {
			return &r.Policies[i]
		}
	}
	return nil
}

// Final is the last policy, or nil if the run has only the base.
func (r *Report) Final() *Policy {
	if len(r.Policies) == 0 || r.Policies[len(r.Policies)-1].Round < 0 {
		return nil
	}
	return &r.Policies[len(r.Policies)-1]
}

// Summary is the last line of `itool demo --json` and `itool run --json`.
type Summary struct {
	Run        string                    `json:"run"`
	Status     string                    `json:"status"`
	Detail     string                    `json:"detail,omitempty"`
	Accuracy   map[string]stats.Interval `json:"accuracy"` // by evaluated policy, on all rows
	Calls      map[string]stats.Interval `json:"calls"`    // the same on rows that want a call: the headline
	Outcome    map[string]string         `json:"outcome"`  // by policy: its status, such as trained or no update
	Rows       SummaryRows               `json:"rows"`
	Pairs      map[string]map[string]int `json:"pairs"`   // by policy trained on them: kept, dropped by reason
	Seconds    map[string]float64        `json:"seconds"` // by stage, wall time over all workers
	Adapter    string                    `json:"adapter"` // digest of the last policy's checkpoint
	AdapterDir string                    `json:"adapter_dir,omitempty"`
	Report     string                    `json:"report,omitempty"`
}

// SummaryRows counts rows.
type SummaryRows struct {
	Kept    int            `json:"kept"`
	Dropped map[string]int `json:"dropped"`
}

// Summary condenses the report.
func (r *Report) Summary() Summary {
	s := Summary{
		Run: r.Run, Status: r.Status, Detail: r.Detail,
		Accuracy: map[string]stats.Interval{}, Calls: map[string]stats.Interval{}, Outcome: map[string]string{},
		Pairs: map[string]map[string]int{}, Seconds: map[string]float64{},
		Rows: SummaryRows{r.Rows.Kept, r.Rows.Dropped},
	}
	for _, p := range r.Policies {
		s.Outcome[p.Name] = p.Status
		if p.Accuracy != nil {
			s.Accuracy[p.Name] = p.Accuracy.Pass
			if p.Accuracy.Calls.N > 0 {
				s.Calls[p.Name] = p.Accuracy.Calls
			}
		}
	}
	for _, rd := range r.Rounds {
		counts := map[string]int{"kept": rd.Pairs}
		for reason, n := range rd.PairsReason {
			counts[reason] = n
		}
		s.Pairs[PolicyName(rd.Round+1)] = counts
	}
	for _, t := range r.Seconds {
		s.Seconds[t.Stage] = t.Seconds
	}
	if p := r.Final(); p != nil {
		s.Adapter = p.Digest
	}
	return s
}

// running is the status of a run without an end record.
const running = "running"
