// Package gc compares a store with what the records of all runs name in it: what belongs to no run any
// more (Find), and what runs miss (Check).
//
//	waste, err := gc.Find(ctx, c, gc.Options{OlderThan: 24 * time.Hour, Now: time.Now()})
//	err = waste.Delete(ctx, c)
//
// A writer stores a body before the record that names it. So objects that are younger than Options say are
// spared, and nothing is deleted if one record cannot be read. Objects outside the prefixes of runs, datasets
// and checkpoints are left alone.
package gc

import (
	"context"
	"fmt"
	"strings"
	"time"

	"itool/ops/courier"
	"itool/storage"
)

// Options say what counts as waste.
type Options struct {
	OlderThan time.Duration // younger objects are spared: their record may be on its way
	Now       time.Time
}

// Waste is what Find found.
type Waste struct {
	Objects []storage.Info // that belong to no run, by key
	Bytes   int64          // of them
	Young   int            // objects that belong to no run, but are spared
	Needed  int            // objects that belong to runs
	options Options
}

// prefixes are where runs put objects. What else is in the store is not theirs.
var prefixes = []string{courier.Checkpoints + "/", "runs/", "shards/"}

// Find lists what belongs to no run.
func Find(ctx context.Context, c *courier.Courier, o Options) (Waste, error) {
	w := Waste{options: o}
	needed, err := allNeeds(ctx, c)
	if err != nil {
		return w, err
	}
	for _, prefix := range prefixes {
		for info, err := range c.Store.List(ctx, prefix) {
			switch {
			case err != nil:
				return w, err
			case needed.has(info.Key):
				w.Needed++
			case info.Modified.IsZero() || o.Now.Sub(info.Modified) < o.OlderThan:
				w.Young++
			default:
				w.Objects = append(w.Objects, info)
				w.Bytes += info.Size
			}
		}
	}
	return w, nil
}

// Delete removes the waste, except what a run needs that was published since it was found, and what was put again
// since then: its record may be on its way.
func (w Waste) Delete(ctx context.Context, c *courier.Courier) (deleted int, err error) {
	needed, err := allNeeds(ctx, c)
	if err != nil {
		return 0, err
	}
	for _, info := range w.Objects {
		if needed.has(info.Key) {
			continue
		}
		again, err := putAgain(ctx, c.Store, info)
		if err != nil {
			return deleted, err
		}
		if again {
			continue
		}
		if err := c.Store.Delete(ctx, info.Key); err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, nil
}

// putAgain reports whether an object was put again, or deleted, since it was listed.
func putAgain(ctx context.Context, s storage.Store, listed storage.Info) (bool, error) {
	for info, err := range s.List(ctx, listed.Key) { // the first is the object itself, if it is there
		if err != nil {
			return false, err
		}
		return info.Key != listed.Key || !info.Modified.Equal(listed.Modified), nil
	}
	return true, nil
}

// Missing is an object that a run needs and that is not there, or is damaged.
type Missing struct {
	Run, What string // the run, and the record that names the object
	Key       string
	Err       error
}

// Check looks for every object that the runs need, once each, and calls found for those that are missing.
// With deep it reads them to their ends and compares their digests; without, a damaged one may pass.
func Check(ctx context.Context, c *courier.Courier, deep bool, found func(Missing)) (checked int, err error) {
	seen := map[string]bool{}
	visit := func(run, what, key string, lost error) error {
		if seen[key] {
			return nil
		}
		seen[key] = true
		if lost == nil {
			checked++
			lost = look(ctx, c.Store, key, deep)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if lost != nil {
			found(Missing{run, what, key, lost})
		}
		return nil
	}
	return checked, eachNeed(ctx, c, visit)
}

// needs are the keys that runs need, and the prefixes below which they need everything.
type needs struct {
	keys    map[string]bool
	folders []string
}

func (n needs) has(key string) bool {
	if n.keys[key] {
		return true
	}
	for _, f := range n.folders {
		if strings.HasPrefix(key, f) {
			return true
		}
	}
	return false
}

// allNeeds collects what all runs need. Something that is missing is an error: what belongs to it cannot be
// known.
func allNeeds(ctx context.Context, c *courier.Courier) (needs, error) {
	n := needs{keys: map[string]bool{}}
	err := eachNeed(ctx, c, func(run, what, key string, lost error) error {
		if lost != nil {
			return fmt.Errorf("run %s: %s: %s: %w: nothing is removed; itool fsck lists what is missing",
				run, what, key, lost)
		}
		n.keys[key] = true
		return nil
	})
	if err != nil {
		return n, err
	}
	n.folders, err = folders(ctx, c)
	return n, err
}
