package main

import (
	"context"

	"itool/ops/job"
)

// publishCmd is `itool publish`: it starts a run for workers elsewhere.
type publishCmd struct {
	source
	target
	jsonOption
}

// announced is what --json prints.
type announced struct {
	Run   string `json:"run"`
	Watch string `json:"watch"` // the command that watches it
}

func (c *publishCmd) Run(ctx context.Context, a *app) error {
	name, err := c.runName()
	if err != nil {
		return err
	}
	files, cfg, cleanup, err := c.files()
	if err != nil {
		return err
	}
	defer cleanup()
	if err := a.nameJudge(ctx, &cfg, false); err != nil {
		return err
	}
	s, err := c.open(ctx, a, "")
	if err != nil {
		return err
	}
	defer s.Close()
	if err := ensureReplicas(ctx, a, s.Broker); err != nil {
		return err
	}
	e, err := newEngine(a)
	if err != nil {
		return err
	}
	base, err := baseFolder(ctx, a, c.Base, s.Courier)
	if err != nil {
		return err
	}
	req := job.Request{Name: name, Base: base, BaseName: c.Base, Files: files, Config: cfg}
	published := a.tracePublish(ctx, &req)
	err = job.Publish(ctx, s.Courier, e.Engine, req)
	published(err)
	if err != nil {
		return err
	}
	if err := sayDatasets(ctx, c.remarks(a), s.Courier, name); err != nil {
		return err
	}
	watch := "itool watch " + name + c.flags()
	return c.print(a, schemaPublish, announced{name, watch}, "published run %s\nwatch it with: %s\n", name, watch)
}
