package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"itool/ops/job"
	"itool/ops/site"
)

// upCmd is `itool up`: what workers on this machine need besides themselves.
type upCmd struct {
	AckWait time.Duration `default:"60s" help:"${up_ackwait}"`
	Port    int           `default:"4222" help:"Port of the broker on 127.0.0.1; -1: any free one."`
	Dir     string        `default:"itool-up" placeholder:"DIR" help:"Folder for broker and store."`
	Store   string        `env:"ITOOL_STORE" placeholder:"STORE" help:"${up_store}"`
}

func (c *upCmd) Run(ctx context.Context, a *app) error {
	if c.Port != site.AnyPort && (c.Port < 1 || c.Port > 65535) {
		return coded(exitUsage, "--port %d is not within 1..65535, or -1 for any free one", c.Port)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	store, err := site.ChooseStore(ctx, dir, c.Store)
	if err != nil {
		return err
	}
	s, err := site.OpenFolder(ctx, dir, c.Port, a.log)
	if err != nil {
		return err
	}
	defer s.Close()
	where := fmt.Sprintf("--broker %s --store %s", s.URL(), store)
	fmt.Fprintf(a.out, `broker, store and keeper are up in %s; stop them with Ctrl-C, the runs stay.

workers, as many as you like, on this machine:
  itool work all %s
start a run:
  itool publish DATASET --base DIR %s
watch it:
  itool watch RUN %s
`, s.Dir, where, where, where)
	err = job.NewKeeper(s.Courier, workerName("keeper"), c.AckWait, a.log).Run(ctx, job.KeeperInterval, nil)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
