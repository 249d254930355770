package report

import (
	"fmt"
	"sort"
	"strings"
)

// Guard is one check of the guard: the same prompts answered by both policies.
type Guard struct {
	Name          string
	Before, After float64 // share of the cases that pass the check
	Cases         int
	P             float64 // one-sided McNemar: chance of such a drop without a cause
}

// Guards are the checks that a policy went through, by name.
func (p Policy) Guards() []Guard {
	var out []Guard
	for k, before := range p.Metrics {
		name, ok := strings.CutSuffix(k, "_before")
		if name, in := strings.CutPrefix(name, guardPrefix); ok && in {
			m := p.Metrics
			out = append(out, Guard{words(name), before, m[guardPrefix+name+"_after"], int(m[guardPrefix+name+"_cases"]), m[guardPrefix+name+"_p"]})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

const guardPrefix = "guard_"

// Measured lists the numbers of a policy's training that have no table of their own;
// what was measured before and after stands together.
func (p Policy) Measured() string {
	m := p.Metrics
	var keys, parts []string
	for k := range m {
		if !strings.HasPrefix(k, guardPrefix) && !strings.HasPrefix(k, "plateau_") {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	for _, k := range keys {
		if stem, ok := strings.CutSuffix(k, "_after"); ok {
			if _, paired := m[stem+"_before"]; paired {
				continue
			}
		}
		if stem, ok := strings.CutSuffix(k, "_before"); ok {
			if after, ok := m[stem+"_after"]; ok {
				parts = append(parts, fmt.Sprintf("%s %.3g → %.3g", words(stem), m[k], after))
				continue
			}
		}
		parts = append(parts, fmt.Sprintf("%s %.4g", words(k), m[k]))
	}
	return strings.Join(parts, ", ")
}

func words(key string) string { return strings.ReplaceAll(Plain(key), "_", " ") }

// completeFunnels fills what a round's funnel ends in: the steps of the policy that it made,
// and how far they moved the pairs' probabilities.
func (r *Report) completeFunnels() {
	made := map[int]Policy{}
	for _, p := range r.Policies {
		made[p.Round] = p
	}
	for i := range r.Rounds {
		rd := &r.Rounds[i]
		p, ok := made[rd.Round+1]
		if !ok {
			continue
		}
		rd.Steps = p.Steps
		rd.correctPairs(p.Metrics)
		if p.Changed() {
			m := p.Metrics
			rd.ChosenChange, rd.RejectedChange = m["chosen_change"], m["rejected_change"]
			if _, ok := m["chosen_change"]; ok {
				rd.Sides = &Sides{m["chosen_logp_before"], m["chosen_logp_after"], m["rejected_logp_before"], m["rejected_logp_after"]}
			}
		}
	}
}

// correctPairs moves what only the whole round could see from the pairs to the reasons:
// the same pair in two trees, and pairs that were searched with another policy.
func (rd *Round) correctPairs(m map[string]float64) {
	kept, distinct, foreign := int(m["pairs_kept"]), int(m["pairs_distinct"]), int(m["pairs_foreign"])
	if kept != rd.Pairs || distinct < 0 || foreign < 0 || distinct+foreign > kept {
		return // another stage's numbers, which do not add up to what the filter gave
	}
	rd.Pairs = distinct
	for reason, n := range map[string]int{"foreign_policy": foreign, "duplicate": kept - foreign - distinct} {
		if n > 0 {
			rd.PairsReason[reason] += n
		}
	}
}
