package worker

import (
	"context"
	"errors"

	"itool/broker"
	"itool/stages"
)

// Tracer follows items: each try is a span of its own. ops/telemetry has one.
type Tracer interface {
	// Begin begins a try. parent is the traceparent of the item's message, which other programs write: it may be
	// "" or junk. The result's message carries the traceparent that Begin returns. end is called once.
	Begin(ctx context.Context, parent string, at Try) (traceparent string, end func(outcome string, err error))
}

// Try is one delivery of an item to a worker.
type Try struct {
	Run, Stage string
	Round      int
	Key        string
	Delivery   int // 1 for the first one
	Worker     string
}

// How a try ended.
const (
	OutcomeDone       = "done"        // there is a result: this try's, or an earlier one's
	OutcomeFailed     = "failed"      // it comes again, or was given up
	OutcomeRejected   = "rejected"    // no try can succeed
	OutcomeWaiting    = "waiting"     // it went back to its queue, and counts as no attempt
	OutcomeHandedBack = "handed back" // the worker ended, or the run
	OutcomeDropped    = "dropped"     // the message is no item, or its run was retired
)

// trace begins the span of a try and returns what ends it. Without a tracer results carry the traceparent of their
// item, so that those who trace elsewhere see one trace.
func (it *item) trace(ctx context.Context) (end func(context.Context, error)) {
	parent := it.d.Header["traceparent"]
	if it.w.Tracer == nil {
		it.traceparent = parent
		return func(context.Context, error) {}
	}
	var done func(string, error)
	it.traceparent, done = it.w.Tracer.Begin(ctx, parent, Try{
		Run: it.runName, Stage: it.spec.Name, Round: it.d.Round, Key: it.d.Key, Delivery: it.d.Deliveries(),
		Worker: it.w.Name,
	})
	return func(ctx context.Context, err error) { done(outcome(ctx, err), err) }
}

func outcome(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return OutcomeDone
	case ctx.Err() != nil:
		return OutcomeHandedBack
	case errors.As(err, new(*waitError)):
		return OutcomeWaiting
	case errors.Is(err, errForeign), errors.Is(err, broker.ErrNoRun):
		return OutcomeDropped
	case stages.IsReject(err):
		return OutcomeRejected
	}
	return OutcomeFailed
}
