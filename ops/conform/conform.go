// Package conform checks a worker of one stage that is written by others, in any language: a program of
// which it knows only the command. ops/guide/wire.md is what it checks against.
//
// A small run of the demo gives it real items. Each check puts some of them into a run of its own, on a
// private broker and store, starts the program, and watches what it sends: results, heartbeats, acks.
//
//	r, err := conform.Run(ctx, conform.Options{Stage: "filter", Command: []string{"./filter"}, Dir: dir, Engine: e})
//
// conform.go is the recipe, world.go has the real items, trial.go is one check's run and its program,
// checks.go and faults.go are the checks, report.go says what they found.
package conform

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"itool/stages/policy"
)

// Options say what is checked.
type Options struct {
	Stage string
	// Command starts the program. In its arguments {broker}, {store} and {run} are replaced by the address of
	// the broker with its token, the address of the store, and the name of the run. The environment has them
	// as ITOOL_BROKER, ITOOL_STORE and ITOOL_RUN.
	Command []string
	Dir     string   // an empty folder for broker and store
	Set     []string // settings of the run, such as "filter.mode=paper", over those of the small demo
	Engine  *policy.Engine
	AckWait time.Duration // of the queue, ≥ 2 s
	// Patience is how long the program may take for an item, its start included.
	Patience time.Duration
	Log      *slog.Logger
	Say      func(Finding) // hears of every finding at once; may be nil
}

// Run checks the program. An error means that the checks could not be made; what they found is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("conform: %w", err)
	}
	defer w.site.Close()
	return w.check(ctx, nil)
}

// check makes the checks with these names; nil: all.
func (w *world) check(ctx context.Context, only []string) (*Report, error) {
	r := &Report{Stage: w.Stage, Command: w.Command}
	for i, c := range checks {
		if c.skip != nil && c.skip(w.spec) || only != nil && !slices.Contains(only, c.name) {
			continue
		}
		t := &trial{w: w, name: fmt.Sprintf("conform-%d", i), what: c.name, report: r}
		err := t.during(ctx, c.check)
		if err != nil {
			return r, fmt.Errorf("conform: %s: %w", c.name, err)
		}
		if i == 0 && r.Failed() {
			return r, nil // a program that does not answer at all fails every other check, too
		}
	}
	return r, nil
}
