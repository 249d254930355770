package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"

	"itool/ops/worker"
	"itool/schemas"
	"itool/stages"
)

// says is a worker's judge made of a function.
type says func(name string, q []stages.Question) ([]stages.Outcome, error)

func (f says) Judge(_ context.Context, name string, q []stages.Question) ([]stages.Outcome, error) {
	return f(name, q)
}

// TestItemsWaitForTheRunsJudge: an item of a run with a judge of its own goes back to its queue while the worker
// has none or while the judge fails, even if the stage calls the error final. That is no failed attempt: with a
// judge that answers, the item is done.
func TestItemsWaitForTheRunsJudge(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, `{"judge":"units 3"}`)
	var failing atomic.Int64
	judges := map[string]worker.Judge{
		"units 3: this worker has none": nil,
		"units 3: away": says(func(name string, _ []stages.Question) ([]stages.Outcome, error) {
			failing.Add(1)
			return nil, errors.New("away")
		}),
	}
	stage := doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
		if in.Judge == nil {
			return stages.Reject(errors.New("the stage got no judge"))
		}
		said, err := in.Judge.Judge(ctx, []stages.Question{{Example: &schemas.Example{ID: "e"}, Answer: "x"}})
		if err != nil {
			return stages.Reject(fmt.Errorf("a stage that does not know better: %w", err))
		}
		if !said[0].Pass {
			return stages.Reject(fmt.Errorf("outcome %+v", said[0]))
		}
		return echo(ctx, in, out)
	}}
	for want, own := range judges {
		log := &said{}
		stop := w.startJudged(own, log, stage)
		put(w, "root", 0, fmt.Sprintf("k%d", len(want)), []schemas.Score{{ExampleID: "e"}})
		eventually(t, "the log says "+want, func() bool { return log.has(want) })
		stop()
	}
	w.noFailures()
	w.startJudged(says(func(name string, q []stages.Question) ([]stages.Outcome, error) {
		return []stages.Outcome{{Pass: name == "units 3", Score: 1}}, nil
	}), io.Discard, stage)
	for want := range judges {
		await[schemas.Score](w, "candidate", 0, fmt.Sprintf("k%d", len(want)))
	}
	w.noFailures()
	if failing.Load() == 0 {
		t.Error("the failing judge was never asked")
	}
}

// startJudged runs a worker of one slot with a judge.
func (w *world) startJudged(own worker.Judge, log io.Writer, s ...stages.Stage) (stop func()) {
	w.t.Helper()
	return w.runAs(&worker.Worker{Judge: own, Slots: 1, Stages: s, Log: slog.New(slog.NewTextHandler(log, nil))})
}
