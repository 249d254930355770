package main

import (
	"runtime"

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

// orCores is the number of items in work at once: as many as asked for, else one for each
// core. Trees that are decoded in parallel keep all cores busy.
func orCores(slots int) int {
	if slots > 0 {
		return slots
	}
	return runtime.GOMAXPROCS(0)
}
