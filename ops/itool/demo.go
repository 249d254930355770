package main

import (
	"context"
	"os"
	"path/filepath"

	"itool/ops/config"
	"itool/ops/demo"
	"itool/ops/job"
)

// demoCmd is `itool demo`: a run of the demo's own dataset, base and configuration.
type demoCmd struct {
	Quick bool     `help:"Smaller in everything: under a minute."`
	JSON  bool     `name:"json" help:"Print one JSON object as the last line instead of tables."`
	Dir   string   `placeholder:"DIR" help:"${demo_dir}"`
	Set   []string `sep:"none" placeholder:"KEY=VALUE" help:"One setting, such as line.rounds=1. Repeatable."`
	Slots int      `help:"Items in work at once; default: by the model's size and the memory."`
	webOption
	engineFlags
}

func (c *demoCmd) Run(ctx context.Context, a *app) error {
	cfg, err := config.Load(demo.Config(c.Quick), "", c.Set)
	if err != nil {
		return err
	}
	name := "demo"
	if c.Quick {
		name = "demo-quick"
	}
	dir := c.Dir
	if dir == "" {
		dir = filepath.Join(runsDir, name)
	}
	files, cleanup, err := demoFiles(c.Quick)
	if err != nil {
		return err
	}
	defer cleanup()
	return wholeRun{
		Request: job.Request{Name: name, Base: demo.Base(), Files: files, Config: cfg},
		dir:     dir, slots: c.Slots, json: c.JSON, web: c.webOption, on: c.engineFlags,
		again: thisCommand(),
	}.do(ctx, a)
}

// demoFiles writes the demo's dataset into a temporary folder, which cleanup removes.
func demoFiles(quick bool) (files []string, cleanup func(), err error) {
	dataset, err := demo.Dataset(quick)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "itool-demo-")
	if err != nil {
		return nil, nil, err
	}
	cleanup = func() { os.RemoveAll(dir) }
	for _, f := range dataset {
		file := filepath.Join(dir, f.Name)
		if err := os.WriteFile(file, f.Data, 0o600); err != nil {
			cleanup()
			return nil, nil, err
		}
		files = append(files, file)
	}
	return files, cleanup, nil
}
