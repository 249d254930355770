package job

import (
	"context"
	"errors"
	"log/slog"

	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/worker"
	"itool/stages/policy"
)

// Local is a keeper of all runs and a worker of all stages, in this process.
type Local struct {
	Courier *courier.Courier
	Engine  *policy.Engine
	Worker  string // the name that records carry
	Slots   int    // items in work at once, ≥ 1
	Log     *slog.Logger
	Judge   worker.Judge  // of runs that name one; nil: none
	Tracer  worker.Tracer // follows items; nil: nothing does
}

func (l Local) newWorker() *worker.Worker {
	w := NewWorker(l.Courier, l.Worker, line.Stages(l.Engine), l.Slots, l.Log)
	w.AckWait, w.Judge, w.Tracer = AckWait, l.Judge, l.Tracer
	return w
}

// During runs keeper and worker while f runs and stops them when f returns. onState hears
// of every step of the keeper. When keeper or worker fails, the context of f ends, and
// During returns their error.
func (l Local) During(ctx context.Context, onState func(line.State), f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := l.newWorker()
	run := func(part func(context.Context) error) (stop func() error) {
		return Until(ctx, func(ctx context.Context) error {
			err := part(ctx)
			cancel(err)
			return err
		})
	}
	stopKeeper := run(func(ctx context.Context) error {
		return NewKeeper(l.Courier, l.Worker, AckWait, l.Log).Run(ctx, KeeperInterval, onState)
	})
	stopWorker := run(w.Run)
	err := f(ctx)
	if errors.Is(err, context.Canceled) && context.Cause(ctx) != nil {
		err = context.Cause(ctx) // keeper or worker failed
	}
	cancel(nil)
	for _, stop := range []func() error{stopKeeper, stopWorker} {
		if stopped := stop(); stopped != nil && !errors.Is(stopped, context.Canceled) && !errors.Is(err, stopped) {
			err = errors.Join(err, stopped)
		}
	}
	return err
}
