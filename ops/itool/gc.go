package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"itool/ops/courier"
	"itool/ops/gc"
	"itool/ops/line"
	"itool/ops/report"
)

// gcCmd is `itool gc`.
type gcCmd struct {
	target
	OlderThan time.Duration `default:"24h" help:"Spare objects that are younger: a run may be about to name them."`
	Delete    bool          `help:"Delete them, instead of saying what there is."`
	jsonOption
}

// collected is what --json prints.
type collected struct {
	Needed  int      `json:"needed"`  // objects that runs need
	Waste   int      `json:"waste"`   // objects that belong to no run
	Bytes   int64    `json:"bytes"`   // of them
	Young   int      `json:"young"`   // of no run, but spared
	Deleted int      `json:"deleted"` // with --delete
	Keys    []string `json:"keys"`    // of the waste, sorted
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
	if c.JSON {
		return c.collect(ctx, a, s.Courier, w)
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

// collect does the work for --json, which also says how far a deletion came that ended in an error.
func (c *gcCmd) collect(ctx context.Context, a *app, at *courier.Courier, w gc.Waste) error {
	done := collected{Needed: w.Needed, Waste: len(w.Objects), Bytes: w.Bytes, Young: w.Young, Keys: []string{}}
	for _, o := range w.Objects {
		done.Keys = append(done.Keys, o.Key)
	}
	var err error
	if c.Delete {
		done.Deleted, err = w.Delete(ctx, at)
	}
	return errors.Join(err, printJSON(a.out, schemaGC, done))
}

// fsckCmd is `itool fsck`.
type fsckCmd struct {
	target
	Deep bool `help:"Read every object and compare its digest, instead of looking whether it is there."`
	jsonOption
}

// checked is what --json prints, also when something is missing.
type checked struct {
	Deep    bool         `json:"deep"`
	Checked int          `json:"checked"` // objects
	Missing []lostObject `json:"missing"` // or damaged
}

type lostObject struct {
	Run   string `json:"run"`
	What  string `json:"what"` // the record that names it
	Key   string `json:"key"`
	Error string `json:"error"`
}

func (c *fsckCmd) Run(ctx context.Context, a *app) error {
	s, err := c.open(ctx, a, "")
	if err != nil {
		return err
	}
	defer s.Close()
	done := checked{Deep: c.Deep, Missing: []lostObject{}}
	done.Checked, err = gc.Check(ctx, s.Courier, c.Deep, func(m gc.Missing) {
		o := lostObject{m.Run, report.Plain(m.What), report.Plain(m.Key), report.Plain(m.Err.Error())}
		done.Missing = append(done.Missing, o)
		if !c.JSON {
			fmt.Fprintf(a.out, "run %s: %s: %s: %s\n", o.Run, o.What, o.Key, o.Error)
		}
	})
	if err != nil {
		return err
	}
	if lost := len(done.Missing); lost > 0 {
		return errors.Join(c.print(a, schemaFsck, done, ""), fmt.Errorf("%d objects are missing or damaged, %d were "+
			"checked: bring them back from a backup of the store; items that need them wait until then",
			lost, done.Checked))
	}
	return c.print(a, schemaFsck, done, "all %d objects that the runs need are there\n", done.Checked)
}
