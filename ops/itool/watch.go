package main

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"itool/ops/courier"
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
	Web      webAddress    `placeholder:"HOST:PORT" help:"${watch_web}"`
	JSON     bool          `name:"json" help:"${watch_json}"`
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
	stop := job.Until(ctx, func(ctx context.Context) error {
		if c.JSON {
			return c.follow(ctx, a, s.Courier)
		}
		display := a.display()
		display.Warn = true
		return progress.Follow(ctx, s.Courier, c.RunName, display)
	})
	end, err := progress.Await(ctx, s.Courier, c.RunName, c.Patience)
	if followErr := stop(); err == nil {
		err = followErr
	}
	if err != nil {
		return err
	}
	if c.JSON {
		last, err := statusOf(ctx, s.Courier, c.RunName, nil, line.View{})
		if err != nil {
			return err
		}
		last.Status, last.Detail = end.Status, end.Detail // also of one that is stalled
		if err := printJSON(a.out, schemaWatch, last); err != nil {
			return err
		}
		return verdict(c.RunName, end.Status, end.Detail)
	}
	fmt.Fprintf(a.out, "run %s: %s\nsee what it gained: itool report %s\n", c.RunName, end.Status, c.RunName)
	return verdict(c.RunName, end.Status, end.Detail)
}

// follow prints where the run stands, as a line of JSON, whenever that has changed, until the run ends or ctx does.
// The line of its end is left to the caller.
func (c *watchCmd) follow(ctx context.Context, a *app, at *courier.Courier) error {
	var before runStatus
	for ctx.Err() == nil {
		start := time.Now()
		waits, err := at.Waiting(ctx)
		now := runStatus{}
		if err == nil {
			now, err = statusOf(ctx, at, c.RunName, waits, before.view)
		}
		switch {
		case err != nil && ctx.Err() != nil: // it is over
		case err != nil:
			a.log.Warn("look at the run; trying again", "error", err)
		case now.view.End != nil:
			return nil
		default:
			seen := before
			before = now
			now.view, seen.view = line.View{}, line.View{}
			if reflect.DeepEqual(now, seen) {
				break
			}
			if err := printJSON(a.out, schemaWatch, now); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		// A look costs the broker more, the more records there are: use a tenth of the time.
		case <-time.After(max(2*time.Second, 10*time.Since(start))):
		}
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
