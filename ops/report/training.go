package report

import (
	"fmt"
	"sort"
	"strings"
)

// Guard is one check of the guard: both policies answer the same prompts.
type Guard struct {
	Name          string
	Before, After float64 // share of the cases that pass the check
	Cases         int
	P             float64 // one-sided McNemar test: probability of such a drop by chance
}

// Guards are the guard's checks of a policy, by name.
func (p Policy) Guards() []Guard {
	var out []Guard
	for k, before := range p.Metrics {
		name, ok := strings.CutSuffix(k, "_before")
		if name, in := strings.CutPrefix(name, guardPrefix); ok && in {
			m, key := p.Metrics, guardPrefix+name
			out = append(out, Guard{words(name), before, m[key+"_after"], int(m[key+"_cases"]), m[key+"_p"]})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

const guardPrefix = "guard_"

// Measured lists the metrics of a policy's training that no other table shows. Metrics that were
// measured before and after are shown together.
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

// words turns a key into words for people.
func words(key string) string { return strings.ReplaceAll(Plain(key), "_", " ") }

// completeFunnels adds the end of each round's funnel: the steps of the policy that it trained,
// and how far they moved the probabilities of the pairs.
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
				rd.Sides = &Sides{
					ChosenBefore: m["chosen_logp_before"], ChosenAfter: m["chosen_logp_after"],
					RejectedBefore: m["rejected_logp_before"], RejectedAfter: m["rejected_logp_after"],
				}
			}
		}
	}
}

// correctPairs takes pairs away that only the update can recognize, because it sees the whole
// round: the same pair from two trees, and pairs that another policy searched. It adds them to
// the reasons.
func (rd *Round) correctPairs(m map[string]float64) {
	kept, distinct, foreign := int(m["pairs_kept"]), int(m["pairs_distinct"]), int(m["pairs_foreign"])
	if kept != rd.Pairs || distinct < 0 || foreign < 0 || distinct+foreign > kept {
		return // the numbers of another program, which do not match the filter's
	}
	rd.Pairs = distinct
	for reason, n := range map[string]int{"foreign_policy": foreign, "duplicate": kept - foreign - distinct} {
		if n > 0 {
			rd.PairsReason[reason] += n
		}
	}
}
