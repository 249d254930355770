package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"itool/ops/conform"
	"itool/ops/line"
)

// conformCmd is `itool conform`: checks of a worker that others wrote.
type conformCmd struct {
	Stage    string        `arg:"" help:"Stage that the program works on: ${stages}."`
	Command  []string      `arg:"" name:"command" help:"${conform_command}"`
	Set      []string      `sep:"none" placeholder:"KEY=VALUE" help:"${conform_set}"`
	AckWait  time.Duration `default:"3s" help:"${conform_ackwait}"`
	Patience time.Duration `default:"60s" help:"How long the program may take for an item, its start included."`
	JSON     bool          `name:"json" help:"Print the report as one JSON object."`
}

func (c *conformCmd) Run(ctx context.Context, a *app) error {
	if c.AckWait < 2*time.Second {
		return coded(exitUsage, "--ack-wait %s is below 2s: heartbeats would come too late on a busy machine",
			c.AckWait)
	}
	e, err := newEngine(a)
	if err != nil {
		return err
	}
	if known := stageNames(line.Stages(nil)); !slices.Contains(known, c.Stage) {
		return coded(exitUsage, "there is no stage %q; there are: %s", c.Stage, strings.Join(known, ", "))
	}
	dir, err := os.MkdirTemp("", "itool-conform-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o := conform.Options{
		Stage: c.Stage, Command: c.Command, Dir: dir, Set: c.Set, Engine: e.Engine, AckWait: c.AckWait,
		Patience: c.Patience, Log: a.log,
	}
	if !c.JSON {
		fmt.Fprintf(a.errs, "itool: makes real items for %s by a small run; seconds to a minute\n", c.Stage)
		o.Say = func(f conform.Finding) { fmt.Fprintln(a.out, f.Line()) }
	}
	r, err := conform.Run(ctx, o)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := printJSON(a.out, schemaConform, r); err != nil {
			return err
		}
	} else if err := r.Text(a.out); err != nil {
		return err
	}
	if r.Failed() {
		return coded(exitError, "%s is no worker of %s yet: ops/guide/wire.md says what each check wants",
			c.Command[0], c.Stage)
	}
	return nil
}
