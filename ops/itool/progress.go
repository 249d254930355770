package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/report"
	"itool/schemas"
)

// follow shows how far a run is, until ctx ends: a table on a terminal, elsewhere a
// line whenever a round closes and one a minute.
func follow(ctx context.Context, a *app, c *courier.Courier, run string) error {
	news, err := c.ListenProgress(ctx, run)
	if err != nil {
		return err
	}
	b := newBoard(run)
	defer a.screen.show(nil)
	interval := time.Second
	if !a.screen.live {
		interval = 2 * time.Second
	}
	tick := time.NewTimer(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case p, ok := <-news:
			if !ok {
				return nil
			}
			b.hear(p, time.Now())
			continue
		case <-tick.C:
		}
		start := time.Now()
		v, err := line.Rows(nil).Look(ctx, c, run)
		// A look costs with the number of records: a tenth of the time is enough.
		tick.Reset(max(interval, 10*time.Since(start)))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, broker.ErrNoRun):
			continue // the keeper has not opened it yet
		case err != nil:
			a.log.Warn("look at the run; trying again", "error", err)
			continue
		}
		b.see(v, time.Now())
		if a.screen.live {
			a.screen.show(b.table(time.Now()))
		} else {
			b.lines(a.errs, time.Now())
		}
	}
}

// board remembers what it saw, so that it can tell rates. It has no clock.
type board struct {
	run   string
	start time.Time
	view  line.View
	first map[string]mark    // where a round stood when it was seen first
	heard map[string]heardOf // of long items, by stage
	told  map[string]bool    // rounds whose end was printed
	last  time.Time          // of the last printed line
}

type mark struct {
	at   time.Time
	done int
}

type heardOf struct {
	schemas.Progress
	at    time.Time
	first mark
}

func newBoard(run string) *board {
	return &board{run: run, first: map[string]mark{}, heard: map[string]heardOf{}, told: map[string]bool{}}
}

// hear takes the progress of one item. Stages that work on many items at once are
// better told by their counts.
func (b *board) hear(p schemas.Progress, now time.Time) {
	h, ok := b.heard[p.Stage]
	if !ok || h.Key != p.Key || p.Done < h.Done {
		h.first = mark{now, int(p.Done)}
	}
	h.Progress, h.at = p, now
	b.heard[p.Stage] = h
}

// see takes the standing of all rounds.
func (b *board) see(v line.View, now time.Time) {
	if b.start.IsZero() {
		b.start, b.last = now, now
	}
	b.view = v
	for _, r := range v.Rounds {
		if _, ok := b.first[roundID(r)]; !ok {
			b.first[roundID(r)] = mark{now, r.Done}
		}
	}
}

func roundID(r line.RoundView) string { return fmt.Sprintf("%s.%d", r.Record, r.Round) }

// work says in words what a round of results is about.
func work(r line.RoundView) string {
	if !r.OfPolicy {
		return r.Title
	}
	return r.Title + " " + report.PolicyName(r.Round)
}

// table is the whole picture.
func (b *board) table(now time.Time) []string {
	out := []string{fmt.Sprintf("%s  %s%s", b.run, now.Sub(b.start).Round(time.Second), b.failures())}
	for _, r := range b.view.Rounds {
		state := ""
		if !r.Gathered {
			state = b.pace(r.Done, r.Total, b.first[roundID(r)], now)
		}
		out = append(out, fmt.Sprintf("  %-22s %s %6d/%-6d %s", work(r), bar(r.Done, r.Total, 24), r.Done, r.Total, state))
	}
	for _, h := range b.fresh(now) {
		out = append(out, fmt.Sprintf("  %-22s %s %6d/%-6d %s %s", h.Stage, bar(int(h.Done), int(h.Total), 24), h.Done, h.Total,
			b.pace(int(h.Done), int(h.Total), h.first, now), short(report.Plain(h.Detail), 40)))
	}
	return out
}

// lines prints the rounds that closed, and once a minute those that are open.
func (b *board) lines(w io.Writer, now time.Time) {
	var open []string
	for _, r := range b.view.Rounds {
		id := roundID(r)
		if r.Gathered {
			if !b.told[id] {
				b.told[id] = true
				fmt.Fprintf(w, "%s %s: %s done (%d)\n", now.Format(time.TimeOnly), b.run, work(r), r.Done)
			}
			continue
		}
		open = append(open, fmt.Sprintf("%s %d/%d %s", work(r), r.Done, r.Total, b.pace(r.Done, r.Total, b.first[id], now)))
	}
	if now.Sub(b.last) < time.Minute {
		return
	}
	b.last = now
	for _, h := range b.fresh(now) {
		open = append(open, fmt.Sprintf("%s %d/%d %s", h.Stage, h.Done, h.Total, h.Unit))
	}
	fmt.Fprintf(w, "%s %s: %s%s\n", now.Format(time.TimeOnly), b.run, strings.Join(open, "; "), b.failures())
}

// fresh are the long items that were heard of lately.
func (b *board) fresh(now time.Time) []heardOf {
	var out []heardOf
	table := line.Rows(nil)
	for _, h := range b.heard {
		if now.Sub(h.at) < 15*time.Second && table.Gathers(h.Stage) {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(x, y heardOf) int { return strings.Compare(x.Stage, y.Stage) })
	return out
}

func (b *board) failures() string {
	if b.view.Failed == 0 {
		return ""
	}
	return fmt.Sprintf("  %d failed (itool failed %s)", b.view.Failed, b.run)
}

// pace is the rate since the first look, and the time to go at that rate.
func (b *board) pace(done, total int, from mark, now time.Time) string {
	seconds := now.Sub(from.at).Seconds()
	if done <= from.done || seconds < 1 {
		return ""
	}
	rate := float64(done-from.done) / seconds
	left := time.Duration(float64(total-done) / rate * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%.3g/s ETA %s", rate, left)
}

func bar(done, total, width int) string {
	n := 0
	if total > 0 {
		n = min(width, width*done/total)
	} else if done == total {
		n = width
	}
	return strings.Repeat("█", n) + strings.Repeat("░", width-n)
}

func short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
