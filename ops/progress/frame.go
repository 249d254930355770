package progress

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"itool/ops/line"
	"itool/ops/report"
	"itool/stages"
)

// Frame shows the run on a terminal: a bar for the whole of it and one for each stage of the round that goes on,
// then how long it takes, how accurate the policies are, and what to look out for.
func (t *Tracker) Frame(now time.Time) Frame {
	f := Frame{Bars: []Bar{t.whole(now)}, Remarks: []string{t.place(now)}}
	for _, row := range line.Rows(nil) {
		f.Bars = append(f.Bars, t.bar(row, now))
	}
	if s := t.accuracy(); s != "" {
		f.Remarks = append(f.Remarks, s)
	}
	if s := t.failures(); s != "" {
		f.Remarks = append(f.Remarks, strings.TrimSpace(s))
	}
	for _, r := range t.view.Rounds {
		if text := t.warnings[roundID(r)]; text != "" && !r.Gathered {
			f.Remarks = append(f.Remarks, "warning: "+text)
		}
	}
	f.Remarks = append(f.Remarks, t.reasons(now)...)
	return f
}

// bar shows one stage.
func (t *Tracker) bar(row line.Row, now time.Time) Bar {
	b := Bar{Name: "  " + row.Spec().Name}
	if row.Spec().Gather {
		t.gathering(&b, row, now)
		return b
	}
	r, ok := t.roundOf(row)
	if !ok {
		return b
	}
	b.Done, b.Total, b.State = r.Done, r.Total, Working
	from := t.first[roundID(r)]
	for _, s := range r.Steps {
		if s.Stage == row.Spec().Name {
			b.Done, from = s.Done, t.first[stepID(r, s)]
		}
	}
	if row.When == line.EachPolicy {
		b.Note = report.PolicyName(r.Round)
	}
	b.Count = fmt.Sprintf("%d/%d", b.Done, b.Total)
	switch pace, _, _ := strings.Cut(t.pace(b.Done, b.Total, from, now), " "); {
	case r.Gathered || b.Done >= b.Total:
		b.State = Done
	case pace != "":
		b.Note = strings.TrimSpace(b.Note + " " + pace)
	}
	return b
}

// gathering shows a stage that works on a whole round at once.
func (t *Tracker) gathering(b *Bar, row line.Row, now time.Time) {
	switch stage := row.Spec().Name; {
	case t.passed(row):
		b.Done, b.Total, b.State = 1, 1, Done
	case !t.ready(row):
	default:
		b.State = Working
		if h, ok := t.items[stage]; ok && now.Sub(h.at) < time.Minute {
			b.Done, b.Total = int(h.Done), int(h.Total)
			b.Count = fmt.Sprintf("%d/%d", b.Done, b.Total)
			b.Note = Short(report.Plain(strings.TrimSpace(h.Unit+" "+h.Detail)), 30)
		}
	}
}

// current is the round of search that goes on, or was the last; −1: the warm-up.
func (t *Tracker) current() int {
	current := -1
	for _, row := range line.Rows(nil) {
		for _, r := range t.view.Rounds {
			if row.Round != nil && row.When == line.EachRound && r.Record == row.Round.Result {
				current = max(current, r.Round)
			}
		}
	}
	return current
}

// roundOf is the set of items that the stage of a row works on now: in the current round of search, or, of what
// comes for each policy, the first that is open, else the last.
func (t *Tracker) roundOf(row line.Row) (r line.RoundView, ok bool) {
	result, _ := line.Rows(nil).Awaits(row.Spec().Writes)
	for _, x := range t.view.Rounds {
		switch {
		case x.Record != result:
		case row.When == line.EachPolicy && ok && !r.Gathered:
		case row.When != line.EachRound || x.Round == t.current():
			r, ok = x, true
		}
	}
	return r, ok
}

// opened returns the round of the row's tasks that belongs to the current round of search.
func (t *Tracker) opened(row line.Row) (line.RoundView, bool) {
	round := max(0, t.current())
	i := slices.IndexFunc(t.view.Rounds, func(r line.RoundView) bool {
		return row.Round != nil && r.Record == row.Round.Result && r.Round == round
	})
	if i < 0 {
		return line.RoundView{}, false
	}
	return t.view.Rounds[i], true
}

// ready reports whether what a gathering stage waits for is there.
func (t *Tracker) ready(row line.Row) bool {
	before, _ := around(row.Spec())
	for i := len(before) - 1; i >= 0; i-- {
		if before[i].Round != nil {
			r, ok := t.opened(before[i])
			return ok && r.Gathered
		}
	}
	return false
}

// passed reports whether the run has gone on from a gathering stage.
func (t *Tracker) passed(row line.Row) bool {
	if t.view.End != nil {
		return true
	}
	_, after := around(row.Spec())
	_, over := t.policies[t.current()+1]
	for _, next := range after {
		if next.Round != nil && next.When == line.EachRound {
			if _, ok := t.opened(next); ok {
				return true
			}
			over = false
		}
	}
	return over
}

// around are the rows of the line before and behind a stage.
func around(spec stages.Spec) (before, after line.Table) {
	table := line.Rows(nil)
	at := slices.IndexFunc(table, func(r line.Row) bool { return r.Spec().Name == spec.Name })
	return table[:at], table[at+1:]
}

// whole shows how much of the run is done: by time if it can be estimated, else by its milestones.
func (t *Tracker) whole(now time.Time) Bar {
	b := Bar{Name: Short(t.run, 20), Total: 100, State: Working}
	reached := 0
	for _, m := range t.ms {
		if !m.At.IsZero() {
			reached++
		}
	}
	elapsed := t.elapsed(now)
	switch left, known := Left(t.ms, t.share(now), now); {
	case t.view.End != nil:
		b.Done, b.State = 100, Done
	case known && elapsed > 0 && len(t.ms) > 0:
		b.Done = int(100 * elapsed / (elapsed + left))
	case len(t.ms) > 0:
		b.Done = 100 * reached / len(t.ms)
	}
	b.Count = fmt.Sprintf("%d %%", b.Done)
	return b
}

// elapsed is how long the run has gone on: since its first milestone, or since it was first seen.
func (t *Tracker) elapsed(now time.Time) time.Duration {
	start := t.start
	if len(t.ms) > 0 && !t.ms[0].At.IsZero() {
		start = t.ms[0].At
	}
	return max(0, now.Sub(start)).Round(time.Second)
}

// left is the one estimate of the run's end, in words; "": there is none.
func (t *Tracker) left(now time.Time) string {
	if left, known := Left(t.ms, t.share(now), now); known && len(t.ms) > 0 && t.view.End == nil {
		return "about " + left.Round(time.Second).String() + " left"
	}
	return ""
}

// share is how much is done of what the run waits for now.
func (t *Tracker) share(now time.Time) float64 {
	if share, open := OpenShare(t.view.Rounds, t.rounds); open {
		return share
	}
	for _, h := range t.recent(now) {
		if h.Total > 0 {
			return float64(h.Done) / float64(h.Total)
		}
	}
	return 0
}

// place says which round goes on, for how long the run has, and how long it still will.
func (t *Tracker) place(now time.Time) string {
	at := "warm-up"
	switch current := t.current(); {
	case t.view.End != nil:
		return fmt.Sprintf("%s after %s", t.view.End.Status, t.elapsed(now))
	case len(t.view.Rounds) == 0:
		at = "not opened yet"
	case current >= 0:
		at = fmt.Sprintf("round %d of %d", current+1, max(t.rounds, current+1))
	}
	left := t.left(now)
	switch {
	case left != "" || t.rounds == 0:
	case t.current() < 1 && t.rounds > 1:
		left = "time left: known after round 1"
	default: // the rest of round 1 is still evaluated, or a step takes longer than before
		left = "time left: not known yet"
	}
	return strings.TrimSuffix(fmt.Sprintf("%s · %s · %s", at, t.elapsed(now), left), " · ")
}

// accuracy says how much the policies answer right, those that were asked; "": none was.
func (t *Tracker) accuracy() string {
	var parts []string
	for round := line.Base; round <= max(t.rounds, t.current()+1); round++ {
		if r, ok := t.right[round]; ok {
			parts = append(parts, fmt.Sprintf("%s %s", report.PolicyName(round), r))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "right answers: " + strings.Join(parts, ", ")
}
