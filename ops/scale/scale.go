// Package scale keeps as many workers on this machine as a queue has work for: many while it is full, none
// when it is empty.
//
//	backlog := scale.Backlog{Courier: c, Stages: []string{"expand"}}
//	p := scale.Pool{Limits: scale.Limits{Max: 16, Slots: 1}, Backlog: backlog.Count, Start: start, Log: log}
//	err := p.Run(ctx)
//
// Three parts: Backlog counts items, Limits.Decide says how many workers that asks for, Pool starts and ends them.
// A worker is let go gently: it takes no more items and finishes those that it has, so nothing is delivered
// twice. Until it has ended it counts, because it holds its memory and its device.
//
// The package does not know what a worker is: a process, or a part of this one.
package scale

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits bound the number of workers.
type Limits struct {
	Min, Max int           // workers, 0 ≤ Min ≤ Max, 1 ≤ Max
	Slots    int           // items that one worker holds at once, ≥ 1
	Quiet    time.Duration // how long fewer workers must have been enough before some are let go
}

// Validate says which limit makes no sense.
func (l Limits) Validate() error {
	switch {
	case l.Min < 0 || l.Max < 1 || l.Min > l.Max:
		return fmt.Errorf("%d..%d workers: the first must be at least 0, the second at least 1 and not below it",
			l.Min, l.Max)
	case l.Slots < 1:
		return fmt.Errorf("%d slots, at least 1 is needed", l.Slots)
	case l.Quiet < 0:
		return fmt.Errorf("a quiet time of %v is negative", l.Quiet)
	}
	return nil
}

// ParseRange reads "0..16", or "4", which is "4..4".
func ParseRange(text string) (low, high int, err error) {
	first, last, isRange := strings.Cut(text, "..")
	if !isRange {
		last = first
	}
	low, err1 := strconv.Atoi(first)
	high, err2 := strconv.Atoi(last)
	if err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("%q is no number of workers: write 0..16, or 4", text)
	}
	return low, high, nil
}

// View is what a decision is made from.
type View struct {
	At               time.Time
	Waiting, InWork  int // items, on all machines
	Active, Draining int // workers of this machine; those that drain take no more items
}

// Decision is what to do now: so many workers start, or so many drain.
type Decision struct{ Want, Start, Drain int }

// Decide grows at once and shrinks when fewer workers have been enough for Quiet. surplusSince is since when
// they are: keep what is returned for the next call; it is zero if there is no surplus.
//
// Never more than Max workers hold a device, those that drain included; and never are more let go than have
// no item.
func (l Limits) Decide(v View, surplusSince time.Time) (Decision, time.Time) {
	want := min(max((v.Waiting+v.InWork+l.Slots-1)/l.Slots, l.Min), l.Max)
	d := Decision{Want: want}
	switch {
	case want >= v.Active:
		d.Start = max(min(want-v.Active, l.Max-v.Active-v.Draining), 0)
		return d, time.Time{}
	case surplusSince.IsZero():
		return d, v.At
	case v.At.Sub(surplusSince) < l.Quiet:
		return d, surplusSince
	}
	d.Drain = v.Active - want
	return d, time.Time{}
}
