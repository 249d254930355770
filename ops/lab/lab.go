// Package lab compares settings: a grid of arms × seeds. Every cell is an ordinary run of the
// line, and all runs use one broker and one store.
//
//	spec, err := lab.Read("paper.yaml")
//	plan, err := spec.Plan(demo.Config(true))           // arms become runs, each once
//	err = (&lab.Lab{Plan: plan, …}).Run(ctx)            // resumable: finished runs are kept
//	result, err := lab.Measure(ctx, courier, dir, plan) // at any time
//
// spec.go and grid.go read the specification, and plan.go turns it into runs. reuse.go copies results
// between runs that would compute the same bytes. measure.go and result.go compute accuracies
// and differences, with intervals over cases and seeds. tuning.go logs every setting that was
// tried while settings were chosen.
//
// The package does not know how workers and keepers are started. The caller starts them, and
// tells the lab when a run has ended.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/schemas"
	"itool/stages/policy"
)

// Lab runs a plan. Fill it in, then call Run.
type Lab struct {
	Plan    *Plan
	Courier *courier.Courier
	Engine  *policy.Engine // checks the base
	Sources []Opened       // as Plan.Sources
	Dir     string         // the lab's folder; costs are saved there
	Device  string         // kernel level of the workers; records of another level are not reused
	AtOnce  int            // seeds that run at once, ≥ 1; the arms of one seed run in turn, to reuse results
	Log     *slog.Logger

	// Await waits until a run has ended or is stalled. The caller runs keeper and workers.
	Await func(ctx context.Context, run string) (line.State, error)
	// OnEvent is called when a run begins and when it ends, also for runs that were done
	// before. Its error ends the work. It may be nil. With AtOnce above 1 several goroutines
	// call it, one at a time.
	OnEvent func(Event) error

	notifying sync.Mutex
}

// Opened is a Source, opened.
type Opened struct {
	Base  fs.FS    // the base model
	Files []string // the dataset
}

// Event is the begin or the end of a run.
type Event struct {
	Run    *Run
	Number int        // from 1
	Of     int        // number of runs of the plan
	Reused int        // number of records taken from the run From
	From   string     // "": none
	End    line.State // zero when the run begins
}

// Run does all runs that are not done. If a run fails or stalls, the others go on; Measure
// reports its status.
func (l *Lab) Run(ctx context.Context) error {
	if err := l.checkSource(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slots := make(chan struct{}, max(l.AtOnce, 1))
	var wait sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, seed := range l.Plan.Seeds {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wait.Go(func() {
			defer func() { <-slots }()
			if err := l.runSeed(ctx, seed); err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
				cancel()
			}
		})
	}
	wait.Wait()
	if failed == nil {
		failed = ctx.Err()
	}
	return failed
}

// checkSource refuses runs of an earlier session with another dataset or base. The name of a
// run depends on its settings, not on its data, so both would have the same names.
func (l *Lab) checkSource(ctx context.Context) error {
	runs, err := started(ctx, l.Courier)
	if err != nil || len(runs) == 0 {
		return err
	}
	prepared := map[int]schemas.Run{}
	for i := range l.Plan.Runs {
		r := &l.Plan.Runs[i]
		old, ok := runs[r.Name]
		if !ok {
			continue
		}
		now, ok := prepared[r.Source]
		if !ok {
			if now, err = line.Prepare(ctx, l.Courier, l.Engine, l.request(r, time.Now())); err != nil {
				return err
			}
			prepared[r.Source] = now
		}
		if old.Dataset != now.Dataset || old.Base != now.Base {
			return fmt.Errorf("run %s was made from another dataset or base: "+
				"give another --dir, or another name in the specification", r.Name)
		}
	}
	return nil
}

func (l *Lab) request(r *Run, created time.Time) line.Request {
	return line.Request{
		Run: r.Name, Seed: r.Config.Seed, Config: r.Text, Digest: r.Digest, ShardRows: r.Config.Line.ShardRows,
		Base: l.Sources[r.Source].Base, Files: l.Sources[r.Source].Files, Created: created,
	}
}

// runSeed does the runs of one seed in turn.
func (l *Lab) runSeed(ctx context.Context, seed uint64) error {
	for i := range l.Plan.Runs {
		if r := &l.Plan.Runs[i]; r.Seed == seed {
			if err := l.runOne(ctx, r, i+1); err != nil {
				return fmt.Errorf("run %s: %w", r.Name, err)
			}
		}
	}
	return nil
}

// runOne starts a run and waits for its end.
func (l *Lab) runOne(ctx context.Context, r *Run, number int) error {
	ev := Event{Run: r, Number: number, Of: len(l.Plan.Runs)}
	runs, err := started(ctx, l.Courier)
	if err != nil {
		return err
	}
	ended, err := isEnded(ctx, l.Courier, r.Name)
	if err != nil {
		return err
	}
	m := &meter{stop: func() {}} // a run that is done costs nothing more
	if !ended {
		if m, err = l.startMeter(r.Name); err != nil {
			return err
		}
		defer func() { m.stop() }()
		if ev.Reused, ev.From, err = l.begin(ctx, r, runs); err != nil {
			return err
		}
	} else if _, there := runs[r.Name]; !there {
		return errors.New("it has an end record but no start message; give another --dir")
	}
	if err := l.notify(ev); err != nil {
		return err
	}
	if ev.End, err = l.Await(ctx, r.Name); err != nil {
		return err
	}
	m.stop() // the cost is saved before OnEvent reports the end
	if st := ev.End.Status; st == schemas.StatusDone || st == schemas.StatusGuard {
		if err := l.release(ctx, r.Name); err != nil {
			return err
		}
	}
	return l.notify(ev)
}

// release lowers a finished run's quota to what it used. The broker reserves quotas, not used
// bytes, so the quotas of all runs of a lab could exceed the disk. It is only for runs that
// are done: a stalled run may go on, and after a failed or cancelled run a worker may still be
// publishing.
func (l *Lab) release(ctx context.Context, run string) error {
	used, err := l.Courier.Broker.Usage(ctx, run)
	if err != nil {
		return err
	}
	const spare = 1 << 20 // for a worker that still publishes a last result
	if n := int64(used.Bytes) + spare; n < used.QuotaBytes {
		return l.Courier.Broker.SetQuota(ctx, run, n)
	}
	return nil
}

func (l *Lab) notify(e Event) error {
	if l.OnEvent == nil {
		return nil
	}
	l.notifying.Lock()
	defer l.notifying.Unlock()
	return l.OnEvent(e)
}

// begin starts a run. Before that it copies the results that another run has computed already.
func (l *Lab) begin(ctx context.Context, r *Run, runs map[string]schemas.Run) (reused int, from string, err error) {
	created := time.Now()
	old, there := runs[r.Name]
	if there { // the creation time is part of the start message, which must be the same again
		if created, err = time.Parse(time.RFC3339, old.Created); err != nil {
			return 0, "", fmt.Errorf("creation time: %w", err)
		}
	}
	run, err := line.Prepare(ctx, l.Courier, l.Engine, l.request(r, created))
	if err != nil {
		return 0, "", err
	}
	if !there {
		if reused, from, err = l.reuse(ctx, run, runs); err != nil {
			return 0, "", err
		}
	}
	return reused, from, line.Start(ctx, l.Courier, run)
}

// started returns the descriptions of all runs that were started, by name.
func started(ctx context.Context, c *courier.Courier) (map[string]schemas.Run, error) {
	runs := map[string]schemas.Run{}
	for run, err := range c.Started(ctx) {
		if err != nil {
			return nil, err
		}
		runs[run.Name] = run
	}
	return runs, nil
}

func isEnded(ctx context.Context, c *courier.Courier, run string) (bool, error) {
	ended, err := c.Ended(ctx, run)
	if errors.Is(err, broker.ErrNoRun) {
		return false, nil
	}
	return ended, err
}
