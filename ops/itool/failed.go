package main

import (
	"context"
	"fmt"

	"itool/ops/report"
	"itool/schemas"
)

// failedCmd is `itool failed`.
type failedCmd struct {
	target
	RunName string `arg:"" name:"run" help:"Name of the run."`
}

func (c *failedCmd) Run(ctx context.Context, a *app) error {
	s, err := c.openRun(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	failed, err := report.Failures(ctx, s.Courier, c.RunName)
	if err != nil {
		return notYet(c.RunName, err)
	}
	if len(failed) == 0 {
		fmt.Fprintf(a.out, "run %s: nothing failed\n", c.RunName)
	}
	for _, f := range failed {
		fmt.Fprintf(a.out, "%s, round %d, item %s: %s after %d attempts\n  %s\n",
			report.Plain(f.Stage), f.Round, f.Key, report.Plain(f.Reason), f.Attempts, report.Plain(f.Error))
		fmt.Fprintf(a.out, "  task:   %s\n  worker: %s\n  what to do: %s\n",
			report.Plain(f.Subject), report.Plain(f.Worker), remedy(f))
	}
	return nil
}

// remedy says what a person can do; the runbook says more.
func remedy(f report.Failure) string {
	if f.Reason == schemas.ReasonRejected {
		return "no retry cures this: mend the data or the setting that the error names " +
			"and start a new run under another name"
	}
	return "it failed on every attempt: mend the cause (memory, disk, a bug of the stage) and start a new run; " +
		"to go on without such items, start it with --set line.quorum=0.99"
}
