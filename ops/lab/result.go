package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/report"
	"itool/schemas"
	"itool/stages/evaluate/stats"
)

// bootstrapSeed is fixed, so that the same verdicts give the same intervals in every report.
const bootstrapSeed = 1

// Result holds all numbers that the reports show. Its JSON is for programs.
type Result struct {
	Name        string             `json:"name"`
	Question    string             `json:"question"`
	Tuning      bool               `json:"tuning"`
	Part        string             `json:"part"` // the part that accuracies are measured on
	Headline    string             `json:"headline"`
	Seeds       []uint64           `json:"seeds"`
	Settings    []string           `json:"settings"` // settings of all arms that differ from the defaults
	Arms        []ArmResult        `json:"arms"`
	Differences []DifferenceResult `json:"differences"`
	Runs        []RunResult        `json:"runs"`
	Work        Work               `json:"work"` // sum over all runs
	Findings    []string           `json:"findings"`
}

// ArmResult is one arm, over all seeds that are done.
type ArmResult struct {
	Name      string        `json:"name"`
	Note      string        `json:"note,omitempty"`
	Measure   string        `json:"measure"`
	Settings  []string      `json:"settings"` // settings that differ from those of all arms
	Runs      []string      `json:"runs"`
	Seeds     []uint64      `json:"seeds"`             // seeds that the numbers include
	Missing   []string      `json:"missing,omitempty"` // seeds that they lack, and why
	Accuracy  stats.Crossed `json:"accuracy"`
	Parsed    float64       `json:"parsed"`
	Rounds    []RoundResult `json:"rounds"`       // base, warm-up, round 1 …
	Cost      ArmCost       `json:"cost"`         // means over seeds
	SameRuns  string        `json:"alike"`        // the first arm with the same runs; mostly the arm itself
	LastRound int           `json:"last_measure"` // the last round that its measure includes; −1 base
}

// ArmCost is the mean cost of one seed of an arm.
type ArmCost struct {
	WallSeconds   float64  `json:"wall_seconds"`
	CPUSeconds    *float64 `json:"cpu_seconds"`    // nil: not known for one of the runs
	ItemSeconds   float64  `json:"item_seconds"`   // computed items, summed over workers
	ReusedSeconds float64  `json:"shared_seconds"` // reused items: what they cost the other runs
}

// RoundResult is one policy of an arm, over its seeds. Numbers of the funnel are means over
// seeds. Further numbers of report.Round belong here.
type RoundResult struct {
	Round    int           `json:"round"`
	Name     string        `json:"name"`
	Accuracy stats.Crossed `json:"accuracy"`
	Trained  int           `json:"trained"` // number of seeds in which the round changed the weights
	Trees    float64       `json:"trees"`
	Mixed    float64       `json:"mixed_trees"`
	Pairs    float64       `json:"pairs"`
	Steps    float64       `json:"steps"`
	Answers  float64       `json:"answers"` // that the verifier judged in the searches
	Tokens   float64       `json:"tokens"`  // of the trees
	Chosen   float64       `json:"chosen_change"`
	Rejected float64       `json:"rejected_change"`
}

// DifferenceResult is A − B on the same cases with the same seeds.
type DifferenceResult struct {
	A          string        `json:"a"`
	B          string        `json:"b"`
	Note       string        `json:"note,omitempty"`
	Difference stats.Crossed `json:"difference"`
	Seeds      []uint64      `json:"seeds"`
	Won        int           `json:"won"`  // answers that only A gets right, all seeds together
	Lost       int           `json:"lost"` // answers that only B gets right
	Same       bool          `json:"same"` // both arms have the same policies, so the difference is zero
	// Primary differences were chosen before the first run. Corrected is P after Holm's correction, among the
	// primary ones or among the others; 1 if nothing was measured.
	Primary   bool     `json:"primary"`
	Corrected float64  `json:"p_corrected"`
	Spent     [2]Spent `json:"spent"` // by A and by B after the warm-up, means over seeds
}

// Spent is what the rounds of an arm took, by which rivals can be matched.
type Spent struct {
	Steps   float64 `json:"steps"`   // of the optimiser
	Answers float64 `json:"answers"` // that the verifier judged in searches
	Tokens  float64 `json:"tokens"`  // of those searches: fragments that differ count once
}

// Measure reads all runs and compares the arms. Runs that are not done are left out of the
// numbers and listed in ArmResult.Missing.
func Measure(ctx context.Context, c *courier.Courier, dir string, p *Plan) (*Result, error) {
	r := &Result{
		Name: p.Name, Question: p.Question, Tuning: p.Tuning, Part: p.Part, Seeds: p.Seeds, Settings: p.Settings,
		Headline: "exact match of calls",
	}
	for i := range p.Runs {
		run, err := readRun(ctx, c, dir, &p.Runs[i])
		if err != nil {
			return nil, err
		}
		r.Runs = append(r.Runs, run)
		r.Work.Items += run.Work.Items
		r.Work.Reused += run.Work.Reused
		r.Work.Seconds += run.Work.Seconds
		r.Work.ReusedSeconds += run.Work.ReusedSeconds
	}
	firstArm := map[int]string{} // by the arm's first run
	for _, a := range p.Arms {
		res := r.arm(p, a)
		if firstArm[a.Runs[0]] == "" {
			firstArm[a.Runs[0]] = a.Name
		}
		res.SameRuns = firstArm[a.Runs[0]]
		r.Arms = append(r.Arms, res)
	}
	for _, pair := range p.Compare {
		r.Differences = append(r.Differences, r.difference(p, pair))
	}
	r.correct(true)
	r.correct(false)
	r.Findings = r.findings()
	return r, nil
}

// arm averages over the seeds of an arm that are done.
func (r *Result) arm(p *Plan, a PlannedArm) ArmResult {
	out := ArmResult{Name: a.Name, Note: a.Note, Measure: a.measure(p), Settings: a.Differs}
	var runs []*RunResult
	for i, at := range a.Runs {
		run := &r.Runs[at]
		out.Runs = append(out.Runs, run.Run)
		if !run.done() {
			why := fmt.Sprintf("seed %d: %s %s", p.Seeds[i], run.Status, report.Plain(run.Detail))
			out.Missing = append(out.Missing, why)
			continue
		}
		runs = append(runs, run)
		out.Seeds = append(out.Seeds, run.Seed)
	}
	if len(runs) == 0 {
		return out
	}
	n := float64(len(runs))
	var counted []answers
	known, cpu := true, 0.0
	for _, run := range runs {
		pol := run.policy(out.Measure)
		counted = append(counted, run.verdicts[pol.Round])
		out.Parsed += pol.Parsed / n
		out.Cost.WallSeconds += run.Cost.WallSeconds / n
		out.Cost.ItemSeconds += run.Work.Seconds / n
		out.Cost.ReusedSeconds += run.Work.ReusedSeconds / n
		if known = known && run.Cost.CPUSeconds != nil; known {
			cpu += *run.Cost.CPUSeconds / n
		}
		out.LastRound = max(out.LastRound, pol.Round)
	}
	if n, isLast, _ := round(out.Measure); !isLast {
		out.LastRound = n
	}
	if known {
		out.Cost.CPUSeconds = &cpu
	}
	out.Accuracy = stats.CrossedBootstrap(table(counted, nil), bootstrapSeed)
	out.Rounds = rounds(runs)
	return out
}

// rounds is the accuracy of an arm by round. A run that ended early counts with its last
// policy.
func rounds(runs []*RunResult) (out []RoundResult) {
	lastRound := line.Base
	for _, run := range runs {
		lastRound = max(lastRound, run.policy(last).Round)
	}
	n := float64(len(runs))
	for at := line.Base; at <= lastRound; at++ {
		rr := RoundResult{Round: at, Name: report.PolicyName(at)}
		var all []answers
		for _, run := range runs {
			pol := run.policy(fmt.Sprintf("round %d", at))
			if at <= 0 {
				pol = run.policy([]string{"base", "warm-up"}[at+1])
			}
			all = append(all, run.verdicts[pol.Round])
			if pol.Round != at {
				continue
			}
			if pol.Status == schemas.StatusTrained {
				rr.Trained++
			}
			rr.Trees += float64(pol.Trees) / n
			rr.Mixed += float64(pol.Mixed) / n
			rr.Pairs += float64(pol.Pairs) / n
			rr.Steps += float64(pol.Steps) / n
			rr.Answers += float64(pol.Answers) / n
			rr.Tokens += float64(pol.Tokens) / n
			rr.Chosen += pol.Chosen / n
			rr.Rejected += pol.Rejected / n
		}
		rr.Accuracy = stats.CrossedBootstrap(table(all, nil), bootstrapSeed)
		out = append(out, rr)
	}
	return out
}

// table has a row per seed and a column per case that all seeds have: 1 for a right answer,
// 0 for a wrong one. With minus, which has the same seeds, it holds the differences to it.
func table(all, minus []answers) [][]float64 {
	var cases []string
	for _, c := range slices.Sorted(maps.Keys(all[0])) {
		lacks := func(a answers) bool { _, ok := a[c]; return !ok }
		if !slices.ContainsFunc(all, lacks) && !slices.ContainsFunc(minus, lacks) {
			cases = append(cases, c)
		}
	}
	x := make([][]float64, len(all))
	for s := range all {
		for _, c := range cases {
			v := indicator(all[s][c])
			if minus != nil {
				v -= indicator(minus[s][c])
			}
			x[s] = append(x[s], v)
		}
	}
	return x
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// correct applies Holm's correction to the primary differences, or to the others. What is not measured yet
// counts as if it had shown nothing, so that a number does not get worse when the rest comes in.
func (r *Result) correct(primary bool) {
	var ps []float64
	var at []*DifferenceResult
	for i := range r.Differences {
		d := &r.Differences[i]
		if d.Primary != primary {
			continue
		}
		p := 1.0
		if d.Difference.N > 0 && !d.Same {
			p = d.Difference.P
		}
		ps, at = append(ps, p), append(at, d)
	}
	for i, p := range stats.Holm(ps) {
		at[i].Corrected = p
	}
}

// difference compares two arms, paired by seed and by case.
func (r *Result) difference(p *Plan, pair Pair) DifferenceResult {
	d := DifferenceResult{A: pair.A, B: pair.B, Note: pair.Note, Primary: pair.Primary, Same: true}
	find := func(name string) PlannedArm {
		i := slices.IndexFunc(p.Arms, func(a PlannedArm) bool { return a.Name == name })
		return p.Arms[i]
	}
	a, b := find(pair.A), find(pair.B)
	var xs, ys []answers
	for i := range p.Seeds {
		ra, rb := &r.Runs[a.Runs[i]], &r.Runs[b.Runs[i]]
		if !ra.done() || !rb.done() {
			continue
		}
		pa, pb := ra.policy(a.measure(p)), rb.policy(b.measure(p))
		d.Same = d.Same && pa.Digest == pb.Digest
		d.Spent[0].add(ra.spent(pa.Round))
		d.Spent[1].add(rb.spent(pb.Round))
		xs, ys = append(xs, ra.verdicts[pa.Round]), append(ys, rb.verdicts[pb.Round])
		d.Seeds = append(d.Seeds, p.Seeds[i])
	}
	if len(xs) == 0 {
		d.Same = false
		return d
	}
	d.Spent[0].divide(len(xs))
	d.Spent[1].divide(len(xs))
	x := table(xs, ys)
	for _, row := range x {
		for _, v := range row {
			if v > 0 {
				d.Won++
			}
			if v < 0 {
				d.Lost++
			}
		}
	}
	d.Difference = stats.CrossedBootstrap(x, bootstrapSeed)
	return d
}
