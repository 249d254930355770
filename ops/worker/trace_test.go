package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"itool/ops/worker"
	"itool/schemas"
	"itool/stages"
)

// tracer notes what a worker traces.
type tracer struct {
	mu    sync.Mutex
	tries []string
}

const ofTask = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func (r *tracer) Begin(_ context.Context, parent string, at worker.Try) (string, func(string, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.tries)
	r.tries = append(r.tries, "")
	traceparent := fmt.Sprintf("00-0af7651916cd43dd8448eb211c80319c-000000000000000%d-01", n+1)
	return traceparent, func(outcome string, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tries[n] = fmt.Sprintf("%t %s.%d.%s %d: %s, %v", parent == ofTask, at.Stage, at.Round, at.Key, at.Delivery,
			outcome, err)
	}
}

// TestEachTryIsTraced: an item that fails once is traced twice, under the traceparent of its task, and its result
// carries that of the second try. Without a tracer the result carries the task's.
func TestEachTryIsTraced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	task := func(key string) {
		h := schemas.Header{Run: run, Round: 2, Key: key, Seed: 7, Config: "cfg", Traceparent: ofTask}
		b, err := schemas.Encode(h, []schemas.Score{{ExampleID: "e"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.c.Publish(t.Context(), "root", b, nil); err != nil {
			t.Fatal(err)
		}
	}
	var tries atomic.Int64
	stage := doer{perItem, func(ctx context.Context, in stages.Input, out stages.Output) error {
		if tries.Add(1) == 1 {
			return errors.New("once")
		}
		return echo(ctx, in, out)
	}}
	r := &tracer{}
	stop := w.startTraced(r, stage)
	task("k")
	if _, h := await[schemas.Score](w, "candidate", 2, "k"); h.Traceparent[36:52] != "0000000000000002" {
		t.Errorf("the result carries %s, want that of the second try", h.Traceparent)
	}
	stop()
	want := []string{"true expand.2.k 1: failed, once", "true expand.2.k 2: done, <nil>"}
	if !slices.Equal(r.tries, want) {
		t.Errorf("got %q, want %q", r.tries, want)
	}
	task("l")
	w.startTraced(nil, stage)
	if _, h := await[schemas.Score](w, "candidate", 2, "l"); h.Traceparent != ofTask {
		t.Errorf("untraced, the result carries %q, want that of its task", h.Traceparent)
	}
}

// startTraced runs a worker with a tracer.
func (w *world) startTraced(r worker.Tracer, s ...stages.Stage) (stop func()) {
	w.t.Helper()
	return w.runAs(&worker.Worker{Tracer: r, Slots: 1, Stages: s})
}

// runAs runs a worker of some settings until the test ends or stop is called.
func (w *world) runAs(wk *worker.Worker) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wk.Courier, wk.Name, wk.AckWait, wk.RetryPause = w.c, "w", 2*time.Second, 50*time.Millisecond
	if wk.Log == nil {
		wk.Log = slog.New(slog.DiscardHandler)
	}
	wg.Go(func() {
		if err := wk.Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	w.t.Cleanup(stop)
	return stop
}
