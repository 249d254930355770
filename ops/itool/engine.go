package main

import (
	"context"
	"runtime"
	"time"

	"itool/ops/line"
	"itool/ops/worker"
	"itool/stages"
	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
)

// engine computes on all cores of this machine.
type engine struct {
	*policy.Engine
	device kernel.Device
}

func newEngine(a *app) (*engine, error) {
	d, err := newDevice(a)
	if err != nil {
		return nil, err
	}
	e, err := policy.NewEngine(policy.Options{Device: d})
	if err != nil {
		return nil, err
	}
	return &engine{e, d}, nil
}

// newDevice is what every verb computes with.
func newDevice(a *app) (kernel.Device, error) {
	d, err := cpu.New(cpu.Options{Level: a.kernels})
	if err != nil {
		return nil, coded(exitUsage, "--kernels, or ITOOL_KERNELS: %w", err)
	}
	return d, nil
}

// cores is how many items a worker holds at once unless told otherwise: trees that
// are decoded side by side keep all cores busy.
func cores() int { return runtime.GOMAXPROCS(0) }

// keeperInterval bounds how late a keeper is when a hint was lost.
const keeperInterval = 2 * time.Second

func newKeeper(a *app, s *site, name string, ackWait time.Duration) *line.Keeper {
	return &line.Keeper{Courier: s.Courier, Worker: name, AckWait: ackWait, Log: a.log}
}

func newWorker(a *app, s *site, name string, work []stages.Stage, slots int) *worker.Worker {
	return &worker.Worker{Courier: s.Courier, Stages: work, Name: name, Slots: slots, Log: a.log}
}

// until runs f with a context that ends when the returned stop is called; stop
// waits for f.
func until(ctx context.Context, f func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}
