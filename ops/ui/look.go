package ui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/progress"
	"itool/schemas"
)

// looker remembers what it saw of one run. It has no clock. Not safe for concurrent use.
type looker struct {
	run    string
	rounds int // that the run is to have
	view   line.View
	ms     []progress.Milestone
	known  string // what the milestones were read for
	queues map[string]queue
	news   map[string]heard
	counts map[string][]sample // done items of a stage over the last minute, oldest first
	waits  []string            // what workers say that the run waits for
	busy   map[string]int      // workers that have an item, by stage
}

// queue is a stage's queue.
type queue struct{ Waiting, InWork int }

// heard is the last that a stage said of an item.
type heard struct {
	schemas.Progress
	at time.Time
}

// sample is a count at a time.
type sample struct {
	at   time.Time
	done int
}

func newLooker(run string, rounds int) *looker {
	return &looker{
		run: run, rounds: rounds, queues: map[string]queue{}, news: map[string]heard{}, counts: map[string][]sample{},
	}
}

// hear takes what a stage says of an item in work.
func (l *looker) hear(p schemas.Progress, now time.Time) { l.news[p.Stage] = heard{p, now} }

// look reads where the run stands. What cannot change any more is not read again.
func (l *looker) look(ctx context.Context, c *courier.Courier, now time.Time) error {
	view, err := line.Rows(nil).LookAgain(ctx, c, l.run, l.view)
	if errors.Is(err, broker.ErrNoRun) { // no keeper has opened it yet: perhaps it says why
		view.Status, err = line.ReadStatus(ctx, c, l.run)
	}
	if err != nil {
		return err
	}
	l.view = view
	if err := l.readQueues(ctx, c); err != nil {
		return err
	}
	if at := l.milestone(); at != l.known {
		if l.ms, err = progress.Milestones(ctx, c, l.run, l.rounds); err != nil && !errors.Is(err, broker.ErrNoRun) {
			return err
		}
		l.known = at
	}
	for _, s := range l.stages(now) {
		l.count(s, now)
	}
	return nil
}

// told takes what workers say.
func (l *looker) told(a answers) {
	l.waits, l.busy = progress.Waits(a.waits, l.run), map[string]int{}
	for _, w := range a.working {
		if w.Run == l.run {
			l.busy[w.Stage]++
		}
	}
}

func (l *looker) readQueues(ctx context.Context, c *courier.Courier) error {
	if l.view.End != nil {
		clear(l.queues)
		return nil
	}
	all, err := c.Broker.Queues(ctx, l.run)
	if err != nil && !errors.Is(err, broker.ErrNoRun) {
		return err
	}
	clear(l.queues)
	for stage, q := range all {
		l.queues[stage] = queue{q.Pending, q.InFlight}
	}
	return nil
}

// milestone names what decides the panels besides the strip: it changes when a round opens or closes, a policy
// is there, items fail, or the run ends.
func (l *looker) milestone() string {
	var b strings.Builder
	for _, r := range l.view.Rounds {
		fmt.Fprintf(&b, "%s.%d %v,", r.Record, r.Round, r.Gathered)
	}
	for _, q := range []string{"warmup", "update"} {
		fmt.Fprintf(&b, "%s %v,", q, l.queues[q] != queue{}) // its item ends with a policy
	}
	fmt.Fprintf(&b, "%d failed, end %v", l.view.Failed, l.view.End != nil)
	return b.String()
}

// count remembers how many items a stage has done, for its rate.
func (l *looker) count(s stage, now time.Time) {
	all := slices.Concat(l.counts[s.Name], []sample{{now, s.all}})
	for len(all) > 2 && now.Sub(all[0].at) > time.Minute {
		all = all[1:]
	}
	l.counts[s.Name] = all
}

// rate is how many items a stage does a second, over the last minute; 0: none, or it is unknown.
func (l *looker) rate(stage string, now time.Time) float64 {
	all := l.counts[stage]
	if len(all) < 2 {
		return 0
	}
	first, last := all[0], all[len(all)-1]
	seconds := now.Sub(first.at).Seconds()
	if seconds <= 0 || last.done <= first.done {
		return 0
	}
	return float64(last.done-first.done) / seconds
}

// stage is one cell of the line.
type stage struct {
	Name    string
	State   string // done, working, waiting, idle
	Round   string // what its last items belong to, such as "round 2"; "": to the whole run
	Done    int
	Total   int // 0: unknown
	Queue   queue
	Rate    float64 // items a second
	Failed  int
	Detail  string // of the item in work
	Workers int

	all int // items done in all rounds
}

// The states of a stage.
const (
	stageDone    = "done"
	stageWorking = "working"
	stageWaiting = "waiting" // items wait, and no worker has one
	stageIdle    = "idle"
)

// Share is how much of the stage's round is done, in percent.
func (s stage) Share() float64 {
	switch {
	case s.State == stageDone:
		return 100
	case s.Total == 0:
		return 0
	}
	return min(100, 100*float64(s.Done)/float64(s.Total))
}

// stages are the cells of the line, in its order.
func (l *looker) stages(now time.Time) []stage {
	var out []stage
	table := line.Rows(nil)
	for _, row := range table {
		spec := row.Spec()
		s := stage{Name: spec.Name, Queue: l.queues[spec.Name], Workers: l.busy[spec.Name]}
		if spec.Gather {
			l.fillGathering(&s, now)
		} else {
			result, _ := table.Awaits(spec.Writes)
			l.fill(&s, result, row.When != line.Once)
		}
		s.State = l.state(s)
		s.Rate = l.rate(s.Name, now)
		out = append(out, s)
	}
	return out
}

// fill counts the items of a stage in the last round that waits for its results.
func (l *looker) fill(s *stage, result string, ofPolicy bool) {
	for _, r := range l.view.Rounds {
		if r.Record != result {
			continue
		}
		s.Done, s.Total = r.Done, r.Total
		for _, step := range r.Steps {
			if step.Stage == s.Name {
				s.Done = step.Done
			}
		}
		s.all += s.Done
		if ofPolicy {
			s.Round = nameOf(r.Round, result)
		}
	}
}

// nameOf says what a round's items belong to: verdicts to a policy, all others to the round that makes the next one.
func nameOf(round int, result string) string {
	switch {
	case result != schemas.RecordVerdict:
		return fmt.Sprintf("round %d", round+1)
	case round < 0:
		return "base"
	case round == 0:
		return "warm-up"
	}
	return fmt.Sprintf("round %d", round)
}

// fillGathering takes what a stage says that works on a whole round at once.
func (l *looker) fillGathering(s *stage, now time.Time) {
	h, ok := l.news[s.Name]
	if !ok || s.Queue.InWork == 0 || now.Sub(h.at) > time.Minute {
		return
	}
	s.Done, s.Total, s.all = int(h.Done), int(h.Total), int(h.Done)
	s.Detail = progress.Short(h.Detail, 60)
}

func (l *looker) state(s stage) string {
	switch {
	case l.view.End != nil:
		return stageDone
	case s.Queue.InWork > 0:
		return stageWorking
	case s.Queue.Waiting > 0:
		return stageWaiting
	case s.Total > 0 && s.Done >= s.Total || l.passed(s.Name):
		return stageDone
	}
	return stageIdle
}

// passed reports whether the run has gone on from a stage that gathers: the round behind it is open.
func (l *looker) passed(stage string) bool {
	table := line.Rows(nil)
	at := slices.IndexFunc(table, func(r line.Row) bool { return r.Spec().Name == stage })
	if !table[at].Spec().Gather {
		return false
	}
	current := -1 // the last round that has begun
	for _, r := range l.view.Rounds {
		if r.Record == schemas.RecordScore {
			current = max(current, r.Round)
		}
	}
	for _, row := range table[at+1:] {
		if row.Round != nil && row.When == line.EachRound {
			return current >= 0 && slices.ContainsFunc(l.view.Rounds, func(r line.RoundView) bool {
				return r.Record == row.Round.Result && r.Round == current
			})
		}
	}
	return false
}

// left estimates when the run ends, in words.
func (l *looker) left(now time.Time) string {
	if l.view.End != nil || len(l.ms) == 0 {
		return ""
	}
	left, known := progress.Left(l.ms, l.share(now), now)
	if !known {
		return "how long it takes is not known yet"
	}
	return "ends in about " + left.Round(time.Second).String()
}

// share is how much is done of what the run waits for.
func (l *looker) share(now time.Time) float64 {
	if share, open := progress.OpenShare(l.view.Rounds, l.rounds); open {
		return share
	}
	for s, h := range l.news {
		recent := l.queues[s].InWork > 0 && now.Sub(h.at) < time.Minute
		if recent && h.Total > 0 && line.Rows(nil).Gathers(s) {
			return float64(h.Done) / float64(h.Total)
		}
	}
	return 0
}

// elapsed is how long the run has gone on, or took.
func (l *looker) elapsed(now time.Time) string {
	if len(l.ms) == 0 || l.ms[0].At.IsZero() {
		return ""
	}
	end := now
	if l.view.End != nil {
		for _, m := range l.ms {
			if m.At.After(l.ms[0].At) {
				end = m.At
			}
		}
	}
	return max(0, end.Sub(l.ms[0].At)).Round(time.Second).String()
}
