// Package monitor says over HTTP how runs are doing, for Prometheus, Kubernetes and KEDA:
//
//	/metrics        items, rounds, failures, waits and stalls of the runs that go on
//	/scale/expand   what is left for a stage, over all runs, as JSON
//	/healthz        this process lives
//	/readyz         it has read the queues within the last half minute
//
// The numbers are collected every few seconds: a request reads memory alone. Collecting counts no
// records: the server knows the depth of its queues, and the keeper counts the items of its rounds anyway. It
// takes at most a quarter of the time, and tells MaxRuns runs apart at most.
//
//	m := &monitor.Monitor{Courier: c, Stages: names, Log: log}
//	keeper.Observe = m.Observe
//	go m.Run(ctx)
//	err := m.Serve(ctx, listener)
package monitor

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/scale"
	"itool/schemas"
)

// Monitor is filled in, then Run is called once. The other methods may be called at any time.
type Monitor struct {
	Courier *courier.Courier
	Stages  []string // that can be scaled
	Log     *slog.Logger
	Every   time.Duration // between two collections; default 5 s
	MaxRuns int           // that are told apart in /metrics; default 200

	mu       sync.Mutex
	queues   []queue // of the last collection
	depth    map[string]scale.View
	waits    map[wait]int
	live     int
	at       time.Time // of the last collection that succeeded
	observed map[string]line.Observation
}

type queue struct {
	broker.Queue
	run, stage string
	oldest     time.Duration
}

// wait is what workers say that they wait for.
type wait struct{ run, stage, what string }

// staleAfter is how old the numbers may be before they are withheld: a scaler must not act on them.
const staleAfter = 30 * time.Second

// Observe takes what a keeper knows of a run; see line.Keeper.Observe.
func (m *Monitor) Observe(o line.Observation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.observed == nil {
		m.observed = map[string]line.Observation{}
	}
	if o.Ended {
		delete(m.observed, o.Run)
		return
	}
	m.observed[o.Run] = o
}

// Run collects until ctx ends.
func (m *Monitor) Run(ctx context.Context) {
	every := cmp.Or(m.Every, 5*time.Second)
	backlog := scale.Backlog{Courier: m.Courier}
	for {
		began := time.Now()
		if err := m.collect(ctx, &backlog); err != nil && ctx.Err() == nil {
			m.Log.Warn("the queues cannot be read", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(every, 3*time.Since(began))):
		}
	}
}

func (m *Monitor) collect(ctx context.Context, backlog *scale.Backlog) error {
	runs, err := backlog.Live(ctx)
	if err != nil {
		return err
	}
	var queues []queue
	depth := map[string]scale.View{}
	for i, run := range runs {
		all, err := m.Courier.Broker.Queues(ctx, run)
		if errors.Is(err, broker.ErrNoRun) {
			continue // it was retired meanwhile
		}
		if err != nil {
			return err
		}
		for _, stage := range m.Stages {
			view, known := all[stage]
			if !known {
				continue
			}
			q := queue{Queue: view, run: run, stage: stage}
			d := depth[stage]
			d.Waiting, d.InWork = d.Waiting+q.Pending, d.InWork+q.InFlight
			depth[stage] = d
			if i >= m.maxRuns() {
				continue
			}
			if q.oldest, err = m.Courier.Broker.Oldest(ctx, q.Queue); err != nil && !errors.Is(err, broker.ErrNoRun) {
				return err
			}
			queues = append(queues, q)
		}
	}
	waits, err := m.readWaits(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queues, m.depth, m.waits, m.live, m.at = queues, depth, waits, len(runs), time.Now()
	return nil
}

func (m *Monitor) maxRuns() int { return cmp.Or(m.MaxRuns, 200) }

// readWaits counts the workers that wait, by what they wait for.
func (m *Monitor) readWaits(ctx context.Context) (map[wait]int, error) {
	all, err := m.Courier.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	waits := map[wait]int{}
	for _, w := range all { // any client can answer: names and number of the series are bounded
		if w.Stage != "" && !slices.Contains(m.Stages, w.Stage) || w.Run != "" && schemas.ValidName(w.Run) != nil {
			continue
		}
		if key := (wait{w.Run, w.Stage, Cause(w.What)}); len(waits) < m.maxRuns() || waits[key] > 0 {
			waits[key]++
		}
	}
	return waits, nil
}

// Causes are the words for what is waited for; the runbook has a section for each.
var Causes = []string{"broker", "disk", "judge", "keeper", "needs", "result", "room", "store", "worker"}

// Cause is the word for a reason such as "waiting: store: …" or "needs pair/v2"; "other" for one that is not known.
func Cause(reason string) string {
	reason = strings.TrimPrefix(reason, "waiting: ")
	word := strings.TrimSuffix(strings.SplitN(reason, " ", 2)[0], ":")
	switch {
	case strings.HasPrefix(reason, "the keeper takes out a wrong result"):
		return "result"
	case slices.Contains(Causes, word):
		return word
	}
	return "other"
}

// fresh reports whether the numbers may be used.
func (m *Monitor) fresh() bool { return !m.at.IsZero() && time.Since(m.at) < staleAfter }
