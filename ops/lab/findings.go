package lab

import (
	"fmt"
	"math"
	"strings"

	"itool/schemas"
	"itool/stages/evaluate/stats"
)

// findings are the sentences that a reader must not miss.
func (r *Result) findings() (out []string) {
	if r.Tuning {
		out = append(out, "settings are being chosen here, on the validation part: "+
			"no number of this page is a result")
	}
	for _, d := range r.Differences {
		out = append(out, d.finding())
	}
	if n := r.primary(); n > 1 || len(r.Differences)-n > 1 {
		out = append(out, fmt.Sprintf("corrected p: Holm's, among the %d primary outcomes and among the %d others",
			n, len(r.Differences)-n))
	}
	if len(r.Differences) == 0 {
		if best := r.best(); best != nil {
			out = append(out, fmt.Sprintf(
				"%s has the highest %s, %s; the best of %d arms looks better than it is",
				best.Name, r.Headline, Percent(best.Accuracy.Interval), len(r.Arms)))
		}
	}
	if len(r.Seeds) < 3 {
		out = append(out, fmt.Sprintf(
			"seeds of training: %d; with fewer than three the spread between seeds is not known", len(r.Seeds)))
	}
	for _, a := range r.Arms {
		for _, m := range a.Missing {
			out = append(out, fmt.Sprintf("%s lacks %s", a.Name, m))
		}
	}
	for _, run := range r.Runs {
		if run.Status == schemas.StatusGuard {
			out = append(out, fmt.Sprintf("%s, seed %d: the guard stopped the run; its last good policy counts",
				run.Arm, run.Seed))
		}
	}
	for _, a := range r.Arms {
		if a.SameRuns != a.Name {
			continue
		}
		for _, rd := range a.Rounds {
			if rd.Round > 0 && rd.Trained < len(a.Seeds) {
				out = append(out, fmt.Sprintf("%s, %s: %d of %d seeds were not updated",
					a.Name, rd.Name, len(a.Seeds)-rd.Trained, len(a.Seeds)))
			}
		}
	}
	if w := r.Work; w.Reused > 0 {
		out = append(out, fmt.Sprintf("%d of %d items were reused from other runs: %.0f of %.0f item seconds saved",
			w.Reused, w.Reused+w.Items, w.ReusedSeconds, w.ReusedSeconds+w.Seconds))
	}
	return out
}

// primary counts the primary outcomes.
func (r *Result) primary() (n int) {
	for _, d := range r.Differences {
		if d.Primary {
			n++
		}
	}
	return n
}

// best is the arm with the highest accuracy, or nil if no arm was measured.
func (r *Result) best() (best *ArmResult) {
	for i := range r.Arms {
		if a := &r.Arms[i]; a.Accuracy.N > 0 && (best == nil || a.Accuracy.Mean > best.Accuracy.Mean) {
			best = a
		}
	}
	return best
}

// finding says in words what a difference shows.
func (d DifferenceResult) finding() string {
	s := fmt.Sprintf("%s − %s: ", d.A, d.B)
	if d.Primary {
		s = "primary outcome: " + s
	}
	switch x := d.Difference; {
	case x.N == 0 && len(d.Seeds) > 0:
		return s + "nothing, they have no case in common: give both the same test file"
	case x.N == 0:
		return s + "not run"
	case d.Same:
		return s + "none, both are the same policy"
	default:
		s += fmt.Sprintf("%+.1f points, 95 %% interval %+.1f to %+.1f over %d cases and %d seeds",
			100*x.Mean, 100*x.Low, 100*x.High, x.N, x.Seeds)
		s += fmt.Sprintf(", p %.3f, corrected %.3f", x.P, d.Corrected)
		switch {
		case x.Low <= 0 && x.High >= 0:
			s += "; no effect is shown: the interval contains zero"
		case d.Corrected > 0.05:
			s += "; not shown after the correction for several comparisons"
		case !d.unanimous():
			s += fmt.Sprintf("; but not every seed shows it (%s)", d.PerSeed())
		}
	}
	if d.Note != "" {
		s += " (" + d.Note + ")"
	}
	return s + d.unmatched()
}

// unmatched says in what two arms that both have rounds are not matched: more than a tenth apart.
func (d DifferenceResult) unmatched() string {
	a, b := d.Spent[0], d.Spent[1]
	if a.Steps == 0 || b.Steps == 0 || d.Same {
		return ""
	}
	var parts []string
	for _, x := range []struct {
		name string
		a, b float64
	}{{"steps", a.Steps, b.Steps}, {"judged answers", a.Answers, b.Answers}} {
		if math.Abs(x.a-x.b) > 0.1*max(x.a, x.b) {
			parts = append(parts, fmt.Sprintf("%.0f and %.0f %s", x.a, x.b, x.name))
		}
	}
	if parts == nil {
		return ""
	}
	return "; not matched: " + strings.Join(parts, ", ")
}

// unanimous reports whether every seed differs in the direction of the mean.
func (d DifferenceResult) unanimous() bool {
	for _, x := range d.Difference.BySeed {
		if x*d.Difference.Mean <= 0 {
			return false
		}
	}
	return true
}

// PerSeed lists the difference of each seed, in points.
func (d DifferenceResult) PerSeed() string {
	var parts []string
	for _, x := range d.Difference.BySeed {
		parts = append(parts, fmt.Sprintf("%+.1f", 100*x))
	}
	return strings.Join(parts, ", ")
}

// Percent formats an interval of shares, in percent.
func Percent(i stats.Interval) string {
	if i.N == 0 {
		return "not run"
	}
	return fmt.Sprintf("%.1f %% [%.1f, %.1f]", 100*i.Mean, 100*i.Low, 100*i.High)
}

// Points formats an interval of differences, in percentage points.
func Points(i stats.Interval) string {
	if i.N == 0 {
		return "not run"
	}
	return fmt.Sprintf("%+.1f [%+.1f, %+.1f]", 100*i.Mean, 100*i.Low, 100*i.High)
}
