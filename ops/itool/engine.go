package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"itool/ops/config"
	"itool/ops/device"
	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/remote"
)

// engine computes on one device: all cores of this machine, or a GPU.
type engine struct {
	*policy.Engine
	device kernel.Device
}

func newEngine(a *app) (*engine, error) { return newEngineOf(a, nil) }

// newEngineOf is an engine that asks servers for the runs that want it; nil: none.
func newEngineOf(a *app, servers *remote.Pool) (*engine, error) {
	d, err := newDevice(a)
	if err != nil {
		return nil, err
	}
	opt := policy.Options{Device: d}
	if servers != nil {
		opt.Servers = servers
	}
	e, err := policy.NewEngine(opt)
	if err != nil {
		return nil, err
	}
	return &engine{e, d}, nil
}

// engineFlags name servers of vLLM, SGLang, llama.cpp or `itool serve`.
type engineFlags struct {
	Engine         []string `placeholder:"URL" env:"ITOOL_ENGINE" help:"${engine_url}"`
	EngineKey      string   `placeholder:"KEY" env:"ITOOL_ENGINE_KEY" help:"${engine_key}"`
	EngineAdapters string   `placeholder:"DIR" env:"ITOOL_ENGINE_ADAPTERS" help:"${engine_adapters}"`
	EngineAtOnce   int      `default:"64" placeholder:"N" help:"Most requests at a time to each server."`
}

// pool is nil if there are no servers.
func (f engineFlags) pool(a *app) (*remote.Pool, error) {
	if len(f.Engine) == 0 {
		return nil, nil
	}
	here, there, _ := strings.Cut(f.EngineAdapters, "=")
	p, err := remote.New(remote.Options{
		Addresses: f.Engine, Key: f.EngineKey, Adapters: here, There: there, AtOnce: f.EngineAtOnce, Log: a.log,
	})
	if err != nil {
		return nil, coded(exitUsage, "--engine: %w", err)
	}
	return p, nil
}

// remoteSlots is how many items a worker has in work at once unless --slots says otherwise, if a server computes.
const remoteSlots = 16

// slots are those of --slots, or what suits an engine.
func (f engineFlags) slots(given int) int {
	if given == 0 && len(f.Engine) > 0 {
		return remoteSlots
	}
	return orCores(given)
}

// choose sets what computes in a run that begins here, and makes its engine. The servers must be of the kind that
// the configuration names, if it names one.
func (f engineFlags) choose(ctx context.Context, a *app, cfg *config.Config) (*engine, error) {
	pool, err := f.pool(a)
	if err != nil {
		return nil, err
	}
	if pool != nil {
		kind, err := pool.Kind(ctx)
		if err != nil {
			return nil, fmt.Errorf("--engine: %w", err)
		}
		if cfg.Engine.Kind != policy.Own && cfg.Engine.Kind != kind {
			return nil, coded(exitUsage, "--engine: the servers are %s, the configuration has engine.kind %s", kind,
				cfg.Engine.Kind)
		}
		cfg.Engine.Kind = kind
	}
	if pool == nil && cfg.Engine.Kind != policy.Own {
		return nil, coded(exitUsage, "engine.kind is %s: say with --engine URL where it is", cfg.Engine.Kind)
	}
	return newEngineOf(a, pool)
}

// newDevice is what every verb computes with: one device, however often it is asked for.
func newDevice(a *app) (kernel.Device, error) {
	if a.opened != nil {
		return a.opened, nil
	}
	d, err := device.Open(a.device, a.kernels)
	switch {
	case err == nil:
		if gpu, ok := d.(interface{ UseLibrary(on bool) error }); ok && a.library != "off" {
			if err := gpu.UseLibrary(true); err != nil {
				a.log.Debug("large products are computed without a library", "why", err)
			}
		}
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
