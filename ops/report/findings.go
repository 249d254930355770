package report

import (
	"fmt"
	"sort"
	"strings"

	"itool/schemas"
	"itool/stages/evaluate/stats"
)

// Findings are the sentences that a reader must not miss, the effect first.
func (r *Report) Findings() []string {
	var out []string
	if r.Stalled != "" {
		out = append(out, "stalled: "+Plain(r.Stalled))
	}
	for _, w := range r.Waiting {
		out = append(out, Plain(w))
	}
	if base, final := r.firstEvaluated(), r.lastChanged(); base != nil && final != nil && base != final {
		out = append(out, fmt.Sprintf("%s went from %.1f %% (%s) to %.1f %% (%s)", r.HeadlineName(),
			100*base.Accuracy.Headline().Mean, base.Name, 100*final.Accuracy.Headline().Mean, final.Name))
	}
	if e := r.Effect; e != nil {
		out = append(out, effect("warm-up", e.WarmUp, nil)...)
		out = append(out, effect("rounds after the warm-up", e.Rounds, e.HeadroomShare)...)
	}
	out = append(out, r.stageRemarks()...)
	for _, b := range []string{schemas.DifficultyEasy, schemas.DifficultyMedium, schemas.DifficultyHard} {
		if r.Rows.Parts[schemas.PartTrain] > 0 && r.Rows.Difficulty[b] == 0 {
			out = append(out, fmt.Sprintf("no %s row by the paper's thresholds "+
				"(warmup.mode=tertile divides the rows into thirds instead)", b))
		}
	}
	return out
}

// HeadlineName says what the headline measures.
func (r *Report) HeadlineName() string {
	if p := r.firstEvaluated(); p != nil && p.Accuracy.Calls.N == 0 {
		return "exact match"
	}
	return "exact match of calls"
}

func effect(what string, i *stats.Difference, ofHeadroom *float64) []string {
	if i == nil {
		return nil
	}
	s := fmt.Sprintf("%s: %+.1f points, 95 %% interval %+.1f to %+.1f", what, 100*i.Mean, 100*i.Low, 100*i.High)
	// The headroom is measured on other rows: a gain may exceed it, and then is no share of it.
	if ofHeadroom != nil && *ofHeadroom >= 0 && *ofHeadroom <= 1 {
		s += fmt.Sprintf(", %.0f %% of the headroom", 100**ofHeadroom)
	}
	if i.Low <= 0 && i.High >= 0 {
		s += fmt.Sprintf(" (no effect is shown: the interval contains zero, on %d rows)", i.N)
	}
	return []string{s}
}

// stageRemarks are the remarks on the work of the stages. Rounds with the same remark share a
// line.
func (r *Report) stageRemarks() []string {
	var texts []string
	names := map[string][]string{}
	add := func(text, name string) {
		if names[text] == nil {
			texts = append(texts, text)
		}
		names[text] = append(names[text], name)
	}
	for _, p := range r.Policies {
		switch {
		case p.Round > 0 && !p.Changed():
			add(fmt.Sprintf("%s: %s", p.Status, Plain(p.Detail)), p.Name)
		case p.Round == 0 && p.Detail != "":
			add(Plain(p.Detail), p.Name)
		}
	}
	for _, p := range r.Policies {
		if a := p.Accuracy; a != nil && a.Parsed.N > 0 && a.Parsed.Mean == 0 {
			add(fmt.Sprintf("none of %d answers parses as calls, or as prose where prose is expected: "+
				"0 %% says nothing about the policy's skill; check the chat template and the format of the answers",
				a.Parsed.N), p.Name)
		}
	}
	cfg := r.search()
	for _, rd := range r.Rounds {
		if text := cfg.noSignal(&rd); text != "" && rd.Judge != nil && !rd.Judge.Counts {
			add(text, PolicyName(rd.Round+1))
		}
		for _, text := range rd.tooShort() {
			add(text, PolicyName(rd.Round+1))
		}
		switch j := rd.Judge; {
		case j == nil || j.Counts:
		case j.Mass == nil:
			add("self-evaluation did not count: "+Plain(j.Reason), PolicyName(rd.Round+1))
		default:
			text := fmt.Sprintf("self-evaluation did not count (AUC %s, mass %s)", Number(j.AUC), Number(j.Mass))
			add(text, PolicyName(rd.Round+1))
		}
	}
	for _, g := range r.Gates {
		for _, v := range g.Values {
			if text := warnings[g.Name]; text != "" && v.Verdict == missed {
				add(text, v.Policy)
			}
		}
	}
	for i, t := range texts {
		texts[i] = strings.Join(names[t], ", ") + ": " + t
	}
	return texts
}

// tooShort says that answers ran out of length, in the search and before it.
func (rd *Round) tooShort() (out []string) {
	if rd.Cut*20 > rd.Terminals { // over 5 %: the length limit decides, not the policy
		out = append(out, fmt.Sprintf("%d of %d searched answers reached the length limit and failed "+
			"(expand.max_answer_tokens)", rd.Cut, rd.Terminals))
	}
	if l := rd.Lengths; l != nil && l.Warning != "" {
		out = append(out, "before the search: "+l.Warning)
	}
	return out
}

// warnings say what a missed gate means for the result. Gates that are not listed have their
// own remark in stageRemarks. The warnings have no numbers, so that rounds can share a line.
var warnings = map[string]string{
	"plateau": "more plain fine-tuning would have gained over a point: " +
		"the rounds may only gain what a longer warm-up would gain too (warmup.epochs)",
	"headroom": "the headroom is below 10 points: the search had little to find",
	"|Δ log-probability|": fmt.Sprintf("the update moved its pairs by less than %g nats: "+
		"the policy has hardly changed (update.rate)", movedBar),
	"margin": "the update did not widen the margin of its pairs: it learnt nothing from them (update.rate)",
}

// Categories are those of the benchmark, if all evaluated policies have the same ones.
func (r *Report) Categories() ([]stats.Category, []Policy) {
	_, policies := r.ErrorTypes()
	if len(policies) == 0 {
		return nil, nil
	}
	cats := policies[0].Accuracy.Categories
	for _, p := range policies {
		if len(p.Accuracy.Categories) != len(cats) {
			return nil, nil
		}
	}
	return cats, policies
}

// firstEvaluated is the first policy that was evaluated, or nil.
func (r *Report) firstEvaluated() *Policy {
	for i := range r.Policies {
		if r.Policies[i].Accuracy != nil {
			return &r.Policies[i]
		}
	}
	return nil
}

// lastChanged is the last evaluated policy whose weights training changed, or nil. A round without
// an update is no result.
func (r *Report) lastChanged() *Policy {
	for i := len(r.Policies) - 1; i >= 0; i-- {
		if r.Policies[i].Accuracy != nil && r.Policies[i].Changed() {
			return &r.Policies[i]
		}
	}
	return nil
}

// WhyNoAccuracy says why nothing was evaluated, and what to do.
func (r *Report) WhyNoAccuracy() string {
	switch {
	case r.Status == running:
		return "not yet"
	case r.Rows.Parts[schemas.PartTest] == 0 && r.Rows.Parts[schemas.PartValidation] == 0:
		return "no rows were held out: set split.test_share"
	}
	return "set split.test_share, or line.evaluate to validation"
}

// ErrorNames are the error types that occur.
func (r *Report) ErrorNames() []string {
	types, _ := r.ErrorTypes()
	return types
}

// ErrorTypes are the error types that occur, and the evaluated policies.
func (r *Report) ErrorTypes() ([]string, []Policy) {
	seen := map[string]bool{}
	var policies []Policy
	for _, p := range r.Policies {
		if p.Accuracy == nil {
			continue
		}
		policies = append(policies, p)
		for t := range p.Accuracy.Errors {
			seen[t] = true
		}
	}
	var types []string
	for t := range seen {
		types = append(types, t)
	}
	if len(policies) > 0 { // sort by frequency in the first policy
		before := policies[0].Accuracy.Errors
		sort.Slice(types, func(i, j int) bool {
			if before[types[i]] != before[types[j]] {
				return before[types[i]] > before[types[j]]
			}
			return strings.Compare(types[i], types[j]) < 0
		})
	}
	return types, policies
}
