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
	"itool/stages/policy"
)

// A server that does not answer hands the item back, as often as it must: it is no failed attempt.
func TestAServerThatIsAwayHandsTheItemBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var calls atomic.Int64
	var log said
	away := &policy.ServerError{What: "http://gpu1:8000", Err: errors.New("connection refused")}
	w.startLogged(&log, doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
		if calls.Add(1) <= 2*worker.MaxAttempts {
			return fmt.Errorf("policy: draw: %w", away)
		}
		return echo(ctx, in, out)
	}})
	put(w, "root", 0, "k", []schemas.Score{{ExampleID: "right"}})
	eventually(t, "the worker says what it waits for", func() bool {
		return log.has("waiting: engine: http://gpu1:8000: connection refused")
	})
	w.noFailures()
}
