package main

import (
	"context"
	"io"

	"itool/ops/export"
	"itool/ops/inspect"
)

// traceCmd is `itool trace`.
type traceCmd struct {
	target
	RunName string `arg:"" name:"run" help:"Name of the run."`
	What    string `arg:"" help:"${trace_what}"`
	Limit   int    `default:"20" help:"Most pairs of a policy to print; 0: all. --json has all."`
	JSON    bool   `name:"json" help:"Print JSON instead of text."`
}

func (c *traceCmd) Run(ctx context.Context, a *app) error {
	what := c.What
	if o, ok, err := export.ReadOrigin(c.What); err != nil {
		return err
	} else if ok {
		if o.Run != c.RunName {
			return coded(exitUsage, "the adapter in %s comes from run %s: itool trace %s %s",
				c.What, o.Run, o.Run, c.What)
		}
		what = o.Digest
	}
	s, r, err := c.inspected(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	trace, err := r.Trace(ctx, what)
	if err != nil {
		return err
	}
	return show(a, c.JSON, trace, func(w io.Writer, style inspect.Style) error { return trace.Text(w, style, c.Limit) })
}
