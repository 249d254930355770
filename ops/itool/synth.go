package main

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"itool/ops/synth"
)

// synthCmd is `itool synth`.
type synthCmd struct {
	Out   string  `short:"o" required:"" placeholder:"FILE" help:"JSONL file to write."`
	Rows  int     `default:"1000" help:"Conversations."`
	Seed  uint64  `default:"1" help:"Same seed, same bytes."`
	Tools int     `default:"4" help:"Most candidate tools of a row, 1..8."`
	Calls int     `default:"3" help:"Most calls of an answer, 1..4."`
	Open  float64 `help:"Share of names and cities that stand on no list, 0..1."`
}

func (c *synthCmd) Run(_ context.Context, a *app) error {
	cfg := synth.Default()
	cfg.Rows, cfg.Seed, cfg.Tools, cfg.Calls, cfg.Open = c.Rows, c.Seed, c.Tools, c.Calls, c.Open
	rows, err := synth.Make(cfg)
	if err != nil {
		return err
	}
	err = writeFile(c.Out, func(w io.Writer) error {
		b := bufio.NewWriter(w)
		if err := synth.Write(b, rows); err != nil {
			return err
		}
		return b.Flush()
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "wrote %d rows to %s\n", c.Rows, c.Out)
	return nil
}
