package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"itool/ops/job"
	"itool/ops/site"
	"itool/ops/ui"
)

// upCmd is `itool up`: what workers on this machine need besides themselves.
type upCmd struct {
	AckWait time.Duration `default:"60s" help:"${up_ackwait}"`
	Port    int           `default:"4222" min:"-1" help:"Port of the broker on 127.0.0.1; -1: any free one."`
	Dir     string        `default:"${up_dir}" placeholder:"DIR" help:"Folder for broker and store."`
	NoToken bool          `help:"Let everybody on this machine reach the broker, without the token in DIR."`
	Store   string        `env:"ITOOL_STORE" placeholder:"STORE" help:"${up_store}"`
	storeLogin
	webOption
	listening
}

func (c *upCmd) Run(ctx context.Context, a *app) error {
	if c.Port != site.AnyPort && (c.Port < 1 || c.Port > 65535) {
		return coded(exitUsage, "--port %d is not within 1..65535, or -1 for any free one", c.Port)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	store, err := site.ChooseStore(ctx, dir, c.Store, c.storeLogin.site())
	if err != nil {
		return err
	}
	opts := []site.Option{site.WithStoreLogin(c.storeLogin.site())}
	if c.NoToken {
		opts = append(opts, site.WithoutToken)
	}
	privateFiles()
	s, err := site.OpenFolder(ctx, dir, c.Port, a.log, opts...)
	if err != nil {
		return err
	}
	defer s.Close()
	k := job.NewKeeper(s.Courier, workerName("keeper"), c.AckWait, a.log)
	stopMonitor, err := c.listening.start(ctx, a, k)
	if err != nil {
		return err
	}
	defer stopMonitor()
	c.announce(a, s, store)
	defer c.beside(a, a.out, ui.Of(s.Courier), "", " --dir "+shellQuote(s.Dir))()
	err = k.Run(ctx, job.KeeperInterval, nil)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// announce says how to reach what is up.
func (c *upCmd) announce(a *app, s *site.Site, store string) {
	token := "its token is in " + filepath.Join(s.Dir, "token") + ", which only you can read"
	if c.NoToken {
		token = "without a token: everybody on this machine can read and change the runs"
	}
	fmt.Fprintf(a.out, `broker, store and keeper are up in %[1]s; stop them with Ctrl-C, the runs stay.
broker %[2]s (%[3]s)
store  %[4]s

workers, as many as you like, on this machine:
  itool work all --dir %[1]s
start a run:
  itool publish DATASET --base DIR --dir %[1]s
watch it:
  itool watch RUN --dir %[1]s
`, shellQuote(s.Dir), s.URL(), token, store)
}
