package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/job"
	"itool/ops/line"
	"itool/stages"
)

// workCmd is `itool work`: a worker of some stages of all runs.
type workCmd struct {
	target
	Stages    []string      `arg:"" name:"stage" help:"Stages to work on: ${stages}; keeper; or all (of these)."`
	Slots     int           `help:"Items in work at once; default: the number of cores."`
	AckWait   time.Duration `default:"60s" help:"${work_ackwait}"`
	UntilIdle time.Duration `help:"Leave after so long without work; default: stay."`
	scaling
	listening
	engineFlags
}

func (c *workCmd) Run(ctx context.Context, a *app) error {
	if c.AckWait < 3*time.Second {
		return coded(exitUsage, "--ack-wait %s is below 3s: heartbeats would come too late on a busy machine",
			c.AckWait)
	}
	servers, err := c.engineFlags.pool(a)
	if err != nil {
		return err
	}
	e, err := newEngineOf(a, servers)
	if err != nil {
		return err
	}
	chosen, keep, err := choose(line.Stages(e.Engine), c.Stages)
	if err != nil {
		return err
	}
	if c.Listen != "" && !keep {
		return coded(exitUsage, "--listen is for the keeper: only it knows the rounds")
	}
	if c.Workers != "" && !c.OfPool {
		return c.scale(ctx, a, chosen, keep)
	}
	s, err := c.openWithin(ctx, a, "", 0)
	if err != nil {
		return err
	}
	defer s.Close()
	if keep {
		if err := ensureReplicas(ctx, a, s.Broker); err != nil {
			return err
		}
	}
	name := workerName(e.device.Name())
	fmt.Fprintf(a.errs, "itool: %s works on %s\n", name, strings.Join(c.Stages, ", "))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopKeeper := func() error { return nil }
	if keep {
		k := job.NewKeeper(s.Courier, name, c.AckWait, a.log)
		stopMonitor, err := c.listening.start(ctx, a, k)
		if err != nil {
			return err
		}
		defer stopMonitor()
		stopKeeper = job.Until(ctx, func(ctx context.Context) error {
			return k.Run(ctx, job.KeeperInterval, nil)
		})
	}
	if len(chosen) == 0 {
		<-ctx.Done()
	} else {
		w := job.NewWorker(s.Courier, name, chosen, c.engineFlags.slots(c.Slots), a.log)
		w.AckWait, w.IdleUntil = c.AckWait, c.UntilIdle
		w.Judge, w.Tracer = a.workersJudge(), a.workersTracer()
		if c.OfPool { // the pool decides when it leaves
			w.IdleUntil, w.Leave = 0, untilEOF(os.Stdin)
		}
		if dir, err := os.UserCacheDir(); err == nil {
			w.Cache = filepath.Join(dir, "itool", "policies")
		}
		err = w.Run(ctx)
	}
	if kept := stopKeeper(); kept != nil && !errors.Is(kept, context.Canceled) {
		err = errors.Join(err, kept)
	}
	return err
}

// A cluster that has lost a server has leaders again within electionTime, usually in some seconds.
const (
	electionTime  = time.Minute
	electionPause = 3 * time.Second
)

// ensureReplicas is EnsureReplicas of the broker, tried again while a cluster does not answer: a worker that starts
// just when the cluster has lost a server would end for what passes in seconds.
func ensureReplicas(ctx context.Context, a *app, b *broker.Broker) error {
	for began := time.Now(); ; {
		err := b.EnsureReplicas(ctx)
		passes := b.Replicas() > 1 && errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, broker.ErrReplicas)
		if !passes || time.Since(began) > electionTime {
			return err
		}
		a.log.Warn("the cluster does not answer; trying again", "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(electionPause):
		}
	}
}

// choose picks stages by name; keep tells whether the keeper is among them.
func choose(all []stages.Stage, names []string) (chosen []stages.Stage, keep bool, err error) {
	known := append([]string{"keeper", "all"}, stageNames(all)...)
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, false, coded(exitUsage, "there is no stage %q; there are: %s", n, strings.Join(known, ", "))
		}
	}
	everything := slices.Contains(names, "all")
	for _, s := range all {
		if everything || slices.Contains(names, s.Spec().Name) {
			chosen = append(chosen, s)
		}
	}
	return chosen, everything || slices.Contains(names, "keeper"), nil
}

func stageNames(all []stages.Stage) (names []string) {
	for _, s := range all {
		names = append(names, s.Spec().Name)
	}
	return names
}
