package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"itool/ops/base"
	"itool/ops/courier"
	"itool/ops/demo"
)

// findBase is the folder of a model that flag names: a folder, a GGUF file, or a run. c is a
// place that may have the run; nil: none but the local folders.
func findBase(ctx context.Context, a *app, flag, name string, c *courier.Courier) (string, error) {
	d, err := newDevice(a)
	if err != nil {
		return "", err
	}
	dir, err := base.Finder{
		Runs: runsDir, Courier: c, Cache: a.cache, Device: d, Log: a.log,
		Say: a.say,
	}.Find(ctx, name)
	if _, ok := errors.AsType[*base.NotFoundError](err); ok {
		return "", coded(exitUsage, "%s %w", flag, err)
	}
	if err != nil {
		return "", fmt.Errorf("%s %w", flag, err)
	}
	return dir, nil
}

// baseFolder opens the model that --base names, or the demo's.
func baseFolder(ctx context.Context, a *app, name string, c *courier.Courier) (fs.FS, error) {
	if name == "" {
		a.say("no --base: the demo's small model is used; it knows a made-up world, so expect next to nothing of it " +
			"on real data")
		return demo.Base(), nil
	}
	dir, err := findBase(ctx, a, "--base", name, c)
	if err != nil {
		return nil, err
	}
	return os.DirFS(dir), nil
}
