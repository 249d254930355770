package main

import (
	"context"
	"fmt"
	"io"

	"itool/ops/ui"
	"itool/ops/whole"
)

// reportCmd is `itool report`.
type reportCmd struct {
	target
	overwriting
	RunName string `arg:"" name:"run" help:"Name of the run."`
	HTML    string `name:"html" placeholder:"FILE" help:"Write one self-contained page as well."`
	Full    bool   `help:"${report_full}"`
	Errors  bool   `help:"${report_errors}"`
	JSON    bool   `name:"json" help:"Print everything as JSON instead of tables."`
}

func (c *reportCmd) Run(ctx context.Context, a *app) error {
	if c.Errors {
		return c.errors(ctx, a)
	}
	if err := c.check(c.HTML); err != nil {
		return err
	}
	s, r, retired, err := c.reported(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	if c.HTML != "" {
		records := s.Courier
		if retired != nil {
			records = nil // its records are gone
		}
		freeze := func(w io.Writer) error { return ui.Freeze(ctx, w, r, records) }
		if err := whole.File(c.HTML, freeze); err != nil {
			return err
		}
		fmt.Fprintf(a.errs, "wrote %s\n", c.HTML)
	}
	if c.JSON {
		return printIndentedJSON(a.out, schemaReport, r)
	}
	if c.Full {
		return r.Text(a.out)
	}
	return r.Short(a.out, a.color)
}

// errors prints which errors went, stayed and came.
func (c *reportCmd) errors(ctx context.Context, a *app) error {
	if c.HTML != "" {
		return coded(exitUsage, "--errors prints; --html is the whole report")
	}
	s, r, err := c.inspected(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	d, err := r.Deficiency(ctx)
	if err != nil {
		return err
	}
	return show(a, c.JSON, d, d.Text)
}
