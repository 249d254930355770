package main

import (
	"context"
	"fmt"

	"itool/ops/line"
)

// cancelCmd is `itool cancel`.
type cancelCmd struct {
	target
	RunName string `arg:"" name:"run" help:"Name of the run."`
}

func (c *cancelCmd) Run(ctx context.Context, a *app) error {
	s, err := c.openRun(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := line.Cancel(ctx, s.Courier, c.RunName); err != nil {
		return notYet(c.RunName, err)
	}
	fmt.Fprintf(a.out, "run %s is cancelled; its workers stop within a heartbeat\n", c.RunName)
	return nil
}
