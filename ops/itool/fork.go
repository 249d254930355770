package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"itool/ops/config"
	"itool/ops/courier"
	"itool/ops/reuse"
	"itool/schemas"
)

// forkCmd is `itool fork`: another run that begins with a round of an existing one.
type forkCmd struct {
	target
	RunName   string   `arg:"" name:"run" help:"Name of the run to begin from."`
	FromRound int      `required:"" help:"${fork_fromround}"`
	Name      string   `required:"" placeholder:"NAME" help:"Name of the new run."`
	Config    string   `short:"c" type:"existingfile" placeholder:"FILE" help:"Settings that differ (YAML)."`
	Set       []string `sep:"none" placeholder:"KEY=VALUE" help:"${source_set}"`
	jsonOption
}

// forked is what --json prints.
type forked struct {
	Run       string `json:"run"`
	From      string `json:"from"`
	FromRound int    `json:"from_round"`
	Records   int    `json:"records"` // that were copied
	Next      string `json:"next"`    // the command that goes on with it, or watches it
}

func (c *forkCmd) Run(ctx context.Context, a *app) error {
	if err := schemas.ValidName(c.Name); err != nil {
		return coded(exitUsage, "--name: %w", err)
	}
	if c.Name == c.RunName {
		return coded(exitUsage, "--name %s is the run itself: give the new one another name", c.Name)
	}
	s, err := c.openRun(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	run, err := c.run(ctx, s.Courier)
	if err != nil {
		return notYet(c.RunName, err)
	}
	n, err := reuse.Fork(ctx, s.Courier, run, c.RunName, c.FromRound)
	if err != nil {
		return notYet(c.RunName, err)
	}
	hint, next := "watch it with", "itool watch "+c.Name+c.flags()
	if s.Dir != "" { // no other process serves the folder, so no worker will find the run
		hint, next = "go on with it", "itool resume "+c.Name+" --dir "+shellQuote(s.Dir)
	}
	return c.print(a, schemaFork, forked{c.Name, c.RunName, c.FromRound, n, next},
		"published run %s: it begins with round %d of run %s, %d records were copied\n%s: %s\n",
		c.Name, c.FromRound, c.RunName, n, hint, next)
}

// run describes the new run: the old one under another name, with the settings that differ.
func (c *forkCmd) run(ctx context.Context, at *courier.Courier) (run schemas.Run, err error) {
	old, err := at.StartedAs(ctx, c.Name)
	if err != nil {
		return run, err
	}
	donor, _, err := at.Description(ctx, c.RunName)
	if err != nil {
		return run, err
	}
	base := config.Default()
	if err := json.Unmarshal([]byte(donor.Config), &base); err != nil {
		return run, fmt.Errorf("configuration of run %s: %w", c.RunName, err)
	}
	cfg, err := config.Load(base, c.Config, c.Set)
	if err != nil {
		return run, err
	}
	run = donor
	run.Name, run.Seed, run.Created = c.Name, cfg.Seed, time.Now().UTC().Format(time.RFC3339)
	if old != nil {
		run.Created = old.Created // the same description needs the same time
	}
	run.Config, run.ConfigDigest, err = cfg.Freeze()
	return run, err
}
