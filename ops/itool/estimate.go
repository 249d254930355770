package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"itool/ops/dataset"
	"itool/ops/estimate"
	"itool/ops/job"
	"itool/ops/report"
	"itool/ops/site"
	"itool/schemas"
)

// estimateCmd is `itool estimate`: what a run will take, from a pilot of it.
type estimateCmd struct {
	source
	Rows  int     `default:"128" help:"Training rows of the pilot."`
	Slots int     `help:"Items in work at once; default: the number of cores."`
	Price float64 `placeholder:"PER-HOUR" help:"Price of an hour of this machine: the cost is shown."`
	JSON  bool    `name:"json" help:"Print one JSON object instead of tables."`
}

func (c *estimateCmd) Run(ctx context.Context, a *app) error {
	if c.Rows < 8 {
		return coded(exitUsage, "--rows: %d is too few to learn anything from: 8 at least", c.Rows)
	}
	files, full, cleanup, err := c.files()
	if err != nil {
		return err
	}
	defer cleanup()
	total, err := dataset.CountRows(files)
	if err != nil {
		return err
	}
	if total == 0 {
		return fmt.Errorf("%s: no rows", strings.Join(c.Datasets, ", "))
	}
	base, err := baseFolder(ctx, a, c.Base, nil)
	if err != nil {
		return err
	}
	share := estimate.Share(c.Rows, total, full)
	if err := a.nameJudge(ctx, &full, true); err != nil {
		return err
	}
	r, took, err := c.pilot(ctx, a, job.Request{
		Name: "pilot", Base: base, Files: files, Config: estimate.Shrink(full, share),
	})
	if err != nil {
		return fmt.Errorf("the pilot: %w", err)
	}
	e := estimate.Scale(r, full, share, orCores(c.Slots))
	e.Pilot = estimate.Pilot{Share: share, Rows: r.Rows.Parts[schemas.PartTrain], Seconds: took.Seconds()}
	e.Bytes, e.Cost = estimate.PeakMemory(), c.Price*e.Seconds/3600
	if c.JSON {
		return printJSON(a.out, schemaEstimate, e)
	}
	return e.Text(a.out, c.Price > 0)
}

// pilot does the pilot in a temporary folder, which it removes.
func (c *estimateCmd) pilot(ctx context.Context, a *app, req job.Request) (*report.Report, time.Duration, error) {
	e, err := newEngine(a)
	if err != nil {
		return nil, 0, err
	}
	dir, err := os.MkdirTemp("", "itool-estimate-")
	if err != nil {
		return nil, 0, err
	}
	defer os.RemoveAll(dir)
	s, err := site.OpenFolder(ctx, filepath.Join(dir, "pilot"), site.AnyPort, a.log)
	if err != nil {
		return nil, 0, err
	}
	defer s.Close()
	j := newJob(a, s, e, req, orCores(c.Slots))
	start := time.Now()
	if err := j.Publish(ctx); err != nil {
		return nil, 0, err
	}
	end, err := j.Work(ctx)
	if ctx.Err() != nil {
		return nil, 0, coded(exitInterrupted, "interrupted")
	}
	if err != nil {
		return nil, 0, err
	}
	took := time.Since(start)
	r, err := report.Gather(ctx, s.Courier, j.Name)
	if err != nil {
		return nil, 0, err
	}
	if end.Stalled != "" {
		return nil, 0, fmt.Errorf("it stalled: %s", end.Stalled)
	}
	return r, took, verdict(j.Name, r.Status, r.Detail)
}
