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

// RunResult is the state of one run and the accuracy of its policies.
type RunResult struct {
	Run      string         `json:"run"`
	Arm      string         `json:"arm"` // the first arm that needs it
	Seed     uint64         `json:"seed"`
	Status   string         `json:"status"` // not started, running, or the status of schemas.End
	Detail   string         `json:"detail,omitempty"`
	Digest   string         `json:"config_digest"`
	Policies []PolicyResult `json:"policies"`
	Cost     Cost           `json:"cost"`
	Work     Work           `json:"work"`
	Workers  []string       `json:"workers,omitempty"`

	verdicts map[int]answers // by round; a policy that did not change has its predecessor's
}

// Work counts the items of a run. Seconds are the wall time of items, summed over workers, as
// the worker that computed an item measured it.
type Work struct {
	Items         int     `json:"items"`  // computed in this run
	Reused        int     `json:"shared"` // copied from another run
	Seconds       float64 `json:"seconds"`
	ReusedSeconds float64 `json:"shared_seconds"` // what the reused items cost the other run
}

// PolicyResult is one policy of a run and the round that made it.
type PolicyResult struct {
	Round  int    `json:"round"` // −1 base, 0 warm-up
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Status string `json:"status"`
	// Accuracy is exact match on the rows that want a call, or on all rows if none does.
	// With N = 0 the policy was not evaluated.
	Accuracy float64 `json:"accuracy"`
	N        int     `json:"n"`      // rows that Accuracy is measured on
	Parsed   float64 `json:"parsed"` // share of the answers that parse, over all rows
	Steps    int     `json:"steps"`
	// The rest describes the search that it was trained on; zero for base and warm-up.
	Trees    int     `json:"trees"`
	Mixed    int     `json:"mixed_trees"` // trees with right and wrong answers
	Pairs    int     `json:"pairs"`
	Answers  int     `json:"answers"`       // that the verifier judged in the trees
	Tokens   int     `json:"tokens"`        // of the trees; fragments that were drawn twice count once
	Chosen   float64 `json:"chosen_change"` // mean |Δ log-probability| of the chosen side, nats
	Rejected float64 `json:"rejected_change"`
	Work     Work    `json:"work"` // search, training and evaluation of this policy
}

// answers tells by example whether a policy's answer is right. It holds the rows that want a
// call, or all rows if none does.
type answers map[string]bool

// readRun reads the records of a run. A run that is not started yet is no error.
func readRun(ctx context.Context, c *courier.Courier, dir string, r *Run) (RunResult, error) {
	out := RunResult{
		Run: r.Name, Arm: r.Arm, Seed: r.Seed, Status: "not started", Digest: r.Digest, verdicts: map[int]answers{},
	}
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
				pr.Trees, pr.Mixed, pr.Pairs = rd.Trees, rd.MixedTrees, rd.Pairs
				pr.Chosen, pr.Rejected = rd.ChosenChange, rd.RejectedChange
			}
		}
		out.Policies = append(out.Policies, pr)
	}
	if err := out.readVerdicts(ctx, c); err != nil {
		return out, fmt.Errorf("run %s: %w", r.Name, err)
	}
	if err := out.countSearch(ctx, c); err != nil {
		return out, fmt.Errorf("run %s: %w", r.Name, err)
	}
	return out, out.countWork(ctx, c)
}

// countSearch counts the judged answers and the tokens of the trees behind each policy.
func (r *RunResult) countSearch(ctx context.Context, c *courier.Courier) error {
	for i := range r.Policies {
		p := &r.Policies[i]
		if p.Round <= 0 {
			continue
		}
		trees := courier.AllBatches[schemas.Candidate](ctx, c, r.Run, schemas.RecordCandidate, p.Round-1)
		for rows, err := range trees {
			if err != nil {
				return err
			}
			for _, n := range rows {
				if n.Terminal {
					p.Answers++
				}
				if n.Parent >= 0 {
					p.Tokens += len(n.Tokens)
				}
			}
		}
	}
	return nil
}

// spent is what the rounds up to a policy took.
func (r *RunResult) spent(round int) (s Spent) {
	for _, p := range r.Policies {
		if p.Round > 0 && p.Round <= round {
			s.add(Spent{float64(p.Steps), float64(p.Answers), float64(p.Tokens)})
		}
	}
	return s
}

func (s *Spent) add(o Spent) {
	s.Steps, s.Answers, s.Tokens = s.Steps+o.Steps, s.Answers+o.Answers, s.Tokens+o.Tokens
}

func (s *Spent) divide(n int) {
	s.Steps, s.Answers, s.Tokens = s.Steps/float64(n), s.Answers/float64(n), s.Tokens/float64(n)
}

// readVerdicts fills r.verdicts.
func (r *RunResult) readVerdicts(ctx context.Context, c *courier.Courier) error {
	for i, p := range r.Policies {
		var all []schemas.Verdict
		for rows, err := range courier.AllBatches[schemas.Verdict](ctx, c, r.Run, schemas.RecordVerdict, p.Round) {
			if err != nil {
				return err
			}
			all = append(all, rows...)
		}
		if len(all) == 0 && i > 0 && p.Digest == r.Policies[i-1].Digest {
			r.verdicts[p.Round] = r.verdicts[p.Round-1] // the same policy is not evaluated again
			continue
		}
		r.verdicts[p.Round] = headline(all)
	}
	return nil
}

// headline selects the verdicts that count: those on rows that want a call, or all of them.
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

// countWork adds up the work behind all records, for the run and for each policy.
func (r *RunResult) countWork(ctx context.Context, c *courier.Courier) error {
	table := line.Rows(nil)
	for _, record := range table.Records() {
		for m, err := range c.Broker.List(ctx, r.Run, record+".*.*") {
			if err != nil {
				return err
			}
			row, made := table.Maker(record, m.Round)
			if !made {
				continue // the keeper copies the base; no worker computes it
			}
			seconds, _ := strconv.ParseFloat(m.Header[courier.HeaderSeconds], 64)
			reused := m.Header[HeaderReused] != ""
			r.Work.add(seconds, reused)
			round := m.Round
			if row.When == line.EachRound && !row.Spec().NextRound {
				round++ // the round of the policy that is trained on it
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

// policy is the policy that a measure names. If the guard stopped the run early, its last
// policy counts for every later round.
func (r *RunResult) policy(measure string) *PolicyResult {
	n, isLast, _ := round(measure)
	for i := len(r.Policies) - 1; i >= 0; i-- {
		if isLast || r.Policies[i].Round <= n {
			return &r.Policies[i]
		}
	}
	return nil
}

// done reports whether the run ended with a policy.
func (r *RunResult) done() bool {
	return r.Status == schemas.StatusDone || r.Status == schemas.StatusGuard
}

// LastPolicy is the last policy of the run, or nil; page.html uses it.
func (r RunResult) LastPolicy() *PolicyResult {
	if len(r.Policies) == 0 {
		return nil
	}
	return &r.Policies[len(r.Policies)-1]
}
