package main

import (
	"runtime"

	"itool/ops/device"
	"itool/stages/policy"
	"itool/stages/policy/kernel"
)

// engine computes on one device: all cores of this machine, or a GPU.
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

// newDevice is what every verb computes with: one device, however often it is asked for.
func newDevice(a *app) (kernel.Device, error) {
	if a.opened != nil {
		return a.opened, nil
	}
	d, err := device.Open(a.device, a.kernels)
	switch {
	case err == nil:
		a.opened = d
		return d, nil
	case a.device != "" && a.device != "cpu":
		return nil, coded(exitUsage, "--device, or ITOOL_DEVICE: %w", err)
	}
	return nil, coded(exitUsage, "--kernels, or ITOOL_KERNELS: %w", err)
}

// orCores is the number of items in work at once: as many as asked for, else one for each
// core. Trees that are decoded in parallel keep all cores busy.
func orCores(slots int) int {
	if slots > 0 {
		return slots
	}
	return runtime.GOMAXPROCS(0)
}
