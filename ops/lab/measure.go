package lab

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/report"
	"itool/schemas"
)

// RunResult is what became of one run.
type RunResult struct {
	Run      string         `json:"run"`
	Arm      string         `json:"arm"` // the first that needs it
	Seed     uint64         `json:"seed"`
	Status   string         `json:"status"` // not started, running, or that of schemas.End
	Detail   string         `json:"detail,omitempty"`
	Digest   string         `json:"config_digest"`
	Policies []PolicyResult `json:"policies"`
	Cost     Cost           `json:"cost"`
	Work     Work           `json:"work"`
	Workers  []string       `json:"workers,omitempty"`

	verdicts map[int]answers // by round; a policy that did not change has those of the one before
}

// Work counts the items of a run. Seconds are wall time of items, summed over workers,
// as the one who made them measured it.
type Work struct {
	Items         int     `json:"items"`  // computed in this run
	Reused        int     `json:"shared"` // taken from another run
	Seconds       float64 `json:"seconds"`
	ReusedSeconds float64 `json:"shared_seconds"` // what the taken ones would have cost
}

// PolicyResult is one policy of a run and the round that made it.
type PolicyResult struct {
	Round    int     `json:"round"` // −1 base, 0 warm-up
	Name     string  `json:"name"`
	Digest   string  `json:"digest"`
	Status   string  `json:"status"`
	Accuracy float64 `json:"accuracy"` // exact match of calls, of all rows where none wants a call; 0 with N = 0: not evaluated
	N        int     `json:"n"`        // rows that it was measured on
	Parsed   float64 `json:"parsed"`   // share of the answers that parse, all rows
	Steps    int     `json:"steps"`
	// Of the search that it was made from; zero for base and warm-up.
	Trees    int     `json:"trees"`
	Mixed    int     `json:"mixed_trees"` // with right and wrong answers
	Pairs    int     `json:"pairs"`
	Chosen   float64 `json:"chosen_change"` // mean |Δ log-probability| of a side, nats
	Rejected float64 `json:"rejected_change"`
	Work     Work    `json:"work"` // search, training and evaluation of this policy
}

// answers are verdicts of one policy by example: of the rows that want a call, or of
// all rows where none does.
type answers map[string]bool

// readRun reads a run; one that nobody has started yet is no error.
func readRun(ctx context.Context, c *courier.Courier, dir string, r *Run) (RunResult, error) {
	out := RunResult{Run: r.Name, Arm: r.Arm, Seed: r.Seed, Status: "not started", Digest: r.Digest, verdicts: map[int]answers{}}
	var err error
	if out.Cost, err = readCost(dir, r.Name); err != nil {
		return out, err
	}
	rep, err := report.Gather(ctx, c, r.Name)
	if errors.Is(err, broker.ErrNoRun) || errors.Is(err, broker.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	out.Status, out.Detail, out.Workers = rep.Status, rep.Detail, rep.Workers
	for _, p := range rep.Policies {
		pr := PolicyResult{Round: p.Round, Name: p.Name, Digest: p.Digest, Status: p.Status, Steps: p.Steps}
		if p.Accuracy != nil {
			i := p.Accuracy.Headline()
			pr.Accuracy, pr.N, pr.Parsed = i.Mean, i.N, p.Accuracy.Parsed.Mean
		}
		for _, rd := range rep.Rounds {
			if rd.Round+1 == p.Round {
				pr.Trees, pr.Mixed, pr.Pairs, pr.Chosen, pr.Rejected = rd.Trees, rd.MixedTrees, rd.Pairs, rd.ChosenChange, rd.RejectedChange
			}
		}
		out.Policies = append(out.Policies, pr)
	}
	if err := out.readVerdicts(ctx, c); err != nil {
		return out, fmt.Errorf("run %s: %w", r.Name, err)
	}
	return out, out.countWork(ctx, c)
}

// readVerdicts reads the verdicts.
func (r *RunResult) readVerdicts(ctx context.Context, c *courier.Courier) error {
	for i, p := range r.Policies {
		keys, err := c.Broker.Keys(ctx, r.Run, schemas.RecordVerdict, p.Round)
		if err != nil {
			return err
		}
		var all []schemas.Verdict
		for b, err := range c.Round(ctx, r.Run, schemas.RecordVerdict, p.Round, keys) {
			if err != nil {
				return err
			}
			rows, err := schemas.Decode[schemas.Verdict](b)
			if err != nil {
				return fmt.Errorf("verdict.%d.%s: %w", p.Round, b.Header.Key, err)
			}
			all = append(all, rows...)
		}
		if len(all) == 0 && i > 0 && p.Digest == r.Policies[i-1].Digest {
			r.verdicts[p.Round] = r.verdicts[p.Round-1] // it was not asked again
			continue
		}
		r.verdicts[p.Round] = headline(all)
	}
	return nil
}

func headline(all []schemas.Verdict) answers {
	calls, every := answers{}, answers{}
	for _, v := range all {
		every[v.ExampleID] = v.Pass
		if v.HasCall {
			calls[v.ExampleID] = v.Pass
		}
	}
	if len(calls) == 0 {
		return every
	}
	return calls
}

// countWork sums the work of every record by the policy that it was done for.
func (r *RunResult) countWork(ctx context.Context, c *courier.Courier) error {
	table := line.Rows(nil)
	for _, record := range table.Records() {
		for m, err := range c.Broker.List(ctx, r.Run, record+".*.*") {
			if err != nil {
				return err
			}
			row, made := table.Maker(record, m.Round)
			if !made {
				continue // the base policy: the keeper copies it
			}
			seconds, _ := strconv.ParseFloat(m.Header[courier.HeaderSeconds], 64)
			reused := m.Header[HeaderReused] != ""
			r.Work.add(seconds, reused)
			round := m.Round
			if row.When == line.EachRound && !row.Spec().NextRound {
				round++ // of the policy that is made from it
			}
			for i := range r.Policies {
				if r.Policies[i].Round == round {
					r.Policies[i].Work.add(seconds, reused)
				}
			}
		}
	}
	return nil
}

func (w *Work) add(seconds float64, reused bool) {
	if reused {
		w.Reused++
		w.ReusedSeconds += seconds
		return
	}
	w.Items++
	w.Seconds += seconds
}

// policy is the one that a measure names. A run that ended early, stopped by the guard,
// has its last policy for every later round: that is the one that stands.
func (r *RunResult) policy(measure string) *PolicyResult {
	n, isLast, _ := round(measure)
	for i := len(r.Policies) - 1; i >= 0; i-- {
		if isLast || r.Policies[i].Round <= n {
			return &r.Policies[i]
		}
	}
	return nil
}

// done tells whether the run ended with a policy.
func (r *RunResult) done() bool {
	return r.Status == schemas.StatusDone || r.Status == schemas.StatusGuard
}

// LastPolicy is the last one, or nil; the page asks for it.
func (r RunResult) LastPolicy() *PolicyResult {
	if len(r.Policies) == 0 {
		return nil
	}
	return &r.Policies[len(r.Policies)-1]
}
