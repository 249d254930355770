package main

import (
	"context"
	"errors"
	"fmt"

	"itool/broker"
	"itool/ops/job"
	"itool/ops/line"
	"itool/ops/progress"
	"itool/ops/retire"
)

// watchCmd is `itool watch`: it shows the progress of a run until the run ends.
type watchCmd struct {
	target
	RunName string `arg:"" name:"run" help:"Name of the run."`
}

func (c *watchCmd) Run(ctx context.Context, a *app) error {
	s, err := c.openRun(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	display := a.display()
	display.Warn = true
	stop := job.Until(ctx, func(ctx context.Context) error {
		return progress.Follow(ctx, s.Courier, c.RunName, display)
	})
	end, err := progress.AwaitEnd(ctx, s.Courier, c.RunName)
	if followErr := stop(); err == nil {
		err = followErr
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "run %s: %s\nsee what it gained: itool report %s\n", c.RunName, end.Status, c.RunName)
	return verdict(c.RunName, end.Status, end.Detail)
}

// runsCmd is `itool runs`: it lists all runs, one a line, and how far each is.
type runsCmd struct{ target }

func (c *runsCmd) Run(ctx context.Context, a *app) error {
	s, err := c.open(ctx, a, "")
	if err != nil {
		return err
	}
	defer s.Close()
	waits, err := s.Waiting(ctx)
	if err != nil {
		return err
	}
	n, started := 0, map[string]bool{}
	for m, err := range s.Broker.Started(ctx) {
		if err != nil {
			return err
		}
		n++
		started[m.Run] = true
		view, err := line.Rows(nil).Look(ctx, s.Courier, m.Run)
		switch {
		case errors.Is(err, broker.ErrNoRun):
			fmt.Fprintf(a.out, "%-32s published, no keeper has opened it yet\n", m.Run)
		case err != nil:
			return err
		case view.End != nil:
			fmt.Fprintf(a.out, "%-32s %s\n", m.Run, view.End.Status)
		default:
			state, why := "running", progress.Waits(waits, m.Run)
			if len(why) > 0 {
				state = "waiting"
			}
			fmt.Fprintf(a.out, "%-32s %s: %s%s\n", m.Run, state, where(view), failures(view))
			for _, w := range why {
				fmt.Fprintf(a.out, "%-32s %s\n", "", w)
			}
		}
	}
	retired, err := retire.List(ctx, s.Courier)
	if err != nil {
		return err
	}
	for _, run := range retired {
		if n++; !started[run] {
			fmt.Fprintf(a.out, "%-32s retired\n", run)
		}
	}
	if n == 0 {
		fmt.Fprintln(a.out, "no runs")
	}
	return nil
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
