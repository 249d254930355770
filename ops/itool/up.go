package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// upCmd is `itool up`: what workers on this machine need besides themselves.
type upCmd struct {
	AckWait time.Duration `default:"60s" help:"How long a dead worker's item waits for another, at least; workers may ask for more."`
	Port    int           `default:"4222" help:"Port of the broker on 127.0.0.1."`
	Dir     string        `default:"itool-up" placeholder:"DIR" help:"Folder for broker and store."`
}

func (c *upCmd) Run(ctx context.Context, a *app) error {
	if c.Port < 1 || c.Port > 65535 {
		return coded(exitUsage, "--port %d is not within 1..65535", c.Port)
	}
	s, err := openFolder(ctx, a, c.Dir, c.Port)
	if err != nil {
		return err
	}
	defer s.close()
	where := fmt.Sprintf("--broker %s --store disk:%s", s.server.URL(), filepath.Join(s.dir, "store"))
	fmt.Fprintf(a.out, `broker, store and keeper are up in %s; stop them with Ctrl-C, the runs stay.

workers, as many as you like, on this machine:
  itool work all %s
start a run:
  itool publish DATASET --base DIR %s
watch it:
  itool watch RUN %s
`, s.dir, where, where, where)
	err = newKeeper(a, s, workerName("keeper"), c.AckWait).Run(ctx, keeperInterval, nil)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
