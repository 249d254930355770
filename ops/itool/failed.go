package main

import (
	"context"
	"errors"
	"fmt"

	"itool/ops/line"
	"itool/ops/report"
	"itool/ops/site"
	"itool/schemas"
)

// failedCmd is `itool failed`.
type failedCmd struct {
	target
	RunName string `arg:"" name:"run" help:"Name of the run."`
	Requeue bool   `help:"${failed_requeue}"`
	JSON    bool   `name:"json" help:"Print one JSON object instead of text."`
}

func (c *failedCmd) Run(ctx context.Context, a *app) error {
	s, err := c.openRun(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	if c.Requeue {
		return c.requeue(ctx, a, s)
	}
	failed, err := report.Failures(ctx, s.Courier, c.RunName)
	if err != nil {
		return notYet(c.RunName, err)
	}
	refused, err := report.Refused(ctx, s.Courier, c.RunName)
	if err != nil {
		return err
	}
	if c.JSON {
		return printIndentedJSON(a.out, schemaFailed, failedItems{c.RunName, nonNil(failed), nonNil(refused)})
	}
	if len(failed) == 0 {
		fmt.Fprintf(a.out, "run %s: nothing failed\n", c.RunName)
	}
	for _, f := range refused {
		fmt.Fprintf(a.out, "refused: %s\n  %s\n  writer: %s\n"+
			"  what to do: mend that program; the item was done again\n",
			report.Plain(f.Subject), report.Plain(f.Error), report.Plain(f.Worker))
	}
	for _, f := range failed {
		fmt.Fprintf(a.out, "%s, round %d, item %s: %s after %d attempts\n  %s\n",
			report.Plain(f.Stage), f.Round, f.Key, report.Plain(f.Reason), f.Attempts, report.Plain(f.Error))
		fmt.Fprintf(a.out, "  task:   %s\n  worker: %s\n  what to do: %s\n",
			report.Plain(f.Subject), report.Plain(f.Worker), remedy(f))
	}
	return nil
}

// failedItems are what --json prints.
type failedItems struct {
	Run     string           `json:"run"`
	Failed  []report.Failure `json:"failed"`  // items that were given up
	Refused []report.Failure `json:"refused"` // invalid results, with their writers
}

// nonNil is a list that JSON writes as an array, also when it is empty.
func nonNil(all []report.Failure) []report.Failure { return append([]report.Failure{}, all...) }

// requeued is what --requeue --json prints.
type requeued struct {
	Run   string   `json:"run"`
	Items int      `json:"items"` // that are tried again
	Late  []string `json:"late"`  // whose round was closed without them: "stage round key"
}

// requeue lets the workers try again what was given up.
func (c *failedCmd) requeue(ctx context.Context, a *app, s *site.Site) error {
	done, err := line.Rows(nil).Requeue(ctx, s.Courier, c.RunName)
	var over *line.OverError
	if errors.As(err, &over) {
		return fmt.Errorf("run %s is over (%s): itool fork %s begins another run from one of its rounds",
			c.RunName, over.Status, c.RunName)
	}
	if err != nil {
		return notYet(c.RunName, err)
	}
	if c.JSON {
		late := append([]string{}, done.Late...) // an array, also when it is empty
		return printIndentedJSON(a.out, schemaRequeue, requeued{c.RunName, done.Items, late})
	}
	for _, item := range done.Late {
		fmt.Fprintf(a.out, "too late, since its round was closed without it: %s\n", report.Plain(item))
	}
	fmt.Fprintf(a.out, "run %s: %d items are tried again\n", c.RunName, done.Items)
	return nil
}

// remedy says what a person can do; the runbook says more.
func remedy(f report.Failure) string {
	if f.Reason == schemas.ReasonRejected {
		return "no retry cures this: mend the data or the setting that the error names " +
			"and start a new run under another name; if it was the worker's fault, mend that and give --requeue"
	}
	return "it failed on every attempt: mend the cause (memory, disk, a bug of the stage), then " +
		"itool failed RUN --requeue tries it again; to go on without such items, start a run with " +
		"--set line.quorum=0.99"
}
