package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/schemas"
)

// watchCmd is `itool watch`.
type watchCmd struct {
	target
	RunName string `arg:"" name:"run" help:"Name of the run."`
}

func (c *watchCmd) Run(ctx context.Context, a *app) error {
	s, err := c.open(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.close()
	if err := mustExist(ctx, s.Courier, c.RunName); err != nil {
		return err
	}
	stop := until(ctx, func(ctx context.Context) error { return follow(ctx, a, s.Courier, c.RunName) })
	end, err := awaitEnd(ctx, s.Courier, c.RunName)
	if shown := stop(); err == nil {
		err = shown
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "run %s: %s\nsee what it gained: itool report %s\n", c.RunName, end.Status, c.RunName)
	return verdict(c.RunName, end.Status, end.Detail)
}

// awaitEnd waits for the end record.
func awaitEnd(ctx context.Context, c *courier.Courier, run string) (schemas.End, error) {
	for {
		rows, _, err := courier.Rows[schemas.End](ctx, c, run, schemas.RecordEnd, 0, schemas.KeyEnd)
		if err == nil && len(rows) == 1 {
			return rows[0], nil
		}
		if err != nil && !errors.Is(err, broker.ErrNotExist) && !errors.Is(err, broker.ErrNoRun) && !errors.Is(err, broker.ErrUnavailable) {
			return schemas.End{}, err
		}
		select {
		case <-ctx.Done():
			return schemas.End{}, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// runsCmd is `itool runs`.
type runsCmd struct{ target }

func (c *runsCmd) Run(ctx context.Context, a *app) error {
	s, err := c.open(ctx, a, "")
	if err != nil {
		return err
	}
	defer s.close()
	n := 0
	for m, err := range s.Broker.Started(ctx) {
		if err != nil {
			return err
		}
		n++
		v, err := line.Rows(nil).Look(ctx, s.Courier, m.Run)
		switch {
		case errors.Is(err, broker.ErrNoRun):
			fmt.Fprintf(a.out, "%-32s published, no keeper has opened it yet\n", m.Run)
		case err != nil:
			return err
		case v.End != nil:
			fmt.Fprintf(a.out, "%-32s %s\n", m.Run, v.End.Status)
		default:
			fmt.Fprintf(a.out, "%-32s running: %s%s\n", m.Run, where(v), failures(v))
		}
	}
	if n == 0 {
		fmt.Fprintln(a.out, "no runs")
	}
	return nil
}

func where(v line.View) string {
	for i := len(v.Rounds) - 1; i >= 0; i-- {
		if r := v.Rounds[i]; !r.Gathered {
			return fmt.Sprintf("%s %d/%d", work(r), r.Done, r.Total)
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
