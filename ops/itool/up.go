package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// upCmd is `itool up`: what workers on this machine need besides themselves.
type upCmd struct {
	AckWait time.Duration `default:"60s" help:"How long a dead worker's item waits for another, at least; workers may ask for more."`
	Port    int           `default:"4222" help:"Port of the broker on 127.0.0.1; -1: any free one."`
	Dir     string        `default:"itool-up" placeholder:"DIR" help:"Folder for broker and store."`
	Store   string        `env:"ITOOL_STORE" placeholder:"STORE" help:"Another store than the one in DIR: disk:PATH or minio://HOST:PORT/BUCKET (keys: ITOOL_MINIO_ACCESS_KEY, ITOOL_MINIO_SECRET_KEY; minios:// for TLS). DIR remembers it."`
}

func (c *upCmd) Run(ctx context.Context, a *app) error {
	if c.Port != anyPort && (c.Port < 1 || c.Port > 65535) {
		return coded(exitUsage, "--port %d is not within 1..65535, or -1 for any free one", c.Port)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	store, err := chooseStore(ctx, dir, c.Store)
	if err != nil {
		return err
	}
	s, err := openFolder(ctx, a, dir, c.Port)
	if err != nil {
		return err
	}
	defer s.close()
	where := fmt.Sprintf("--broker %s --store %s", s.server.URL(), store)
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

// chooseStore settles where the runs of a folder keep their files. Once there are
// runs it stays: they would not find them elsewhere.
func chooseStore(ctx context.Context, dir, wish string) (spec string, err error) {
	spec, err = folderStore(dir)
	if err != nil || wish == "" {
		return spec, err
	}
	if path, ok := strings.CutPrefix(wish, "disk:"); ok { // workers may stand in another folder
		if path, err = filepath.Abs(path); err != nil {
			return "", err
		}
		wish = "disk:" + path
	}
	if wish == spec {
		return spec, nil
	}
	if exists(filepath.Join(dir, "broker")) {
		return "", fmt.Errorf("the runs in %s have their files in %s: give that as --store, or another --dir", dir, spec)
	}
	if _, err := openStore(ctx, wish); err != nil { // before anything is written down
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return wish, os.WriteFile(storeFile(dir), []byte(wish), 0o600)
}
