package worker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"itool/ops/worker"
	"itool/schemas"
	"itool/stages"
	"itool/stages/policy/kernel"
)

// A device that is lost or full in the middle of an item hands the item back: it is no failed attempt, whether the
// engine returns the failure or it comes through as a panic, and another try gets the result.
func TestAFailedDeviceHandsTheItemBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var calls atomic.Int64
	var log said
	failure := &kernel.Failure{Err: errors.New("rmsnorm with grid 8: device lost")}
	w.startLogged(&log, doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
		switch n := calls.Add(1); {
		case n%2 == 0 && n < 2*worker.MaxAttempts:
			panic(failure)
		case n < 2*worker.MaxAttempts:
			return fmt.Errorf("policy: draw: %w", failure)
		}
		return echo(ctx, in, out)
	}})
	put(w, "root", 0, "k", []schemas.Score{{ExampleID: "right"}})
	eventually(t, "the worker says what it waits for", func() bool {
		return log.has("needs a device") && log.has("device lost")
	})
	if n := calls.Load(); n == 0 {
		t.Error("the stage was not called")
	}
	w.noFailures()
}
