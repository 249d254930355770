package line

import (
	"context"
	"errors"
	"fmt"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
)

// OverError says that a run has ended before it was cancelled.
type OverError struct{ Status string } // of its end

func (e *OverError) Error() string { return "the run is over: " + e.Status }

// Cancel ends a run: the keeper writes its end, and workers drop its items at their next
// heartbeat. What is done stays readable. broker.ErrNoRun: no keeper has opened the run yet.
// *OverError: it has ended.
func Cancel(ctx context.Context, c *courier.Courier, run string) error {
	end, err := c.End(ctx, run)
	switch {
	case err == nil:
		return &OverError{end.Status}
	case !errors.Is(err, broker.ErrNotExist):
		return fmt.Errorf("cancel %s: %w", run, err)
	}
	// Only the existence of the record counts: its body is empty.
	at := broker.Address{Run: run, Record: schemas.RecordCancel, Key: schemas.KeyCancel}
	if _, err := c.Broker.Publish(ctx, at, nil, nil); err != nil {
		return fmt.Errorf("cancel %s: %w", run, err)
	}
	_ = c.Broker.Announce(ctx, broker.Hint, run, nil) // else the keeper sees it at its next turn
	return nil
}

func cancelledEnd() *schemas.End {
	return &schemas.End{Status: schemas.StatusCancelled, Detail: "cancelled by its user"}
}

var errCancelled = errors.New("the run was cancelled")

// askCancelled is how often a long step looks whether its run was cancelled. Most steps take less.
const askCancelled = 300 * time.Millisecond

// untilCancelled returns a context that ends, with errCancelled as its cause, when the run is cancelled:
// opening a round may take minutes. Meanwhile it renews
// the status of the run. Call stop after the step; it waits for the goroutine that looks.
func (k *Keeper) untilCancelled(ctx context.Context, s *runState) (watched context.Context, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(askCancelled)
		defer tick.Stop()
		for {
			select {
			case <-watched.Done():
				return
			case <-tick.C:
			}
			k.renew(watched, s)
			// Without an answer the step finds out itself.
			if cancelled, err := k.Courier.Cancelled(watched, s.run.Name); err == nil && cancelled {
				cancel(errCancelled)
			}
		}
	}()
	return watched, func() {
		cancel(nil)
		<-done
	}
}
