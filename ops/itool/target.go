package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/site"
)

// target says where runs live: a broker and a store anywhere, or the folder of
// `itool run` and `itool up`, which holds both.
type target struct {
	connection `embed:"" group:"Connection"`
	Dir        string `placeholder:"DIR" help:"${target_dir}"`
}

const (
	runsDir = "itool-runs" // where `run` and `demo` put their folders
	upDir   = "itool-up"   // the folder of `up`
)

// patience is how long a command waits for an answer of the broker: longer than a cluster
// without a leader needs to elect one. Workers and keepers need none, they ask again.
const patience = 15 * time.Second

// open connects to the given broker and store, or opens the run's folder, or that of `up`.
func (t target) open(ctx context.Context, a *app, run string) (*site.Site, error) {
	return t.openWithin(ctx, a, run, patience)
}

// openWithin is open for those who wait so long for an answer of the broker; 0: the usual time.
func (t target) openWithin(ctx context.Context, a *app, run string, timeout time.Duration) (*site.Site, error) {
	conn, err := t.site()
	if err != nil {
		return nil, err
	}
	conn.Timeout = timeout
	if conn.Broker == "" || t.Dir != "" {
		if t.Dir, err = t.folder(run); err != nil {
			return nil, err
		}
		return site.OpenFolder(ctx, t.Dir, site.NoPort, a.log, site.WithStoreLogin(conn.StoreLogin))
	}
	if conn.Store == "" {
		return nil, coded(exitUsage, "--store is missing: disk:PATH of the folder that the other workers use, "+
			"or minio://HOST:PORT/BUCKET")
	}
	return site.Open(ctx, conn, a.log)
}

// folder is the folder that a run is looked for in, "" for any: the given one, or one below it; without a given one
// the run's in ./itool-runs, else that of `itool up`.
func (t target) folder(run string) (string, error) {
	if t.Dir != "" && site.HasRuns(t.Dir) {
		return t.Dir, nil
	}
	if t.Dir != "" {
		all := localRuns(t.Dir)
		switch dir := findLocal(t.Dir, run); {
		case dir != "":
			return dir, nil
		case len(all) > 0 && run != "":
			return "", fmt.Errorf("there is no run named %s in %s; there are: %s", run, t.Dir, names(all))
		case len(all) > 0:
			return "", fmt.Errorf("%s has a folder for each run: say which, such as --dir %s", t.Dir,
				shellQuote(all[0].Dir))
		}
		return "", fmt.Errorf("%s holds no run: give the folder that `itool run` or `itool up` wrote", t.Dir)
	}
	own := findLocal(runsDir, run)
	switch {
	case own != "":
		return own, nil
	case site.HasRuns(upDir):
		return upDir, nil
	}
	if here := elsewhere("in ./" + runsDir + " there are: %s"); run != "" && here != "" {
		return "", fmt.Errorf("there is no run named %s; %s; of other places say --dir, or --broker and --store", run,
			here)
	}
	return "", coded(exitUsage, "no broker is given: say --broker and --store, or --dir with the folder of "+
		"`itool up` or of a run%s", elsewhere(" (in ./"+runsDir+": %s)"))
}

// openRun opens the place of a run and checks that it holds the run. Close it.
func (t target) openRun(ctx context.Context, a *app, run string) (*site.Site, error) {
	s, err := t.open(ctx, a, run)
	if err != nil {
		return nil, err
	}
	if err := mustExist(ctx, s.Courier, run); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// flags are those that reach the same place again; the environment needs none.
func (t target) flags() string {
	out := t.connection.flags()
	if t.Dir != "" {
		out += " --dir " + shellQuote(t.Dir)
	}
	return out
}

// mustExist is an error that lists the runs when there is no run of that name.
func mustExist(ctx context.Context, c *courier.Courier, run string) error {
	old, err := c.StartedAs(ctx, run)
	if err != nil || old != nil {
		return err
	}
	var all []local
	for m, err := range c.Broker.Started(ctx) {
		if err != nil {
			return err
		}
		all = append(all, local{Run: m.Run})
	}
	here := ""
	if dir := findLocal(runsDir, run); dir != "" { // the caller has looked elsewhere
		here = "; but one is in --dir " + shellQuote(dir)
	}
	return fmt.Errorf("there is no run named %s; there are: %s%s", run, orNone(names(all)), here)
}

// notYet explains the error of a run that no keeper has opened.
func notYet(run string, err error) error {
	if errors.Is(err, broker.ErrNoRun) {
		return fmt.Errorf("run %s was published, but no keeper has opened it: "+
			"start `itool work keeper`, or `itool up`", run)
	}
	return err
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
