package report

import (
	"context"
	"maps"
	"slices"

	"itool/ops/courier"
	"itool/schemas"
	"itool/stages/evaluate/stats"
)

// bootstrapSeed is fixed, so that the same verdicts give the same intervals in every report.
const bootstrapSeed = 1

// evaluatePolicies fills the accuracy of every policy from its verdicts. A policy with the
// weights of the one before is not evaluated again; it has its predecessor's verdicts.
func (r *Report) evaluatePolicies(verdicts map[int][]schemas.Verdict) {
	for i := range r.Policies {
		p := &r.Policies[i]
		if i > 0 && p.Digest == r.Policies[i-1].Digest && len(verdicts[p.Round]) == 0 {
			verdicts[p.Round] = verdicts[p.Round-1]
		}
		if len(verdicts[p.Round]) == 0 {
			continue
		}
		p.Accuracy = &Accuracy{
			Parts:   parts(verdicts[p.Round]),
			Summary: stats.Summarise(verdicts[p.Round], bootstrapSeed),
		}
		if i > 0 && p.Changed() {
			p.Accuracy.Gain = compare(verdicts[p.Round-1], verdicts[p.Round])
		}
	}
	if final := r.Final(); final != nil && final.Accuracy != nil {
		r.Effect = r.effect(verdicts, final.Round)
	}
}

// effect computes what the warm-up and the rounds gained. If one of them trained no policy, its
// gain is nil, not zero: nothing was tried, so there is no result.
func (r *Report) effect(verdicts map[int][]schemas.Verdict, final int) *Effect {
	var e Effect
	for _, p := range r.Policies {
		switch {
		case !p.Changed():
		case p.Round == 0:
			e.WarmUp = compare(verdicts[-1], verdicts[0])
		default:
			e.Rounds = compare(verdicts[0], verdicts[final])
		}
	}
	if e == (Effect{}) {
		return nil
	}
	return &e
}

// headline selects the rows that want a call, or all rows if none does. A policy that always
// answers with prose is right on all other rows and has learnt nothing.
func headline(vs []schemas.Verdict) []schemas.Verdict {
	var calls []schemas.Verdict
	for _, v := range vs {
		if v.HasCall {
			calls = append(calls, v)
		}
	}
	if len(calls) == 0 {
		return vs
	}
	return calls
}

// compare pairs the headline rows of two policies. It is nil if they have no row in common.
func compare(before, after []schemas.Verdict) *stats.Difference {
	d := stats.Compare(headline(before), headline(after), bootstrapSeed)
	if d.N == 0 {
		return nil
	}
	return &d
}

// parts are the parts of the dataset that the verdicts come from.
func parts(vs []schemas.Verdict) []string {
	seen := map[string]bool{}
	for _, v := range vs {
		seen[v.Part] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// Right counts the questions that a policy was asked and the right answers to them, of the rows that want a call
// or, if none does, of all: the headline, without its interval. Its verdicts must be complete.
func Right(ctx context.Context, c *courier.Courier, run string, round int) (right, asked int, err error) {
	g := &gatherer{c: c, run: run, r: &Report{Run: run}}
	var all []schemas.Verdict
	err = eachBatch(ctx, g, schemas.RecordVerdict, round, func(rows []schemas.Verdict) { all = append(all, rows...) })
	all = headline(all)
	for _, v := range all {
		if v.Pass {
			right++
		}
	}
	return right, len(all), err
}
