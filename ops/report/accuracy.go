package report

import (
	"maps"
	"slices"
	"sort"

	"itool/schemas"
)

// accuracies judges every policy by its verdicts. A policy with the weights of the
// one before was not asked again; it has its predecessor's answers.
func (r *Report) accuracies(verdicts map[int][]schemas.Verdict) {
	for i := 1; i < len(r.Policies); i++ {
		p, before := &r.Policies[i], r.Policies[i-1]
		if p.Digest == before.Digest && len(verdicts[p.Round]) == 0 {
			verdicts[p.Round] = verdicts[before.Round]
		}
	}
	for i := range r.Policies {
		p := &r.Policies[i]
		p.Accuracy = accuracy(verdicts[p.Round])
		if i > 0 && p.Accuracy != nil {
			p.Accuracy.Gain = gain(verdicts[p.Round-1], verdicts[p.Round])
		}
	}
	if final := r.Final(); final != nil && final.Accuracy != nil {
		r.Effect = &Effect{WarmUp: gain(verdicts[-1], verdicts[0])}
		if final.Round > 0 {
			r.Effect.Rounds = gain(verdicts[0], verdicts[final.Round])
		}
	}
}

func accuracy(vs []schemas.Verdict) *Accuracy {
	if len(vs) == 0 {
		return nil
	}
	a := &Accuracy{Errors: map[string]int{}}
	parts, classes := map[string]bool{}, map[string][]schemas.Verdict{}
	for _, v := range vs {
		parts[v.Part] = true
		if v.Category != "" {
			classes[v.Category] = append(classes[v.Category], v)
		}
		if !v.Pass {
			a.Errors[v.ErrorType]++
		}
		if v.Cut {
			a.Cut++
		}
		a.Tokens += float64(v.Tokens) / float64(len(vs))
	}
	a.Parts = slices.Sorted(maps.Keys(parts))
	all := func(schemas.Verdict) bool { return true }
	passes := func(v schemas.Verdict) bool { return v.Pass }
	a.Overall = *rate(vs, all, passes)
	a.Parsed = *rate(vs, all, func(v schemas.Verdict) bool { return v.Parsed })
	a.Calls = rate(vs, func(v schemas.Verdict) bool { return v.HasCall }, passes)
	a.NoCall = rate(vs, func(v schemas.Verdict) bool { return !v.HasCall }, passes)
	for name, of := range classes {
		a.ByClass = append(a.ByClass, Class{name, *rate(of, all, passes)})
	}
	sort.Slice(a.ByClass, func(i, j int) bool { return a.ByClass[i].Name < a.ByClass[j].Name })
	return a
}
