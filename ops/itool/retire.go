package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/report"
	"itool/ops/retire"
	"itool/ops/site"
	"itool/storage"
)

// retireCmd is `itool retire`.
type retireCmd struct {
	target
	RunName string `arg:"" name:"run" help:"Name of the run."`
	Force   bool   `help:"Retire a run that has not ended, or whose report cannot be kept, too."`
	jsonOption
}

// retired is what --json prints.
type retired struct {
	Run     string `json:"run"`
	Before  bool   `json:"before"`  // it was retired already
	Records uint64 `json:"records"` // that are gone
	Bytes   int64  `json:"bytes"`   // of the broker's room that are free
	Kept    bool   `json:"kept"`    // report and export still work
}

func (c *retireCmd) Run(ctx context.Context, a *app) error {
	s, err := c.open(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	done, err := retire.Run(ctx, s.Courier, c.RunName, retire.Options{Force: c.Force})
	if errors.Is(err, broker.ErrNoRun) {
		if _, err := retire.Load(ctx, s.Courier, c.RunName); err == nil {
			return c.print(a, schemaRetire, retired{Run: c.RunName, Before: true, Kept: true},
				"run %s was retired before\n", c.RunName)
		}
		return mustExist(ctx, s.Courier, c.RunName)
	}
	if err != nil {
		return err
	}
	left := "its report was not kept; its files in the store stay"
	if done.Kept {
		left = "report and export still work; watch, failed, tree and serve know it no longer; " +
			"its files in the store stay"
	}
	return c.print(a, schemaRetire, retired{c.RunName, false, done.Records, done.Bytes, done.Kept},
		"run %s is retired: %d records are gone, %s of the broker's room are free\n%s\n",
		c.RunName, done.Records, line.Size(done.Bytes), left)
}

// quotaCmd is `itool quota`.
type quotaCmd struct {
	target
	RunName string `arg:"" name:"run" help:"Name of the run."`
	Size    string `arg:"" help:"Most bytes of its records at the broker, such as 512MiB or 8GiB."`
	jsonOption
}

// quota is what --json prints.
type quota struct {
	Run   string `json:"run"`
	Quota int64  `json:"quota"` // bytes that it may hold at the broker
	Held  uint64 `json:"held"`  // bytes that it holds
}

func (c *quotaCmd) Run(ctx context.Context, a *app) error {
	bytes, err := parseSize(c.Size)
	if err != nil {
		return coded(exitUsage, "%v", err)
	}
	s, err := c.openRun(ctx, a, c.RunName)
	if err != nil {
		return err
	}
	defer s.Close()
	u, err := s.Broker.Usage(ctx, c.RunName)
	if err != nil {
		return notYet(c.RunName, err)
	}
	if bytes < int64(u.Bytes) {
		return fmt.Errorf("run %s holds %s already: a quota below that would change nothing",
			c.RunName, line.Size(int64(u.Bytes)))
	}
	if err := line.SetQuota(ctx, s.Courier, c.RunName, bytes); err != nil {
		return err
	}
	return c.print(a, schemaQuota, quota{c.RunName, bytes, u.Bytes},
		"run %s may hold %s at the broker, and holds %s; workers that wait for room go on\n",
		c.RunName, line.Size(bytes), line.Size(int64(u.Bytes)))
}

// parseSize reads a number with KiB, MiB, GiB or TiB.
func parseSize(text string) (int64, error) {
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		number, ok := strings.CutSuffix(text, unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(n > 0 && n < 1<<20) {
			break
		}
		return int64(n * float64(int64(1)<<(10*(i+1)))), nil
	}
	return 0, fmt.Errorf("%q is no size such as 512MiB or 8GiB", text)
}

// reported is the report of a run, or what retire kept of it; then kept is not nil.
func (t target) reported(ctx context.Context, a *app, run string) (
	s *site.Site, r *report.Report, kept *retire.Kept, err error,
) {
	if s, err = t.open(ctx, a, run); err != nil {
		return nil, nil, nil, err
	}
	if r, kept, err = reportOf(ctx, s.Courier, run); err != nil {
		s.Close()
		return nil, nil, nil, err
	}
	return s, r, kept, nil
}

func reportOf(ctx context.Context, c *courier.Courier, run string) (*report.Report, *retire.Kept, error) {
	missing := mustExist(ctx, c, run)
	if missing == nil {
		r, err := report.Gather(ctx, c, run)
		return r, nil, notYet(run, err)
	}
	kept, err := retire.Load(ctx, c, run)
	if errors.Is(err, storage.ErrNotExist) {
		return nil, nil, missing
	}
	return kept.Report, &kept, err
}
