package update

import (
	"fmt"
	"math"
	"strings"

	"itool/schemas"
)

// A guard compares the answers of two policies to the same prompts. It refuses the new
// policy if one of four abilities fell by at least guard_drop points and chance is an
// unlikely reason for it.

// ability is one yes-or-no question about an answer.
type ability struct {
	name  string                       // in metrics
	label string                       // for people
	asks  func(v schemas.Verdict) bool // whether the question applies to this case
	good  func(v schemas.Verdict, tokens []int32) bool
}

var abilities = []ability{
	{"parse_rate", "parse rate", always, func(v schemas.Verdict, _ []int32) bool { return v.Parsed }},
	{"non_repetition", "non-repetition", always, varied},
	{"no_call_accuracy", "no-call accuracy", wantsProse, right},
	{"exact_match", "exact match", always, right},
}

func right(v schemas.Verdict, _ []int32) bool { return v.Pass }

func always(schemas.Verdict) bool { return true }

func wantsProse(v schemas.Verdict) bool { return !v.HasCall }

// varied reports whether an answer does not repeat itself. A right answer never counts as a
// repetition: six calls of one tool have to look alike.
func varied(v schemas.Verdict, ids []int32) bool { return v.Pass || !repeats(ids) }

// Comparison is one ability before and after, over pairs of answers.
type Comparison struct {
	Name, Label   string
	Cases         int
	Before, After int     // good answers
	Lost, Won     int     // good before only, good after only
	Drop          float64 // percentage points; negative if the ability rose
	P             float64 // one-sided McNemar
}

// compare measures every ability on paired answers: those with the same index answer the
// same prompt.
func compare(before, after answers) []Comparison {
	var out []Comparison
	for _, a := range abilities {
		c := Comparison{Name: a.name, Label: a.label}
		for i := range before.verdicts {
			if !a.asks(before.verdicts[i]) {
				continue
			}
			c.add(a.good(before.verdicts[i], before.tokens[i]), a.good(after.verdicts[i], after.tokens[i]))
		}
		if c.Cases > 0 {
			c.Drop = 100 * float64(c.Before-c.After) / float64(c.Cases)
		}
		c.P = McNemar(c.Lost, c.Won)
		out = append(out, c)
	}
	return out
}

func (c *Comparison) add(before, after bool) {
	c.Cases++
	if before {
		c.Before++
	}
	if after {
		c.After++
	}
	switch {
	case before && !after:
		c.Lost++
	case after && !before:
		c.Won++
	}
}

// refusal names the abilities that fell too far, "" if none did.
func (c Config) refusal(all []Comparison) string {
	var fell []string
	for _, x := range all {
		// A drop of exactly guard_drop counts, and rounding can make 100·k/n slightly smaller.
		if x.Drop >= c.GuardDrop-1e-9 && x.P < c.GuardP {
			fell = append(fell, fmt.Sprintf("%s fell by %.1f points (%d → %d of %d, p = %.2g)",
				x.Label, x.Drop, x.Before, x.After, x.Cases, x.P))
		}
	}
	return strings.Join(fell, ", ")
}

// McNemar is the exact one-sided p-value of a change for the worse: the probability of at
// least lost heads in lost + won throws of a fair coin. Cases that both policies got
// right, or both wrong, do not matter.
func McNemar(lost, won int) float64 {
	n := lost + won
	var sum float64
	for k := lost; k <= n; k++ {
		sum += math.Exp(logChoose(n, k) - float64(n)*math.Ln2)
	}
	return min(1, sum)
}

func logChoose(n, k int) float64 {
	lg := func(x int) float64 {
		v, _ := math.Lgamma(float64(x) + 1)
		return v
	}
	return lg(n) - lg(k) - lg(n-k)
}

// repeats reports whether some run of four tokens occurs more than three times, which is
// how a collapsed policy answers.
func repeats(ids []int32) bool {
	const run, most = 4, 3
	seen := map[[run]int32]int{}
	for i := 0; i+run <= len(ids); i++ {
		g := [run]int32(ids[i : i+run])
		if seen[g]++; seen[g] > most {
			return true
		}
	}
	return false
}
