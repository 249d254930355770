package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
	"itool/stages/policy/kernel"
)

// item is one delivery in one slot.
type item struct {
	w       *Worker
	stage   stages.Stage
	spec    stages.Spec
	d       *broker.Delivery
	runName string

	traceparent string // of the result

	failures int                                // failed attempts before this one that count, see resume.go
	forgiven int                                // failed attempts that do not count
	in       schemas.Batch                      // the message that woke the stage
	target   schemas.Header                     // of the result
	lease    atomic.Pointer[broker.Lease]       // set while a stage that gathers works; the heartbeat renews it
	folder   string                             // of its checkpoints in the store
	marked   bool                               // it may have checkpoints
	away     atomic.Pointer[courier.InfraError] // the last error of the store that the stage saw
	missing  atomic.Pointer[waitError]          // what the stage read and the store lacks, or this worker cannot read
}

// Reasons to drop an item that is not at fault.
var (
	errCancelled = errors.New("the run was cancelled")
	errEnded     = errors.New("the run has ended")
)

// An item that needs a newer worker goes back to its queue for waitPause. Each further time the pause doubles, up
// to maxWaitPause: thousands of such items must not keep the workers busy.
const (
	waitPause    = 5 * time.Second
	maxWaitPause = 2 * time.Minute
)

// waitError is about an item that this worker cannot serve, but another may.
type waitError struct{ what string }

func (e *waitError) Error() string { return "waiting: " + e.what }

// notItsFault makes of the failure of a device or of a server an error that hands the item back: a worker whose GPU
// is full or gone, or whose engine does not answer, cannot serve it, but another one may, or this one later. It is
// no failed attempt of the item.
func notItsFault(err error) error {
	var engine interface{ Waiting() string } // such as *policy.ServerError
	switch failure := (*kernel.Failure)(nil); {
	case errors.As(err, &failure):
		return &waitError{"needs a device that can go on: " + err.Error()}
	case errors.As(err, &engine):
		return &waitError{engine.Waiting()}
	}
	return err
}

// run serves the item until it has a result or a failure record, or goes back to the queue. waits is
// true if this worker cannot serve the item: it went back, and the slot is free for others.
func (it *item) run(ctx context.Context) (waits bool) {
	log := it.log()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	beat := make(chan struct{})
	go func() { defer close(beat); it.heartbeat(ctx, cancel) }()

	traced := it.trace(ctx)
	err := notItsFault(it.hold(ctx, it.serve))
	traced(ctx, err)
	var wait *waitError
	switch {
	case err == nil || ctx.Err() != nil || errors.Is(err, broker.ErrNoRun):
	case errors.As(err, &wait):
	case errors.Is(err, errForeign):
		log.Warn("dropped a message", "why", err)
		err = nil
	case it.withdrawn(ctx):
		log.Info("dropped", "why", "its message was taken out of the stream")
		err = nil
	case stages.IsReject(err):
		log.Error("rejected", "error", err)
		err = it.giveUp(ctx, schemas.ReasonRejected, err)
	case it.failures+1 >= MaxAttempts:
		log.Error("gave up", "attempts", it.failures+1, "error", err)
		err = it.giveUp(ctx, schemas.ReasonAttempts, err)
	}
	if l := it.lease.Load(); l != nil {
		_ = l.Release(context.WithoutCancel(ctx)) // best effort: it expires anyway
	}
	cause := context.Cause(ctx)
	cancel(nil)
	<-beat

	// The broker must be told the outcome even if ctx has ended.
	tell, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	switch {
	case err == nil:
		err = it.d.Ack(tell)
	case errors.Is(err, broker.ErrNoRun):
		log.Info("dropped", "why", "the run was retired")
		return false
	case errors.Is(cause, errCancelled) || errors.Is(cause, errEnded):
		log.Info("dropped", "why", cause)
		err = it.d.Ack(tell)
	case cause != nil:
		log.Info("handed back", "why", cause)
		err = it.d.HandBack(tell)
	case errors.As(err, &wait):
		waits = true
		pause := min(waitPause<<min(it.d.Deliveries()-1, 10), maxWaitPause)
		log.Warn(wait.Error(), "again in", pause)
		it.w.waits.handBack(it, wait.what, time.Now().Add(pause+waitPause))
		err = it.d.HandBackFor(tell, pause)
	default:
		pause := it.w.RetryPause << min(it.failures, MaxAttempts)
		log.Warn("failed; it comes again", "attempt", it.failures+1, "in", pause, "error", err)
		err = it.d.Retry(tell, pause)
	}
	if err != nil && !errors.Is(err, broker.ErrNoRun) {
		log.Warn("the broker was not told the outcome; the item comes again and finds its result", "error", err)
	}
	return waits
}

// log names the item in every line: where logs are collected, a run or an item is found by its fields.
func (it *item) log() *slog.Logger {
	return it.w.Log.With("run", it.runName, "stage", it.spec.Name, "round", it.d.Round, "key", it.d.Key)
}

// hold calls f until it succeeds, or fails for another reason than broker or store.
func (it *item) hold(ctx context.Context, f func(context.Context) error) error {
	defer it.w.waits.release(it)
	pause := 250 * time.Millisecond
	for {
		err := f(ctx)
		var infra *courier.InfraError
		if err == nil || !errors.As(err, &infra) || ctx.Err() != nil {
			return err
		}
		it.w.waits.hold(it, courier.WaitsFor(err), time.Now(), pause)
		it.log().Warn("waiting for broker or store", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, 30*time.Second)
	}
}

// heartbeat keeps the delivery with this worker and watches for the end of the run.
func (it *item) heartbeat(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(it.w.AckWait / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := it.d.Heartbeat(ctx); err != nil && ctx.Err() == nil {
			it.log().Warn("heartbeat", "error", err)
		}
		if l := it.lease.Load(); l != nil {
			if err := l.Renew(ctx); errors.Is(err, broker.ErrLost) {
				// Another worker took over while this process was frozen. To go on is safe,
				// because the policy record is written once, but the work may be wasted.
				it.log().Warn("lost the lease")
				it.lease.CompareAndSwap(l, nil) // the next attempt must acquire it again
			}
		}
		if err := it.over(ctx); err != nil {
			cancel(err)
			return
		}
	}
}

// over reports whether the run was cancelled or has ended.
func (it *item) over(ctx context.Context) error {
	if cancelled, err := it.w.Courier.Cancelled(ctx, it.runName); err == nil && cancelled {
		return errCancelled
	}
	ended, err := it.w.Courier.Ended(ctx, it.runName)
	if ended || errors.Is(err, broker.ErrNoRun) {
		return errEnded
	}
	return nil
}

// serve runs the stage on the item and publishes the result, unless the result exists.
func (it *item) serve(ctx context.Context) error {
	if foreign, err := it.isForeign(ctx); err != nil {
		return err
	} else if foreign {
		return errForeign
	}
	var err error
	it.forgiven = 0
	if it.failures, err = it.d.FailedAttempts(ctx); err != nil {
		return courier.Infra(ctx, err)
	}
	answered, err := it.answered(ctx)
	if err != nil {
		return err
	}
	switch {
	case it.failures >= MaxAttempts && answered:
		return nil // only the acks were lost
	case it.failures >= MaxAttempts && !it.spec.Gather:
		return it.died()
	}
	if it.in, err = it.w.Courier.Open(ctx, it.d.Message); err != nil {
		return badItem(err)
	}
	if it.target, err = it.resultHeader(); err != nil {
		return err
	}
	if answered {
		return it.adopt(ctx)
	}
	if it.spec.Gather {
		if err := it.acquire(ctx); err != nil {
			return err
		}
		// The former holder may have finished while this one waited.
		if answered, err := it.answered(ctx); err != nil {
			return err
		} else if answered {
			return it.adopt(ctx)
		}
	}
	in, err := it.input(ctx)
	if err != nil {
		return err
	}
	if it.failures >= MaxAttempts {
		return it.died()
	}
	out := &output{it: it, ctx: ctx}
	start := time.Now()
	if err := process(ctx, it.stage, in, out); err != nil {
		// The stage may hide that the store caused its error: what it read remembers it.
		if missing := it.missing.Swap(nil); missing != nil {
			return missing
		}
		if away := it.away.Swap(nil); away != nil {
			return away
		}
		return err
	}
	if out.result == nil {
		return stages.Reject(fmt.Errorf("%s returned without a result; the stage is at fault", it.spec.Name))
	}
	if err := it.publish(ctx, out.result, time.Since(start)); err != nil {
		return err
	}
	it.hint(ctx)
	if it.marked {
		it.sweep(ctx, 0)
	}
	return nil
}

// died is the error of an item whose workers left no error behind.
func (it *item) died() error {
	return fmt.Errorf("%d workers died or were frozen while they held this item; look for out-of-memory kills",
		it.failures)
}

// hint tells keepers and workers to look for work now.
func (it *item) hint(ctx context.Context) {
	_ = it.w.Courier.Broker.Announce(ctx, broker.Hint, it.runName, nil) // a lost hint costs seconds, nothing else
}

// process calls the stage. A panic is a failed attempt, not the end of the worker.
func process(ctx context.Context, s stages.Stage, in stages.Input, out stages.Output) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: panic: %v\n%s", s.Spec().Name, p, debug.Stack())
		}
	}()
	defer kernel.Catch(&err) // where no door of the engine does
	return s.Process(ctx, in, out)
}

// badItem decides what to do about an error of reading records. A newer record waits for a newer
// worker. A damaged record is rejected. A record that is not there is tried again. If the store lacks the
// record's body, the item waits for the store.
func badItem(err error) error {
	var newer *schemas.NewerError
	var infra *courier.InfraError
	switch {
	case errors.As(err, &newer):
		return &waitError{"needs " + newer.Want}
	case isLost(err):
		return lost(err)
	case errors.As(err, &infra), errors.Is(err, broker.ErrNotExist):
		return err
	}
	return stages.Reject(err)
}

// acquire waits for the lease of a stage that gathers. Two trainers at once would be safe, because
// the policy record is written once, but the work of one would be wasted.
func (it *item) acquire(ctx context.Context) error {
	if it.lease.Load() != nil {
		return nil // kept since before a pause of broker or store
	}
	name := fmt.Sprintf("%s-%s-%d", it.runName, it.spec.Name, it.target.Round)
	for {
		l, err := it.w.Courier.Broker.Acquire(ctx, name, it.w.Name, it.w.AckWait)
		if err == nil {
			it.lease.Store(l)
			return nil
		}
		if !errors.Is(err, broker.ErrHeld) {
			return courier.Infra(ctx, err)
		}
		it.w.Log.Info("waiting for the lease", "lease", name)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(it.w.AckWait / 3):
		}
	}
}
