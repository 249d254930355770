package main

import (
	"context"

	"itool/ops/export"
)

// quantizeCmd is `itool quantize`.
type quantizeCmd struct {
	Model string `required:"" placeholder:"MODEL" help:"${quantize_model}"`
	Out   string `required:"" placeholder:"DIR" help:"New folder to write."`
	jsonOption
}

// quantized is what --json prints.
type quantized struct {
	Out    string `json:"out"`
	Before int64  `json:"bytes_before"` // of the weights
	After  int64  `json:"bytes_after"`
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
	return c.print(a, schemaQuantize, quantized{c.Out, before, after}, "%s: weights of %.1f MB, %.1f MB before; "+
		"the linear maps of the layers in NF4, 4.127 bits a weight\n", c.Out, float64(after)/1e6, float64(before)/1e6)
}
