package main

import (
	"context"
	"fmt"

	"itool/ops/dataset"
	"itool/ops/line"
	"itool/stages/split"
)

// dataCmd is `itool data`: what is in dataset files, before a run is made from them.
type dataCmd struct {
	material
	Against []string `sep:"none" type:"existingfile" placeholder:"FILE" help:"${data_against}"`
	Prompts int      `default:"3" help:"Examples to show as the model sees them; 0: none."`
	JSON    bool     `name:"json" help:"Print one JSON object instead of tables."`
}

func (c *dataCmd) Run(ctx context.Context, a *app) error {
	files, cfg, cleanup, err := c.files()
	if err != nil {
		return err
	}
	defer cleanup()
	if err := line.CheckFileNames(files, cfg.Split); err != nil { // a run does so, too
		return err
	}
	base, err := baseFolder(ctx, a, c.Base, nil)
	if err != nil {
		return err
	}
	if base, err = line.BaseFolder(base, cfg.Split); err != nil {
		return fmt.Errorf("base model: %w", err)
	}
	e, err := newEngine(a)
	if err != nil {
		return err
	}
	p, err := e.Open(dataset.Digest, base)
	if err == nil {
		err = split.CheckBase(p, cfg.Split) // else prompts without tools would be shown and counted
	}
	if err != nil {
		return fmt.Errorf("base model: %w", err)
	}
	s, err := dataset.Look(ctx, dataset.Request{
		Files: files, Against: c.Against, Config: cfg.Split, ShardRows: cfg.Line.ShardRows, Stage: split.New(e.Engine),
		Base: base, Text: p.Text, Prompts: c.Prompts, Workers: orCores(0),
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.out, schemaData, s)
	}
	mark := [2]string{"⟦", "⟧"}
	if a.color {
		mark = [2]string{"\x1b[1;32m", "\x1b[0m"}
	}
	return s.Text(a.out, mark)
}
