package main

import (
	"context"
	"fmt"
	"time"

	"itool/ops/gc"
	"itool/ops/line"
	"itool/ops/report"
)

// gcCmd is `itool gc`.
type gcCmd struct {
	target
	OlderThan time.Duration `default:"24h" help:"Spare objects that are younger: a run may be about to name them."`
	Delete    bool          `help:"Delete them, instead of saying what there is."`
}

func (c *gcCmd) Run(ctx context.Context, a *app) error {
	s, err := c.open(ctx, a, "")
	if err != nil {
		return err
	}
	defer s.Close()
	w, err := gc.Find(ctx, s.Courier, gc.Options{OlderThan: c.OlderThan, Now: time.Now()})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "runs need %d objects; %d belong to no run (%s); %d of no run are younger than %s and spared\n",
		w.Needed, len(w.Objects), line.Size(w.Bytes), w.Young, c.OlderThan)
	if a.verbose {
		for _, o := range w.Objects {
			fmt.Fprintf(a.out, "  %s  %s\n", o.Key, line.Size(o.Size))
		}
	}
	if !c.Delete {
		if len(w.Objects) > 0 {
			fmt.Fprintln(a.out, "--delete removes what belongs to no run, -v lists it")
		}
		return nil
	}
	n, err := w.Delete(ctx, s.Courier)
	fmt.Fprintf(a.out, "%d objects were deleted\n", n)
	return err
}

// fsckCmd is `itool fsck`.
type fsckCmd struct {
	target
	Deep bool `help:"Read every object and compare its digest, instead of looking whether it is there."`
}

func (c *fsckCmd) Run(ctx context.Context, a *app) error {
	s, err := c.open(ctx, a, "")
	if err != nil {
		return err
	}
	defer s.Close()
	lost := 0
	checked, err := gc.Check(ctx, s.Courier, c.Deep, func(m gc.Missing) {
		lost++
		fmt.Fprintf(a.out, "run %s: %s: %s: %s\n", m.Run, report.Plain(m.What), report.Plain(m.Key),
			report.Plain(m.Err.Error()))
	})
	if err != nil {
		return err
	}
	if lost > 0 {
		return fmt.Errorf("%d objects are missing or damaged, %d were checked: bring them back from a backup of the "+
			"store; items that need them wait until then", lost, checked)
	}
	fmt.Fprintf(a.out, "all %d objects that the runs need are there\n", checked)
	return nil
}
