// Package lab compares settings: a grid of arms × seeds, every cell an ordinary run of
// the ordinary line over one broker and one store.
//
//	spec, err := lab.Read("paper.yaml")
//	plan, err := spec.Plan(demo.Config(true))     // arms become runs, each once
//	err = (&lab.Lab{Plan: plan, …}).Run(ctx)      // resumable: what is done stays done
//	result, err := lab.Measure(ctx, courier, dir, plan) // at any time
//
// spec.go and plan.go say what is asked, reuse.go lets a run take from another one
// what it would compute itself, byte for byte, measure.go and result.go say what came
// out, with intervals over cases and seeds. tuning.go keeps a list of everything that
// was tried while settings were chosen.
//
// It does not know how workers and keepers are started: whoever runs it does that, and
// tells it when a run has ended.
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
	Engine  *policy.Engine // to check the base with
	Base    fs.FS
	Files   []string // of the dataset
	Dir     string   // of the laboratory, where costs are written down
	Device  string   // kernel level of the workers; records of another one are not shared
	AtOnce  int      // seeds that run at once, ≥ 1; the arms of one seed follow each other, for they share
	Log     *slog.Logger

	// Await waits until a run has ended or is stalled. Whoever fills it in runs keeper
	// and workers.
	Await func(ctx context.Context, run string) (line.State, error)
	// OnEvent hears of every run that begins and ends, also of those that were done before;
	// its error ends the work. It may be nil. With AtOnce above 1 it is called by several
	// goroutines, one at a time.
	OnEvent func(Event) error

	notifying sync.Mutex
}

// Event is the begin or the end of a run.
type Event struct {
	Run    *Run
	Number int        // from 1
	Of     int        // runs of the plan
	Reused int        // records that were taken from another run, From
	From   string     // … that other run; "": none
	End    line.State // zero at the begin
}

// Run does all runs that are not done. A run that fails or stalls does not keep the
// others from being done: Measure says what became of it.
func (l *Lab) Run(ctx context.Context) error {
	if err := l.checkSource(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	room := make(chan struct{}, max(l.AtOnce, 1))
	var wait sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, seed := range l.Plan.Seeds {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wait.Go(func() {
			defer func() { <-room }()
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

// checkSource refuses runs of an earlier session that were made from something else: a name
// tells settings apart, not datasets.
func (l *Lab) checkSource(ctx context.Context) error {
	runs, err := started(ctx, l.Courier)
	if err != nil || len(runs) == 0 {
		return err
	}
	now, err := line.Prepare(ctx, l.Courier, l.Engine, l.request(&l.Plan.Runs[0], time.Now()))
	if err != nil {
		return err
	}
	for _, r := range l.Plan.Runs {
		if old, ok := runs[r.Name]; ok && (old.Dataset != now.Dataset || old.Base != now.Base) {
			return fmt.Errorf("run %s was made from another dataset or base: give another --dir, or another name in the specification", r.Name)
		}
	}
	return nil
}

func (l *Lab) request(r *Run, created time.Time) line.Request {
	return line.Request{
		Run: r.Name, Seed: r.Config.Seed, Config: r.Text, Digest: r.Digest, ShardRows: r.Config.Line.ShardRows,
		Base: l.Base, Files: l.Files, Created: created,
	}
}

// runSeed does the runs of one seed, one after the other.
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

// runOne takes a run to its end.
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
	m := &meter{stop: func() {}} // of a run that is done
	if !ended {
		if m, err = l.startMeter(r.Name); err != nil {
			return err
		}
		defer func() { m.stop() }()
		if ev.Reused, ev.From, err = l.begin(ctx, r, runs); err != nil {
			return err
		}
	} else if _, there := runs[r.Name]; !there {
		return fmt.Errorf("it has an end, but nobody started it; take another --dir")
	}
	if err := l.notify(ev); err != nil {
		return err
	}
	if ev.End, err = l.Await(ctx, r.Name); err != nil {
		return err
	}
	m.stop() // what is told of the end includes its cost
	if st := ev.End.Status; st == schemas.StatusDone || st == schemas.StatusGuard {
		if err := l.release(ctx, r.Name); err != nil {
			return err
		}
	}
	return l.notify(ev)
}

// release gives back the room that a run reserved and did not use: a broker counts
// quotas, not bytes, and a laboratory has more runs than a disk has quotas. Only of a
// run that is done: one that is stalled may go on, and of one that failed or was
// cancelled a worker may still be publishing.
func (l *Lab) release(ctx context.Context, run string) error {
	used, err := l.Courier.Broker.Usage(ctx, run)
	if err != nil {
		return err
	}
	const late = 1 << 20 // room for a worker that publishes a last word
	if n := int64(used.Bytes) + late; n < used.QuotaBytes {
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

// begin starts a run, after it has taken from the run that is nearest what the two
// have in common.
func (l *Lab) begin(ctx context.Context, r *Run, runs map[string]schemas.Run) (reused int, from string, err error) {
	created := time.Now()
	old, there := runs[r.Name]
	if there { // the same request gives the same bytes only with the same time
		if created, err = time.Parse(time.RFC3339, old.Created); err != nil {
			return 0, "", fmt.Errorf("created: %w", err)
		}
	}
	run, err := line.Prepare(ctx, l.Courier, l.Engine, l.request(r, created))
	if err != nil {
		return 0, "", err
	}
	if !there {
		if reused, from, err = l.reuse(ctx, r, run, runs); err != nil {
			return 0, "", err
		}
	}
	return reused, from, line.Start(ctx, l.Courier, run)
}

// started are the descriptions of all runs that were started, by name.
func started(ctx context.Context, c *courier.Courier) (map[string]schemas.Run, error) {
	runs := map[string]schemas.Run{}
	for m, err := range c.Broker.Started(ctx) {
		if err != nil {
			return nil, err
		}
		b, err := c.Open(ctx, m)
		if err != nil {
			return nil, err
		}
		rows, err := schemas.Decode[schemas.Run](b)
		if err != nil {
			return nil, fmt.Errorf("run %s: its start message: %w", m.Run, err)
		}
		if len(rows) != 1 {
			return nil, fmt.Errorf("run %s: its start message holds %d rows instead of one", m.Run, len(rows))
		}
		runs[m.Run] = rows[0]
	}
	return runs, nil
}

func isEnded(ctx context.Context, c *courier.Courier, run string) (bool, error) {
	_, _, err := courier.Rows[schemas.End](ctx, c, run, schemas.RecordEnd, 0, schemas.KeyEnd)
	if errors.Is(err, broker.ErrNotExist) || errors.Is(err, broker.ErrNoRun) {
		return false, nil
	}
	return err == nil, err
}
