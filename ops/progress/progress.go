// Package progress shows how far a run is: a Tracker turns what is seen of the run into
// rates, times to go and lines of text, and Follow feeds one from a broker.
//
//	t := progress.NewTracker("r1")
//	t.See(view, time.Now())             // a line.View of the run
//	bars.Show(t.Frame(time.Now()))
package progress

import (
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

// Display is where Follow shows progress: as bars on a terminal, else as lines.
type Display struct {
	Bars  *Bars        // nil: there is no terminal
	Lines io.Writer    // gets lines when Bars is nil
	Log   *slog.Logger // hears of a broker that does not answer
	// Warn shows what spoils a round's search. A program that also runs the keeper has it in the keeper's log.
	Warn bool
}

// Follow shows how far a run is, until ctx ends: bars on a terminal, above them a line for each round that is
// over; elsewhere a line when something closes, and one a minute. A run that the keeper has not opened yet is
// waited for.
func Follow(ctx context.Context, c *courier.Courier, run string, d Display) error {
	news, err := c.ListenProgress(ctx, run)
	if err != nil {
		return err
	}
	t := NewTracker(run)
	interval := 2 * time.Second
	if d.Bars != nil {
		interval = time.Second
		defer d.Bars.Close()
	}
	tick := time.NewTimer(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			t.lastLook(ctx, c, d)
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
		shown, err := t.look(ctx, c, d)
		// A look costs the broker more, the more records there are: use a tenth of the time.
		tick.Reset(max(interval, 10*time.Since(start)))
		if err != nil && ctx.Err() == nil {
			d.Log.Warn("look at the run; trying again", "error", err)
		}
		if shown && ctx.Err() == nil {
			d.show(t, time.Now())
		}
	}
}

// look asks the broker where the run stands. ok is false if there is nothing to show yet.
func (t *Tracker) look(ctx context.Context, c *courier.Courier, d Display) (ok bool, err error) {
	v, err := line.Rows(nil).LookAgain(ctx, c, t.run, t.view)
	if errors.Is(err, broker.ErrNoRun) { // the keeper has not opened it yet: perhaps it says why
		v.Status, err = line.ReadStatus(ctx, c, t.run)
	}
	if err != nil {
		return false, err
	}
	t.See(v, time.Now())
	if err := t.learn(ctx, c); err != nil {
		return false, err
	}
	if time.Since(t.asked) > askEvery {
		if waits, err := c.Waiting(ctx); err == nil {
			t.Wait(waits)
		}
		t.asked = time.Now()
	}
	if d.Warn {
		t.readWarnings(ctx, c, d.Log)
	}
	return true, nil
}

// lastLook shows the rounds that were over when the run ended, which may be just before the display's end.
func (t *Tracker) lastLook(ctx context.Context, c *courier.Courier, d Display) {
	const patience = 2 * time.Second // somebody may have interrupted the program
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	d.Warn, t.asked = false, time.Now()
	if ok, err := t.look(ctx, c, d); ok && err == nil {
		d.rounds(t, time.Now())
	}
}

// show shows what the tracker knows.
func (d Display) show(t *Tracker, now time.Time) {
	d.rounds(t, now)
	if d.Bars != nil {
		d.Bars.Show(t.Frame(now))
	} else {
		t.Lines(d.Lines, now)
	}
}

// rounds shows the rounds that are over, each once.
func (d Display) rounds(t *Tracker, now time.Time) {
	for _, s := range t.Over() {
		if d.Bars != nil {
			d.Bars.Line(s)
		} else {
			fmt.Fprintf(d.Lines, "%s %s: %s\n", now.Format(time.TimeOnly), t.run, s)
		}
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
	asked   time.Time           // when that was asked
	keeper  time.Time           // when the run had a keeper last
	told    string              // of these, what Lines printed last
	// What spoils the search of a round, by roundID; "": nothing. Lines prints it once, under its text.
	warnings map[string]string

	rounds   int // that the run is to have; −1: not read yet
	ms       []Milestone
	known    string                 // the state of the rounds for which ms was read
	right    map[int]Right          // by policy: how much of what was asked it answers right
	policies map[int]schemas.Policy // that are there, by round
	next     int                    // the round whose end is told next; 0: the warm-up
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
		warnings: map[string]string{}, rounds: -1, right: map[int]Right{}, policies: map[int]schemas.Policy{},
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

// Short cuts s to n characters at most, the last of them … if something is missing.
func Short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
