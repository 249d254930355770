// Package worker is the loop in which stage, broker and storage meet:
//
//	fetch → claim → decode → Process → encode → deposit → publish → ack
//
// A worker serves any number of stages of any number of runs. Each of its slots
// holds one item at a time, with its own pull, heartbeat and ack; nothing is
// prefetched, so that a slow item never keeps others waiting behind it.
//
// What can go wrong, and what happens: an item's error is a failed attempt and
// comes again, five times at most, then a failure record takes the place of its
// result; a broken broker or store is nobody's fault, the slot holds and tries
// again; a killed worker's item comes again after AckWait; a result that is there
// already is adopted.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/stages"
)

// MaxAttempts is how often an item may fail before it is given up.
const MaxAttempts = 5

// Worker runs stages. Fill it in, then call Run once.
type Worker struct {
	Courier *courier.Courier
	Stages  []stages.Stage
	Name    string // shown in headers and failure records
	Slots   int    // items at once, ≥ 1
	Cache   string // folder that keeps policies by digest; "": read them from the store
	Log     *slog.Logger

	// AckWait is how long the server waits for a heartbeat before it gives the
	// item to another worker; heartbeats come three times as often. Default 60 s.
	AckWait time.Duration
	// IdleUntil ends Run after this long without work; 0 = never. Batch systems
	// that start workers by queue depth want it.
	IdleUntil time.Duration

	busy    atomic.Int64
	lastHit atomic.Int64 // unix nanoseconds of the last item's end
}

// Run works until ctx ends, or until it was idle for IdleUntil. Items in work
// when ctx ends are handed back uncounted.
func (w *Worker) Run(ctx context.Context) error {
	if w.AckWait == 0 {
		w.AckWait = 60 * time.Second
	}
	if w.Slots < 1 {
		return fmt.Errorf("worker: %d slots, at least 1 is needed", w.Slots)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hints, err := w.Courier.Broker.Listen(ctx, broker.Hint, "*")
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	w.lastHit.Store(time.Now().UnixNano())

	board := &board{worker: w, pullers: map[string]*broker.Puller{}}
	wake := newBell()
	var slots sync.WaitGroup
	for range w.Slots {
		slots.Go(func() { w.slot(ctx, board, wake) })
	}
	for {
		select {
		case <-ctx.Done():
			slots.Wait()
			return nil
		case <-hints:
			wake.ring()
		case <-time.After(time.Second):
			idle := time.Since(time.Unix(0, w.lastHit.Load()))
			if w.IdleUntil > 0 && w.busy.Load() == 0 && idle > w.IdleUntil {
				cancel()
			}
		}
	}
}

// slot takes one item after the other, and waits with growing, jittered pauses
// while there is none.
func (w *Worker) slot(ctx context.Context, b *board, wake *bell) {
	pause := 20 * time.Millisecond
	for ctx.Err() == nil {
		rung := wake.wait()
		item, err := b.next(ctx)
		switch {
		case err == nil:
			w.busy.Add(1)
			item.run(ctx)
			w.lastHit.Store(time.Now().UnixNano())
			w.busy.Add(-1)
			pause = 20 * time.Millisecond
			continue
		case ctx.Err() != nil:
			return
		case !errors.Is(err, broker.ErrEmpty):
			w.Log.Warn("fetch; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-rung:
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, 2*time.Second)
	}
}

// board visits the runs round-robin, so that runs share the workers fairly. Its
// pullers are made once per run and stage.
type board struct {
	worker *Worker

	mu      sync.Mutex
	runs    []string
	listed  time.Time
	turn    int
	pullers map[string]*broker.Puller
}

// next fetches one item of one of the worker's stages, beginning with the run
// after the one that was served last. broker.ErrEmpty: there is none now.
func (b *board) next(ctx context.Context) (*item, error) {
	runs, err := b.list(ctx)
	if err != nil {
		return nil, err
	}
	for _, run := range runs {
		for _, s := range b.worker.Stages {
			p, err := b.puller(ctx, run, s)
			if errors.Is(err, broker.ErrNoRun) {
				break // retired meanwhile
			}
			if err != nil {
				return nil, err
			}
			d, err := p.Next(ctx)
			switch {
			case err == nil:
				return &item{w: b.worker, stage: s, spec: s.Spec(), d: d, run_: run}, nil
			case errors.Is(err, broker.ErrNoRun):
				b.forget(run, s)
			case !errors.Is(err, broker.ErrEmpty):
				return nil, fmt.Errorf("run %s: %s: %w", run, s.Spec().Name, err)
			}
		}
	}
	return nil, broker.ErrEmpty
}

// list returns the runs, rotated by one at every call, and asks the broker for
// them once a second at most.
func (b *board) list(ctx context.Context) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.listed) > time.Second || len(b.runs) == 0 {
		runs, err := b.worker.Courier.Broker.Runs(ctx)
		if err != nil {
			return nil, err
		}
		b.runs, b.listed = runs, time.Now()
	}
	if len(b.runs) == 0 {
		return nil, broker.ErrEmpty
	}
	b.turn = (b.turn + 1) % len(b.runs)
	out := make([]string, 0, len(b.runs))
	return append(append(out, b.runs[b.turn:]...), b.runs[:b.turn]...), nil
}

// puller returns the durable consumer of a stage: on the results of one record,
// or on its gather.
func (b *board) puller(ctx context.Context, run string, s stages.Stage) (*broker.Puller, error) {
	spec := s.Spec()
	id := run + "/" + spec.Name
	b.mu.Lock()
	p := b.pullers[id]
	b.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := b.worker.Courier.Broker.Pull(ctx, run, spec.Name, []string{spec.Filter()}, broker.PullOptions{AckWait: b.worker.AckWait})
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.pullers[id] = p
	b.mu.Unlock()
	return p, nil
}

func (b *board) forget(run string, s stages.Stage) {
	b.mu.Lock()
	delete(b.pullers, run+"/"+s.Spec().Name)
	b.listed = time.Time{}
	b.mu.Unlock()
}

// bell wakes every slot that waits for it.
type bell struct {
	mu sync.Mutex
	ch chan struct{}
}

func newBell() *bell { return &bell{ch: make(chan struct{})} }

func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	close(b.ch)
	b.ch = make(chan struct{})
	b.mu.Unlock()
}
