package main

import (
	"context"
	"fmt"
	"time"

	"itool/ops/job"
	"itool/ops/line"
	"itool/ops/progress"
	"itool/ops/ui"
)

// watchCmd is `itool watch`: it shows the progress of a run until the run ends.
type watchCmd struct {
	target
	RunName  string        `arg:"" name:"run" help:"Name of the run."`
	Patience time.Duration `default:"30m" help:"${watch_patience}"`
	Web      string        `placeholder:"HOST:PORT" help:"${watch_web}"`
}

func (c *watchCmd) Run(ctx context.Context, a *app) error {
	s, err := c.openRun(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	if c.Web != "" {
		defer webOption{c.Web}.beside(a, a.errs, ui.Of(s.Courier), c.RunName, c.flags())()
	}
	display := a.display()
	display.Warn = true
	stop := job.Until(ctx, func(ctx context.Context) error {
		return progress.Follow(ctx, s.Courier, c.RunName, display)
	})
	end, err := progress.Await(ctx, s.Courier, c.RunName, c.Patience)
	if followErr := stop(); err == nil {
		err = followErr
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "run %s: %s\nsee what it gained: itool report %s\n", c.RunName, end.Status, c.RunName)
	return verdict(c.RunName, end.Status, end.Detail)
}

// where names the last round that is still open, with its items that are done.
func where(v line.View) string {
	for i := len(v.Rounds) - 1; i >= 0; i-- {
		if r := v.Rounds[i]; !r.Gathered {
			return progress.Work(r) + " " + progress.Count(r)
		}
	}
	return "between rounds"
}

func failures(v line.View) string {
	if v.Failed == 0 {
		return ""
	}
	return fmt.Sprintf(", %d items failed", v.Failed)
}
