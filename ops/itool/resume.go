package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"itool/broker"
	"itool/ops/config"
	"itool/ops/courier"
	"itool/ops/job"
	"itool/ops/site"
	"itool/schemas"
	"itool/storage/checkpoint"
)

// resumeCmd is `itool resume`: it goes on with a run whose command is not at hand.
type resumeCmd struct {
	RunName string `arg:"" name:"run" help:"Name of the run."`
	Dir     string `placeholder:"DIR" help:"${resume_dir}"`
	Slots   int    `help:"Items in work at once; default: by the model's size and the memory."`
	JSON    bool   `name:"json" help:"Print one JSON object instead of tables."`
	webOption
	engineFlags
}

func (c *resumeCmd) Run(ctx context.Context, a *app) error {
	dir := c.Dir
	if dir == "" {
		dir = cmp.Or(findLocal(runsDir, c.RunName), filepath.Join(runsDir, c.RunName))
	}
	if !site.HasRuns(dir) {
		return fmt.Errorf("%s holds no run%s: resume is for runs of `itool run` and `itool demo`; a published one "+
			"goes on as soon as there are workers: itool work all", dir, elsewhere(" (in ./"+runsDir+" there are: %s)"))
	}
	privateFiles()
	s, err := site.OpenFolder(ctx, dir, site.AnyPort, a.log)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("run %s is at work: itool watch %s --dir %s: %w", c.RunName, c.RunName, shellQuote(dir), err)
	}
	if err != nil {
		return err
	}
	defer s.Close()
	if err := mustExist(ctx, s.Courier, c.RunName); err != nil {
		return err
	}
	req, err := published(ctx, s.Courier, c.RunName)
	if err != nil {
		return err
	}
	e, err := c.engineFlags.choose(ctx, a, &req.Config)
	if err != nil {
		return err
	}
	into, err := resultDir(ctx, s.Courier, dir, c.RunName)
	if err != nil {
		return err
	}
	w := wholeRun{
		Request: req, dir: into, slots: c.Slots, json: c.JSON, web: c.webOption, on: c.engineFlags,
		again: shellLine("itool", "resume", c.RunName, "--dir", dir),
	}
	w.announce(ctx, a, e, false)
	return w.work(ctx, a, newJob(a, s, e, w.Request, orCores(w.slots)))
}

// resultDir is where the report and the adapter of a run in a folder go: into the folder, or into one of
// their own if it is a fork of the folder's run, whose results must stay.
func resultDir(ctx context.Context, c *courier.Courier, dir, run string) (string, error) {
	for m, err := range c.Broker.Started(ctx) {
		if err != nil || m.Run == run {
			return dir, err
		}
		break
	}
	dir = filepath.Join(dir, run)
	return dir, os.MkdirAll(dir, 0o700)
}

// published is the request of a run that goes on: its base and its settings, without its files, which are
// in the store. A run that has failed or was cancelled is an error.
func published(ctx context.Context, c *courier.Courier, name string) (req job.Request, err error) {
	end, err := c.End(ctx, name)
	switch {
	case err == nil && end.Status != schemas.StatusDone && end.Status != schemas.StatusGuard:
		return req, coded(exitFailed, "run %s is over (%s): itool fork %s begins another run from one of its rounds",
			name, end.Status, name)
	case err != nil && !errors.Is(err, broker.ErrNotExist) && !errors.Is(err, broker.ErrNoRun):
		return req, err
	}
	run, err := c.StartedAs(ctx, name)
	if err != nil {
		return req, err
	}
	req = job.Request{Name: name, Config: config.Default()}
	if err := json.Unmarshal([]byte(run.Config), &req.Config); err != nil {
		return req, fmt.Errorf("configuration of run %s: %w", name, err)
	}
	req.Base, _, err = checkpoint.Open(ctx, c.Store, courier.Checkpoints, run.Base)
	if err != nil {
		return req, fmt.Errorf("base of run %s: %w", name, err)
	}
	return req, nil
}
