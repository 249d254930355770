// Package progress shows how far a run is: a Tracker turns what is seen of the run into
// rates, times to go and lines of text, and Follow feeds one from a broker.
//
//	t := progress.NewTracker("r1")
//	t.See(view, time.Now())             // a line.View of the run
//	fmt.Println(t.Table(time.Now()))
package progress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/report"
	"itool/schemas"
)

// Display is where Follow shows progress: with Table on a terminal, else as lines.
type Display struct {
	Table func(lines []string) // replaces the table that is shown; nil: there is no terminal
	Lines io.Writer            // gets lines when Table is nil
	Log   *slog.Logger         // hears of a broker that does not answer
	// Warn shows what spoils a round's search. A program that also runs the keeper has it in the keeper's log.
	Warn bool
}

// Follow shows how far a run is, until ctx ends: a table on a terminal; otherwise a line
// when a round closes, and one a minute. A run that the keeper has not opened yet is
// waited for.
func Follow(ctx context.Context, c *courier.Courier, run string, d Display) error {
	news, err := c.ListenProgress(ctx, run)
	if err != nil {
		return err
	}
	t := NewTracker(run)
	interval := 2 * time.Second
	if d.Table != nil {
		interval = time.Second
		defer d.Table(nil)
	}
	tick := time.NewTimer(interval)
	defer tick.Stop()
	asked := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case p, ok := <-news:
			if !ok {
				return nil
			}
			t.Hear(p, time.Now())
			continue
		case <-tick.C:
		}
		start := time.Now()
		v, err := line.Rows(nil).Look(ctx, c, run)
		// A look costs the broker more, the more records there are: use a tenth of the time.
		tick.Reset(max(interval, 10*time.Since(start)))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, broker.ErrNoRun): // the keeper has not opened it yet: perhaps it says why
			if v.Status, err = line.ReadStatus(ctx, c, run); err != nil {
				continue
			}
		case err != nil:
			d.Log.Warn("look at the run; trying again", "error", err)
			continue
		}
		t.See(v, time.Now())
		if time.Since(asked) > askEvery {
			if waits, err := c.Waiting(ctx); err == nil {
				t.Wait(waits)
			}
			asked = time.Now()
		}
		if d.Warn {
			t.readWarnings(ctx, c, d.Log)
		}
		d.show(t, time.Now())
	}
}

// show shows what the tracker knows.
func (d Display) show(t *Tracker, now time.Time) {
	if d.Table != nil {
		d.Table(t.Table(now))
	} else {
		t.Lines(d.Lines, now)
	}
}

// askEvery is how often Follow asks what the run waits for.
const askEvery = 3 * time.Second

// readWarnings reads the warnings of the rounds of trees, each once.
func (t *Tracker) readWarnings(ctx context.Context, c *courier.Courier, log *slog.Logger) {
	for _, r := range t.view.Rounds {
		if _, known := t.warnings[roundID(r)]; known || r.Record != schemas.RecordPair {
			continue
		}
		text, err := line.Warning(ctx, c, t.run, r.Round)
		if err != nil {
			log.Warn("read the selection; trying again", "error", err)
			return
		}
		t.Warn(r, text)
	}
}

// Tracker remembers what it saw of one run and computes rates from it. It has no clock:
// every method gets the time. Not safe for concurrent use.
type Tracker struct {
	run     string
	start   time.Time
	view    line.View
	first   map[string]mark     // where a round stood when it was first seen, by roundID
	items   map[string]longItem // the last item that each stage reported
	printed map[string]bool     // rounds whose end was printed, by roundID
	last    time.Time           // when a line was last printed
	waits   []string            // what the run waits for
	keeper  time.Time           // when the run had a keeper last
	told    string              // of these, what Lines printed last
	// What spoils the search of a round, by roundID; "": nothing. Lines prints it once, under its text.
	warnings map[string]string
}

// mark is a count at a time: the start of a rate.
type mark struct {
	at   time.Time
	done int
}

// longItem is an item that reports its own progress, such as a training.
type longItem struct {
	schemas.Progress
	at    time.Time // of the last report
	first mark
}

// NewTracker makes a tracker that has seen nothing.
func NewTracker(run string) *Tracker {
	return &Tracker{
		run: run, first: map[string]mark{}, items: map[string]longItem{}, printed: map[string]bool{},
		warnings: map[string]string{},
	}
}

// Hear takes the progress of one item.
func (t *Tracker) Hear(p schemas.Progress, now time.Time) {
	h, ok := t.items[p.Stage]
	if !ok || h.Key != p.Key || p.Done < h.Done {
		h.first = mark{now, int(p.Done)}
	}
	h.Progress, h.at = p, now
	t.items[p.Stage] = h
}

// Wait takes what all runs wait for now.
func (t *Tracker) Wait(all []courier.Waiting) { t.waits = Waits(all, t.run) }

// Waits says in words what a run waits for, each thing once.
func Waits(all []courier.Waiting, run string) (out []string) {
	for _, w := range all {
		if w.Run != "" && w.Run != run {
			continue
		}
		text := "waiting: " + Short(report.Plain(w.What), 300)
		if w.Stage != "" {
			text = w.Stage + " " + text
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out[:min(len(out), 5)]
}

// See takes the counts of all rounds.
func (t *Tracker) See(v line.View, now time.Time) {
	if t.start.IsZero() {
		t.start, t.last, t.keeper = now, now, now
	}
	t.view = v
	for _, r := range v.Rounds {
		t.mark(roundID(r), r.Done, now)
		for _, s := range r.Steps {
			t.mark(stepID(r, s), s.Done, now)
		}
	}
}

// mark remembers the first count of a round or step.
func (t *Tracker) mark(id string, done int, now time.Time) {
	if _, ok := t.first[id]; !ok {
		t.first[id] = mark{now, done}
	}
}

func stepID(r line.RoundView, s line.Step) string { return roundID(r) + "." + s.Stage }

// Warn takes what spoils the search of a round; "": nothing.
func (t *Tracker) Warn(r line.RoundView, text string) { t.warnings[roundID(r)] = text }

func roundID(r line.RoundView) string { return fmt.Sprintf("%s.%d", r.Record, r.Round) }

// Work says in words what the results of a round are about, such as "evaluate warm-up".
func Work(r line.RoundView) string {
	if !r.OfPolicy {
		return r.Title
	}
	return r.Title + " " + report.PolicyName(r.Round)
}

// Table shows all rounds, and the long items that reported in the last seconds.
func (t *Tracker) Table(now time.Time) []string {
	out := []string{fmt.Sprintf("%s  %s%s", t.run, now.Sub(t.start).Round(time.Second), t.failures())}
	for _, r := range t.view.Rounds {
		state := ""
		if !r.Gathered && len(r.Steps) == 0 {
			state = t.pace(r.Done, r.Total, t.first[roundID(r)], now)
		}
		out = append(out, row(Work(r), r.Done, r.Total, state))
		if text := t.warnings[roundID(r)]; text != "" && !r.Gathered {
			out = append(out, strings.Split(report.Wrap("warning: "+text, "    ", 100), "\n")...)
		}
		for _, s := range r.Steps {
			out = append(out, row("  "+s.Stage, s.Done, r.Total, t.pace(s.Done, r.Total, t.first[stepID(r, s)], now)))
		}
	}
	for _, w := range t.reasons(now) {
		out = append(out, strings.Split(report.Wrap(w, "  ", 100), "\n")...)
	}
	for _, h := range t.recent(now) {
		done, total := int(h.Done), int(h.Total)
		state := t.pace(done, total, h.first, now) + " " + Short(report.Plain(h.Detail), 40)
		out = append(out, row(h.Stage, done, total, state))
	}
	return out
}

func row(name string, done, total int, state string) string {
	return fmt.Sprintf("  %-22s %s %6d/%-6d %s", name, bar(done, total, barWidth), done, total, state)
}

// Count says how much of a round is done, and by which of its stages: "0/45 (expand 39, filter 0)".
func Count(r line.RoundView) string {
	out := fmt.Sprintf("%d/%d", r.Done, r.Total)
	var steps []string
	for _, s := range r.Steps {
		steps = append(steps, fmt.Sprintf("%s %d", s.Stage, s.Done))
	}
	if len(steps) > 0 {
		out += " (" + strings.Join(steps, ", ") + ")"
	}
	return out
}

// Lines prints each round once when it has closed, and once a minute the open ones.
func (t *Tracker) Lines(w io.Writer, now time.Time) {
	var open []string
	for _, r := range t.view.Rounds {
		id := roundID(r)
		if text := t.warnings[id]; text != "" {
			t.warnings[id] = ""
			fmt.Fprintf(w, "%s %s: %s: warning: %s\n", now.Format(time.TimeOnly), t.run, Work(r), text)
		}
		if r.Gathered {
			if !t.printed[id] {
				t.printed[id] = true
				fmt.Fprintf(w, "%s %s: %s done (%d)\n", now.Format(time.TimeOnly), t.run, Work(r), r.Done)
			}
			continue
		}
		pace := t.pace(r.Done, r.Total, t.first[id], now)
		if s, ok := r.Slowest(); ok {
			pace = t.pace(s.Done, r.Total, t.first[stepID(r, s)], now)
		}
		open = append(open, fmt.Sprintf("%s %s %s", Work(r), Count(r), pace))
	}
	if waits := strings.Join(t.reasons(now), "; "); waits != t.told {
		t.told = waits
		fmt.Fprintf(w, "%s %s: %s\n", now.Format(time.TimeOnly), t.run, cmp.Or(waits, "it goes on"))
	}
	if now.Sub(t.last) < time.Minute {
		return
	}
	t.last = now
	for _, h := range t.recent(now) {
		open = append(open, fmt.Sprintf("%s %d/%d %s", h.Stage, h.Done, h.Total, h.Unit))
	}
	fmt.Fprintf(w, "%s %s: %s%s\n", now.Format(time.TimeOnly), t.run, strings.Join(open, "; "), t.failures())
}

// recent are the long items that reported in the last 15 seconds. Of stages that work on
// many items at once, the counts of the round say more than the progress of one item.
func (t *Tracker) recent(now time.Time) []longItem {
	table := line.Rows(nil)
	var out []longItem
	for _, h := range t.items {
		if now.Sub(h.at) < 15*time.Second && table.Gathers(h.Stage) {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(x, y longItem) int { return strings.Compare(x.Stage, y.Stage) })
	return out
}

func (t *Tracker) failures() string {
	if t.view.Failed == 0 {
		return ""
	}
	return fmt.Sprintf("  %d failed (itool failed %s)", t.view.Failed, t.run)
}

// pace is the rate since the mark, and the time to go at that rate; "" when unknown.
func (t *Tracker) pace(done, total int, from mark, now time.Time) string {
	seconds := now.Sub(from.at).Seconds()
	if done <= from.done || seconds < 1 {
		return ""
	}
	rate := float64(done-from.done) / seconds
	left := time.Duration(float64(total-done) / rate * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%.3g/s ETA %s", rate, left)
}

// barWidth is the width of a bar in characters.
const barWidth = 24

func bar(done, total, width int) string {
	n := 0
	if total > 0 {
		n = min(width, width*done/total)
	} else if done == total {
		n = width
	}
	return strings.Repeat("█", n) + strings.Repeat("░", width-n)
}

// Short cuts s to n characters at most, the last of them … if something is missing.
func Short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
