// Package worker is the loop in which stage, broker and storage meet:
//
//	fetch → claim → decode → Process → encode → deposit → publish → ack
//
// A worker serves any number of stages of any number of runs, the first of its stages first. Each of
// its slots holds one item at a time, with its own pull, heartbeat and ack. Nothing is prefetched, so no
// item waits behind a slow one.
//
// What can go wrong:
//
//   - A stage returns an error: the item comes again, five times at most. Then a failure record takes
//     the place of its result.
//   - Broker or store fail: the slot keeps its item and tries again. This is no failed attempt.
//   - A worker is killed: its item goes to another worker after AckWait.
//   - The device is lost or full: the item goes back to its queue. This is no failed attempt.
//   - The run's own judge fails, or is not here: the same.
//   - Only a newer worker can serve an item: it goes back to its queue for a while, and holds no slot.
//   - The result exists already: it is adopted if it answers the same input.
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
	"itool/schemas"
	"itool/stages"
)

// MaxAttempts is the number of failed attempts after which an item is given up.
const MaxAttempts = 5

// Worker runs stages. Fill it in, then call Run once.
type Worker struct {
	Courier *courier.Courier
	Stages  []stages.Stage // by priority: of the same run, items of an earlier stage are taken first
	Name    string         // shown in headers and failure records
	Slots   int            // items at once, ≥ 1
	Cache   string         // folder for copies of policies, by digest; "": read them from the store
	Log     *slog.Logger
	Judge   Judge  // for runs that name a judge of their own; nil: their items go back
	Tracer  Tracer // follows items; nil: nothing does

	// Awaits names the result that the keeper waits for when it writes such tasks, or when stages answer
	// with such records; "" for others. task tells the two apart. With it, messages that are not in the
	// manifest of their round are dropped; nil: all messages are items.
	Awaits func(record string) (result string, task bool)

	// AckWait is how long the server waits for a heartbeat before it gives the item to another
	// worker. Heartbeats come three times as often. Default 60 s.
	AckWait time.Duration
	// RetryPause is the pause before a failed item comes again; each failure doubles it. Default 1 s.
	RetryPause time.Duration
	// IdleUntil ends Run after this long without work; 0 = never. It is for systems that start
	// workers by queue depth.
	IdleUntil time.Duration
	// Leave, when it is closed, ends Run without handing an item back: the slots take no more, and finish
	// those that they have. nil: never.
	Leave <-chan struct{}

	busy      atomic.Int64
	lastHit   atomic.Int64 // unix nanoseconds of the last item's end
	runs      sync.Map     // run name → *description
	stores    storeGuard
	manifests manifests
	waits     waits
	inWork    sync.Map      // *item → true: what is in the slots
	wake      chan struct{} // buffered: one pending wake-up for an idle slot
	leaving   chan struct{} // closed when no slot takes another item
}

// An idle worker looks for work on every hint, and after pauses that grow from shortPause to longPause.
const (
	shortPause = 20 * time.Millisecond // also the shortest time between two hints that wake a slot
	longPause  = 2 * time.Second       // what a lost hint costs at most
)

// Run works until ctx ends, until it was idle for IdleUntil, or until Leave is closed. The items in work
// when ctx ends go back to their queues; that is no failed attempt. Otherwise they are finished.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.check(); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hints, err := w.Courier.Broker.Listen(ctx, broker.Hint, "*")
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	err = w.Courier.AnswerWaiting(ctx, func() []courier.Waiting {
		return append(w.waits.list(w.Name, time.Now()), w.stores.list(w.Name)...)
	})
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	if err := w.Courier.AnswerWorking(ctx, w.working); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	w.lastHit.Store(time.Now().UnixNano())
	w.wake, w.leaving = make(chan struct{}, 1), make(chan struct{})
	s := newScheduler(w)
	var slots sync.WaitGroup
	for range w.Slots {
		slots.Go(func() { w.slot(ctx, s) })
	}
	w.wakeSlots(ctx, s, hints)
	close(w.leaving)
	slots.Wait()
	return nil
}

func (w *Worker) check() error {
	if w.AckWait == 0 {
		w.AckWait = 60 * time.Second
	}
	if w.RetryPause == 0 {
		w.RetryPause = time.Second
	}
	switch {
	case w.Slots < 1:
		return fmt.Errorf("%d slots, at least 1 is needed", w.Slots)
	case w.AckWait < time.Second:
		return fmt.Errorf("an AckWait of %v is too short: leases need at least 1s", w.AckWait)
	}
	// With a name that no header can hold, every publish would fail.
	if _, err := schemas.Encode(schemas.Header{Run: "r", Key: "k", Worker: w.Name}, []schemas.Failed{}); err != nil {
		return fmt.Errorf("name %q: %w", w.Name, err)
	}
	return nil
}

// wakeSlots wakes an idle slot on hints and from time to time, until it is time to leave.
func (w *Worker) wakeSlots(ctx context.Context, s *scheduler, hints <-chan broker.Message) {
	pause, seen := shortPause, w.lastHit.Load()
	next := time.NewTimer(pause)
	defer next.Stop()
	listen, again := hints, (<-chan time.Time)(nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.Leave:
			return
		case m, ok := <-listen:
			if listen, again = nil, time.After(shortPause); !ok {
				hints, again = nil, nil // the connection was closed
			}
			s.onHint(m.Run)
			w.wakeOne()
		case <-again:
			listen, again = hints, nil
		case <-next.C:
			if hit := w.lastHit.Load(); hit != seen {
				pause, seen = shortPause, hit
			}
			idle := time.Since(time.Unix(0, seen))
			if w.IdleUntil > 0 && w.busy.Load() == 0 && idle > w.IdleUntil {
				return
			}
			w.wakeOne()
			next.Reset(pause/2 + rand.N(pause))
			pause = min(2*pause, longPause)
		}
	}
}

// wakeOne wakes one idle slot. If none is idle, the next slot that finds no work looks once more.
func (w *Worker) wakeOne() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// slot takes one item after the other, and waits to be woken if it finds none. Only one idle slot
// looks at a time. If it finds an item there may be more, so it wakes the next slot. So many idle
// slots cost no more than one.
func (w *Worker) slot(ctx context.Context, s *scheduler) {
	for ctx.Err() == nil && !w.isLeaving() {
		item, err := s.next(ctx)
		if err == nil {
			w.wakeOne()
			w.busy.Add(1)
			w.inWork.Store(item, true)
			waits := item.run(ctx)
			s.done(item)
			if !waits { // items that this worker can never serve must not keep it
				w.lastHit.Store(time.Now().UnixNano())
			}
			w.inWork.Delete(item)
			w.busy.Add(-1)
			continue
		}
		if !errors.Is(err, broker.ErrEmpty) && ctx.Err() == nil {
			w.Log.Warn("fetch; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-w.leaving:
		case <-w.wake:
		}
	}
}

func (w *Worker) isLeaving() bool {
	select {
	case <-w.leaving:
		return true
	default:
		return false
	}
}
