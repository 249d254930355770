package main

import (
	"context"
	"errors"
	"fmt"

	"itool/ops/line"
	"itool/schemas"
)

// cancelCmd is `itool cancel`.
type cancelCmd struct {
	target
	RunName string `arg:"" name:"run" help:"Name of the run."`
	jsonOption
}

// cancelled is what --json prints.
type cancelled struct {
	Run    string `json:"run"`
	Before bool   `json:"before"` // it was cancelled already
}

func (c *cancelCmd) Run(ctx context.Context, a *app) error {
	s, err := c.openRun(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	err = line.Cancel(ctx, s.Courier, c.RunName)
	var over *line.OverError
	switch {
	case errors.As(err, &over) && over.Status == schemas.StatusCancelled:
		return c.print(a, schemaCancel, cancelled{c.RunName, true}, "run %s was cancelled before\n", c.RunName)
	case errors.As(err, &over):
		return fmt.Errorf("run %s is over (%s): nothing was cancelled", c.RunName, over.Status)
	case err != nil:
		return notYet(c.RunName, err)
	}
	return c.print(a, schemaCancel, cancelled{c.RunName, false},
		"run %s is cancelled; its workers stop within a heartbeat\n", c.RunName)
}
