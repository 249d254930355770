package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"itool/stages/evaluate/stats"
)

// shortWidth is what Short keeps to, in columns.
const shortWidth = 80

// Short writes what a reader must know, in about twelve lines of at most 80 columns: the verdict, the accuracy of
// up to five policies, which errors went and came, and what to do next. Text writes everything.
func (r *Report) Short(out io.Writer, color bool) error {
	w := &printer{w: out}
	v := r.Verdict()
	w.line("run %s · %s · seed %d", r.Run, r.Status, r.Seed)
	verdict := wrap(v.Text, " ", "", shortWidth)
	if code := tones[v.Tone]; color && code != "" {
		verdict = "\x1b[" + code + "m" + verdict + "\x1b[0m"
	}
	w.line("%s", verdict)
	if v.Warning != "" {
		w.line("%s", wrap("warning: "+v.Warning, " ", "", shortWidth))
	}
	r.shortAccuracy(w)
	if s := r.signedErrors(); s != "" {
		w.line("%s", wrap(s, ", ", "", shortWidth))
	}
	w.line("")
	if v.Next != "" {
		w.line("%s", wrap("next: "+v.Next, " ", "", shortWidth))
	}
	if slices.ContainsFunc(r.Policies, func(p Policy) bool { return p.Accuracy != nil }) {
		w.line("wrong answers: itool examples %s --wrong", r.Run)
	}
	w.line("all tables: itool report %s --full", r.Run)
	return w.err
}

// tones are the ANSI colours of verdicts.
var tones = map[Tone]string{Good: "1;32", Bad: "1;31", Neutral: "1", Going: "1;36"}

// shortAccuracy prints a row for each evaluated policy: the first two, and of the rounds the last ones.
func (r *Report) shortAccuracy(w *printer) {
	var rows [][]string
	var asked stats.Interval
	var parts []string
	for _, p := range r.Policies {
		if p.Accuracy == nil {
			continue
		}
		h := p.Accuracy.Headline()
		change := "–"
		switch g := p.Accuracy.Gain; {
		case g != nil:
			change = fmt.Sprintf("%s (%s to %s)", signed(g.Mean), unsigned(g.Low), unsigned(g.High))
		case p.Round >= 0:
			change = p.Status
		}
		right := fmt.Sprintf("%.0f %% (%.0f to %.0f)", 100*h.Mean, 100*h.Low, 100*h.High)
		rows = append(rows, []string{p.Name, right, change, won(p.Accuracy.Gain)})
		asked, parts = h, p.Accuracy.Parts
	}
	if len(rows) == 0 {
		return
	}
	const most, first = 5, 2
	if len(rows) > most {
		rows = slices.Concat(rows[:first], rows[len(rows)-most+first:])
	}
	w.columns(slices.Insert(rows, 0, []string{"policy", "right", "change, points", "won, lost"}))
	of := "rows"
	if r.HeadlineName() != "exact match" {
		of = "rows that want a call"
	}
	note := fmt.Sprintf("of %d %s %s, 95 %% intervals; change: since the policy before it", asked.N,
		strings.Join(parts, " + "), of)
	w.line("%s", wrap(note, " ", "  ", shortWidth))
}

func won(d *stats.Difference) string {
	if d == nil {
		return ""
	}
	return fmt.Sprintf("%d, %d", d.Won, d.Lost)
}

// signedErrors says how the counts of each type of error changed from the warm-up to the last policy, as the page does;
// "": nothing to compare, or no change. A type that came is as much a part of the result as one that went.
func (r *Report) signedErrors() string {
	first, last := r.firstEvaluated(), r.lastChanged()
	for i := range r.Policies { // the base makes errors of another kind
		if p := &r.Policies[i]; p.Round == 0 && p.Accuracy != nil && p != last {
			first = p
		}
	}
	if first == nil || last == nil || first == last {
		return ""
	}
	types, _ := r.ErrorTypes()
	change := func(t string) int { return last.Accuracy.Errors[t] - first.Accuracy.Errors[t] }
	slices.SortStableFunc(types, func(a, b string) int {
		return cmp.Compare(max(change(b), -change(b)), max(change(a), -change(a)))
	})
	var parts []string
	for _, t := range types {
		if d := change(t); d != 0 {
			parts = append(parts, minus(fmt.Sprintf("%s %+d", Plain(t), d)))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("errors, %s to %s: %s", first.Name, last.Name, strings.Join(parts, ", "))
}
