package main

import (
	"context"
	"fmt"

	"itool/ops/export"
)

// quantizeCmd is `itool quantize`.
type quantizeCmd struct {
	Model string `required:"" placeholder:"MODEL" help:"${quantize_model}"`
	Out   string `required:"" placeholder:"DIR" help:"New folder to write."`
}

func (c *quantizeCmd) Run(ctx context.Context, a *app) error {
	d, err := newDevice(a)
	if err != nil {
		return err
	}
	dir, err := findBase(ctx, a, "--model", c.Model, nil)
	if err != nil {
		return err
	}
	before, after, err := export.Quantize(dir, c.Out, d)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s: weights of %.1f MB, %.1f MB before; "+
		"the linear maps of the layers in NF4, 4.127 bits a weight\n", c.Out, float64(after)/1e6, float64(before)/1e6)
	return nil
}
