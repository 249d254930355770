package report

import (
	"maps"
	"slices"

	"itool/schemas"
	"itool/stages/evaluate/stats"
)

// bootstrapSeed is fixed: the same verdicts give the same intervals in every report.
const bootstrapSeed = 1

// evaluatePolicies judges every policy by its verdicts. A policy with the weights of the
// one before was not asked again; it has its predecessor's answers.
func (r *Report) evaluatePolicies(verdicts map[int][]schemas.Verdict) {
	for i := range r.Policies {
		p := &r.Policies[i]
		if i > 0 && p.Digest == r.Policies[i-1].Digest && len(verdicts[p.Round]) == 0 {
			verdicts[p.Round] = verdicts[p.Round-1]
		}
		if len(verdicts[p.Round]) == 0 {
			continue
		}
		p.Accuracy = &Accuracy{Parts: parts(verdicts[p.Round]), Summary: stats.Summarise(verdicts[p.Round], bootstrapSeed)}
		if i > 0 && p.Changed() {
			p.Accuracy.Gain = compare(verdicts[p.Round-1], verdicts[p.Round])
		}
	}
	if final := r.Final(); final != nil && final.Accuracy != nil {
		r.Effect = r.effect(verdicts, final.Round)
	}
}

// effect leaves a half out in which no policy was trained: nothing was tried, so
// there is no result, not a gain of zero.
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

// headline takes the rows that want a call, if there are any: whoever answers with
// prose all the time is right on all others, and has learnt nothing.
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

// compare pairs the headline rows; nil when the two were not asked a common one.
func compare(before, after []schemas.Verdict) *stats.Difference {
	d := stats.Compare(headline(before), headline(after), bootstrapSeed)
	if d.N == 0 {
		return nil
	}
	return &d
}

func parts(vs []schemas.Verdict) []string {
	seen := map[string]bool{}
	for _, v := range vs {
		seen[v.Part] = true
	}
	return slices.Sorted(maps.Keys(seen))
}
