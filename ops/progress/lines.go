package progress

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"itool/ops/line"
)

// Lines prints each set of items once when it has closed, warnings and what is waited for when they change, and
// once a minute what is done now.
func (t *Tracker) Lines(w io.Writer, now time.Time) {
	say := func(format string, args ...any) {
		fmt.Fprintf(w, "%s %s: %s\n", now.Format(time.TimeOnly), t.run, fmt.Sprintf(format, args...))
	}
	for _, r := range t.view.Rounds {
		id := roundID(r)
		if text := t.warnings[id]; text != "" {
			t.warnings[id] = ""
			say("%s: warning: %s", Work(r), text)
		}
		if r.Gathered && !t.printed[id] {
			t.printed[id] = true
			say("%s done (%d)", Work(r), r.Done)
		}
	}
	if waits := strings.Join(t.reasons(now), "; "); waits != t.told {
		t.told = waits
		say("%s", cmp.Or(waits, "it goes on"))
		if waits != "" && waits == strings.Join(t.doing(now), "; ") {
			t.last = now // there is no more to say
		}
	}
	if now.Sub(t.last) >= time.Minute {
		t.last = now
		say("%s%s", strings.Join(t.doing(now), "; "), t.failures())
	}
}

// doing says in words what the run does now, or what it waits for, and how long it takes in all. It says
// something in any case: a line without words would look like a run that hangs.
func (t *Tracker) doing(now time.Time) (out []string) {
	left := t.left(now)
	for _, r := range t.view.Rounds {
		if r.Gathered {
			continue
		}
		done, from := r.Done, t.first[roundID(r)]
		if s, ok := r.Slowest(); ok {
			done, from = s.Done, t.first[stepID(r, s)]
		}
		pace := t.pace(done, r.Total, from, now)
		if left != "" { // one estimate is enough
			pace, _, _ = strings.Cut(pace, " ")
		}
		out = append(out, strings.TrimSpace(Work(r)+" "+Count(r)+" "+pace))
	}
	for _, row := range line.Rows(nil) {
		if bar := t.bar(row, now); row.Spec().Gather && bar.State == Working {
			out = append(out, row.Spec().Name+" "+cmp.Or(bar.Count, "is at work or waits for a worker"))
		}
	}
	switch {
	case len(out) > 0:
	case t.view.End != nil:
		out = []string{"it has ended: " + t.view.End.Status}
	case len(t.reasons(now)) > 0:
		out = t.reasons(now)
	case len(t.view.Rounds) == 0:
		out = []string{"waiting for the keeper to open it"}
	default:
		out = []string{"waiting for the keeper to open the next round"}
	}
	if left != "" {
		out = append(out, left)
	}
	return out
}
