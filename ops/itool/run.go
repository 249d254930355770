package main

import (
	"context"
	"path/filepath"

	"itool/ops/job"
)

// runCmd is `itool run`: everything in one process, resumable.
type runCmd struct {
	source
	Dir   string `placeholder:"DIR" help:"Folder for broker, store, adapter and report; default: itool-runs/NAME."`
	Slots int    `help:"Items in work at once; default: by the model's size and the memory."`
	JSON  bool   `name:"json" help:"Print one JSON object instead of tables."`

	Curves bool `help:"${run_curves}"`
	webOption
	engineFlags
}

func (c *runCmd) Run(ctx context.Context, a *app) error {
	name, err := c.runName()
	if err != nil {
		return err
	}
	files, cfg, cleanup, err := c.files()
	if err != nil {
		return err
	}
	defer cleanup()
	base, err := baseFolder(ctx, a, c.Base, nil)
	if err != nil {
		return err
	}
	dir := c.Dir
	if dir == "" {
		dir = filepath.Join(runsDir, name)
	}
	return wholeRun{
		Request: job.Request{Name: name, Base: base, BaseName: c.Base, Files: files, Config: cfg},
		dir:     dir, slots: c.Slots, json: c.JSON, curves: c.Curves, web: c.webOption, on: c.engineFlags,
		again: thisCommand(),
	}.do(ctx, a)
}
