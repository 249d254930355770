package main

import (
	"context"
	"os"

	"itool/ops/job"
	"itool/ops/worker"
)

// workersTracer is the tracer as a worker takes it: nil if nothing is traced.
func (a *app) workersTracer() worker.Tracer {
	if a.tracer == nil {
		return nil
	}
	return a.tracer
}

// tracePublish begins the span of publishing a run, under that of the program that started this one, if it has set
// TRACEPARENT as such programs do.
func (a *app) tracePublish(ctx context.Context, req *job.Request) (end func(error)) {
	req.Traceparent, end = a.tracer.Publish(ctx, req.Name, os.Getenv("TRACEPARENT"))
	return end
}
