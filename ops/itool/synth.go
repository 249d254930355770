package main

import (
	"bufio"
	"context"
	"io"

	"itool/ops/synth"
	"itool/ops/whole"
)

// synthCmd is `itool synth`.
type synthCmd struct {
	Out      string `short:"o" required:"" placeholder:"FILE" help:"JSONL file to write."`
	Rows     int    `default:"1000" help:"Conversations."`
	Seed     uint64 `default:"1" help:"Same seed, same bytes."`
	Tools    int    `default:"6" help:"Most candidate tools of a row, 1..8."`
	Calls    int    `default:"4" help:"Most calls of an answer, 1..4."`
	Turns    int    `default:"1" help:"Most requests of a conversation, 1..8."`
	AnyOrder bool   `help:"Shuffle the arguments of each call: they have names, so any order is right."`
	Folds    int    `help:"Cut the world's tools and values into so many folds that share none; 0: one world."`
	Fold     int    `help:"The fold to draw from: train on one, hold out another."`
	overwriting
	jsonOption
}

// made is what --json prints.
type made struct {
	Out  string `json:"out"`
	Rows int    `json:"rows"`
}

func (c *synthCmd) Run(_ context.Context, a *app) error {
	if err := c.check(c.Out); err != nil {
		return err
	}
	cfg := synth.Default()
	cfg.Rows, cfg.Seed, cfg.Tools, cfg.Calls, cfg.Turns = c.Rows, c.Seed, c.Tools, c.Calls, c.Turns
	cfg.AnyOrder, cfg.Fold, cfg.Folds = c.AnyOrder, c.Fold, c.Folds
	rows, err := synth.Make(cfg)
	if err != nil {
		return err
	}
	err = whole.File(c.Out, func(w io.Writer) error {
		b := bufio.NewWriter(w)
		if err := synth.Write(b, rows); err != nil {
			return err
		}
		return b.Flush()
	})
	if err != nil {
		return err
	}
	return c.print(a, schemaSynth, made{c.Out, c.Rows}, "wrote %d rows to %s\n", c.Rows, c.Out)
}
