package report

import (
	"maps"
	"slices"

	"itool/schemas"
	"itool/stages/evaluate/stats"
)

// bootstrapSeed is fixed: the same verdicts give the same intervals in every report.
const bootstrapSeed = 1

// accuracies judges every policy by its verdicts. A policy with the weights of the
// one before was not asked again; it has its predecessor's answers.
func (r *Report) accuracies(verdicts map[int][]schemas.Verdict) {
	for i := range r.Policies {
		p := &r.Policies[i]
		if i > 0 && p.Digest == r.Policies[i-1].Digest && len(verdicts[p.Round]) == 0 {
			verdicts[p.Round] = verdicts[p.Round-1]
		}
		if len(verdicts[p.Round]) == 0 {
			continue
		}
		p.Accuracy = &Accuracy{Parts: parts(verdicts[p.Round]), Summary: stats.Summarise(verdicts[p.Round], bootstrapSeed)}
		if i > 0 {
			p.Accuracy.Gain = compare(verdicts[p.Round-1], verdicts[p.Round])
		}
	}
	if final := r.Final(); final != nil && final.Accuracy != nil {
		r.Effect = &Effect{WarmUp: compare(verdicts[-1], verdicts[0])}
		if final.Round > 0 {
			r.Effect.Rounds = compare(verdicts[0], verdicts[final.Round])
		}
	}
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
