package main

import (
	"context"
	"fmt"

	"itool/broker"
	"itool/schemas"
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
	// Only the mark counts; its body is empty.
	if _, err := s.Broker.Publish(ctx, broker.Address{Run: c.RunName, Record: schemas.RecordCancel, Key: schemas.KeyCancel}, nil, nil); err != nil {
		return notYet(c.RunName, err)
	}
	_ = s.Broker.Announce(ctx, broker.Hint, c.RunName, nil) // else the keeper sees it at its next turn
	fmt.Fprintf(a.out, "run %s is cancelled; its workers stop within a heartbeat\n", c.RunName)
	return nil
}
