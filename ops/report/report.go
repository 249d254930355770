// Package report says what became of a run: which rows were used, what every
// round's search gave, and how right every policy's answers are.
//
//	r, err := report.Gather(ctx, courier, "r1") // from the stream and the store, at any time
//	err = r.Text(os.Stdout)                     // a few tables
//	err = r.HTML(f)                             // one self-contained page
//
// gather.go reads, accuracy.go does the statistics, gates.go says what they are worth,
// text.go and html.go show.
// It changes nothing in a run, and computes nothing that the records do not hold.
package report

import (
	"encoding/json"
	"fmt"

	"itool/schemas"
	"itool/stages/evaluate/stats"
)

// Report is everything that is shown, as plain numbers. Its JSON is for machines.
type Report struct {
	Run          string          `json:"run"`
	Created      string          `json:"created"` // RFC 3339
	Status       string          `json:"status"`  // running, or that of schemas.End
	Detail       string          `json:"detail,omitempty"`
	Seed         uint64          `json:"seed"`
	ConfigDigest string          `json:"config_digest"`
	Config       json.RawMessage `json:"config"`
	Datasets     []Dataset       `json:"datasets"`
	Rows         Rows            `json:"rows"`
	Policies     []Policy        `json:"policies"` // base, warm-up, round 1 …
	Rounds       []Round         `json:"rounds"`   // of search, from 0
	Effect       *Effect         `json:"effect,omitempty"`
	Plateau      *Plateau        `json:"plateau,omitempty"` // nil: not measured, see warmup.plateau
	Gates        []Gate          `json:"gates"`             // what should hold before the numbers can be believed
	Failures     []Failure       `json:"failures,omitempty"`
	Seconds      []StageTime     `json:"seconds"` // in the order of the line
	Workers      []string        `json:"workers"` // with version and kernel level
}

// Dataset is one published file.
type Dataset struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	SHA256 string `json:"sha256"`
	Rows   int    `json:"rows"`
}

// Rows counts assistant turns: every one is kept, or dropped under one reason.
type Rows struct {
	Total      int            `json:"total"`
	Kept       int            `json:"kept"`
	Dropped    map[string]int `json:"dropped"`              // by reason
	Example    map[string]Row `json:"example,omitempty"`    // the first dropped of each reason
	Parts      map[string]int `json:"parts"`                // train, validation, test
	Replay     int            `json:"replay"`               // of train, searched in the rounds
	Difficulty map[string]int `json:"difficulty,omitempty"` // of train: easy, medium, hard
}

// Row is the place of a dropped row.
type Row struct {
	Source string `json:"source"`
	Row    int    `json:"row"` // from 0
	Detail string `json:"detail"`
}

// Policy is one policy and how right its answers are.
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
	// Accuracy is nil when nothing was evaluated; a policy that did not change
	// has that of the one before.
	Accuracy *Accuracy `json:"accuracy,omitempty"`
}

// Changed tells whether the policy has weights of its own: it is not the base, and
// no round without an update, whose policy is the one before.
func (p Policy) Changed() bool { return p.Round >= 0 && p.Status == schemas.StatusTrained }

// Point is one step of training.
type Point struct {
	Step int     `json:"step"`
	Loss float64 `json:"loss"`
}

// Accuracy is exact match on the evaluated rows.
type Accuracy struct {
	Parts []string `json:"parts"` // test, validation
	stats.Summary
	Gain *stats.Difference `json:"gain,omitempty"` // of Headline, paired, to the policy before; nil at the first and where nothing was trained
}

// Headline is exact match on the rows that want a call; on all rows where none does.
func (a *Accuracy) Headline() stats.Interval {
	if a.Calls.N > 0 {
		return a.Calls
	}
	return a.Pass
}

// Effect says what the two halves of the method gave: paired differences of the
// headline on the same rows. A part is nil when one of its policies was not evaluated,
// or nothing was trained in it.
type Effect struct {
	WarmUp *stats.Difference `json:"warm_up,omitempty"` // warm-up − base
	Rounds *stats.Difference `json:"rounds,omitempty"`  // last policy − warm-up

	// RoundsOfHeadroom is Rounds ÷ the headroom of the warm-up, both as shares of rows; nil
	// where one of them is missing, or there is no headroom.
	RoundsOfHeadroom *float64 `json:"rounds_of_headroom,omitempty"`
}

// Plateau is what some epochs more of fine-tuning would have changed after the warm-up:
// greedy exact match on validation rows that want a call, before and after the probe.
type Plateau struct {
	Epochs int              `json:"epochs"` // of the probe
	Rate   float64          `json:"rate"`   // its peak learning rate
	Before float64          `json:"before"` // share of right answers of the warm-up's policy, 0..1
	After  float64          `json:"after"`  // … of the probe
	Change stats.Difference `json:"change"` // After − Before, paired, as a share
}

// Headroom is what a policy can draw and does not say: it bounds the gain of a round.
// Validation rows that want a call.
type Headroom struct {
	Draws   int              `json:"draws"`   // k, at temperature 1
	Greedy  float64          `json:"greedy"`  // share of right greedy answers, 0..1
	Sampled float64          `json:"sampled"` // pass@k: share of rows with a right draw, 0..1
	Gap     stats.Difference `json:"gap"`     // Sampled − Greedy, paired, as a share
}

// Sides are the pairs' mean log-probabilities per token, before and after the update, in nats.
type Sides struct {
	ChosenBefore   float64 `json:"chosen_before"`
	ChosenAfter    float64 `json:"chosen_after"`
	RejectedBefore float64 `json:"rejected_before"`
	RejectedAfter  float64 `json:"rejected_after"`
}

// Round is the funnel of one round of search: what policy Round was searched
// with, and what the next one was made from.
type Round struct {
	Round       int            `json:"round"` // of the policy that searched; it made policy Round+1
	Scored      int            `json:"scored"`
	Perplexity  float64        `json:"perplexity"` // geometric mean over the scored examples
	Selected    int            `json:"selected"`
	Trees       int            `json:"trees"`
	Nodes       int            `json:"nodes"`
	Branching   int            `json:"branching"`    // nodes with two or more children that lead to finished answers: each gives a pair or a reason
	Terminals   int            `json:"terminals"`    // finished answers
	Passing     int            `json:"passing"`      // … that are right
	Cut         int            `json:"cut"`          // … that ran out of length, and so failed
	MixedTrees  int            `json:"mixed_trees"`  // trees with both right and wrong answers: what there is to learn from
	Pairs       int            `json:"pairs"`        // kept, each once; before the update has looked, as the filter kept them
	PairsReason map[string]int `json:"pairs_reason"` // dropped, by reason
	OtherMode   int            `json:"other_mode"`   // that the filter would keep if the other acceptance mode were in force
	Mode        string         `json:"mode"`         // in force: proven or paper
	Steps       int            `json:"steps"`        // optimiser steps of the policy that it made
	// How far those moved the pairs: mean |Δ log-probability| of a side, nats.
	ChosenChange   float64   `json:"chosen_change"`
	RejectedChange float64   `json:"rejected_change"`
	Sides          *Sides    `json:"sides,omitempty"`    // nil: nothing was trained
	Judge          *Judge    `json:"judge,omitempty"`    // of policy Round
	Headroom       *Headroom `json:"headroom,omitempty"` // of policy Round; nil: not measured
	// GainOfHeadroom is the gain of policy Round+1 over policy Round ÷ Headroom.Gap, both as
	// shares of rows; nil where one of them is missing, or there is no headroom.
	GainOfHeadroom *float64 `json:"gain_of_headroom,omitempty"`
}

// Judge is the calibration of the self-evaluation.
type Judge struct {
	Counts bool     `json:"counts"` // C counts in the reward
	AUC    *float64 `json:"auc"`    // nil: one class only
	Mass   *float64 `json:"mass"`   // mean probability on the four letters; nil: nothing was measured
	Reason string   `json:"reason"`
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

// StageTime is wall time over all workers.
type StageTime struct {
	Stage   string  `json:"stage"`
	Items   int     `json:"items"`
	Seconds float64 `json:"seconds"`
}

// PolicyName is what people call the policy of a round.
func PolicyName(round int) string {
	switch round {
	case -1:
		return "base"
	case 0:
		return "warm-up"
	}
	return fmt.Sprintf("round %d", round)
}

// Final is the last policy, nil while there is none but the base.
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
	Accuracy   map[string]stats.Interval `json:"accuracy"` // by policy, on all rows; only what was evaluated
	Calls      map[string]stats.Interval `json:"calls"`    // the same on rows that want a call: the headline
	Outcome    map[string]string         `json:"outcome"`  // by policy: trained, or why its numbers are those of the one before
	Rows       SummaryRows               `json:"rows"`
	Pairs      map[string]map[string]int `json:"pairs"`   // by round: kept and every reason
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
		Accuracy: map[string]stats.Interval{}, Calls: map[string]stats.Interval{}, Outcome: map[string]string{}, Pairs: map[string]map[string]int{}, Seconds: map[string]float64{},
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
