package main

import (
	"context"
	"fmt"

	"itool/ops/job"
)

// publishCmd is `itool publish`: it starts a run for workers elsewhere.
type publishCmd struct {
	source
	target
}

func (c *publishCmd) Run(ctx context.Context, a *app) error {
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
	if err := s.Broker.EnsureReplicas(ctx); err != nil {
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
	name := c.runName()
	req := job.Request{Name: name, Base: base, BaseName: c.Base, Files: files, Config: cfg}
	published := a.tracePublish(ctx, &req)
	err = job.Publish(ctx, s.Courier, e.Engine, req)
	published(err)
	if err != nil {
		return err
	}
	if err := sayDatasets(ctx, a.out, s.Courier, name); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "published run %s\nwatch it with: itool watch %s%s\n", name, name, c.flags())
	return nil
}
