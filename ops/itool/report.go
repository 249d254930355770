package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"itool/ops/ui"
	"itool/ops/whole"
)

// reportCmd is `itool report`.
type reportCmd struct {
	target
	RunName string `arg:"" name:"run" help:"Name of the run."`
	HTML    string `name:"html" placeholder:"FILE" help:"Write one self-contained page as well."`
	JSON    bool   `name:"json" help:"Print everything as JSON instead of tables."`
}

func (c *reportCmd) Run(ctx context.Context, a *app) error {
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
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	return r.Text(a.out)
}
