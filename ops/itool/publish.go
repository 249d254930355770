package main

import (
	"context"
	"fmt"
	"os"

	"itool/ops/config"
)

// publishCmd is `itool publish`: it starts a run for workers elsewhere.
type publishCmd struct {
	source
	target
}

func (c *publishCmd) Run(ctx context.Context, a *app) error {
	cfg, err := config.Load(config.Default(), c.Config, c.Set)
	if err != nil {
		return err
	}
	files, cleanup, err := joined(c.Datasets)
	if err != nil {
		return err
	}
	defer cleanup()
	s, err := c.open(ctx, a, "")
	if err != nil {
		return err
	}
	defer s.close()
	e, err := newEngine(a)
	if err != nil {
		return err
	}
	name := c.runName()
	if err := publish(ctx, s.Courier, e, request{name, c.base(a), files, cfg}); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "published run %s\nwatch it with: itool watch %s%s\n", name, name, c.flags())
	return nil
}

// flags are those that reach the same place again; the environment needs none.
func (t target) flags() string {
	out := ""
	for _, f := range []struct{ name, value, env string }{{"broker", t.Broker, "ITOOL_BROKER"}, {"store", t.Store, "ITOOL_STORE"}, {"dir", t.Dir, ""}} {
		if f.value != "" && f.value != os.Getenv(f.env) {
			out += " --" + f.name + " " + f.value
		}
	}
	return out
}
