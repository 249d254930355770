package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"itool/ops/config"
	"itool/ops/judge"
	"itool/ops/worker"
)

// judging are the flags of a judge of the user's own. Where it is stands here and not in the settings of a run:
// who publishes a run must not choose what programs the workers start, and addresses differ between machines.
type judging struct {
	Judge        string        `env:"ITOOL_JUDGE" placeholder:"ADDRESS" help:"${commands_judge}"`
	JudgeTimeout time.Duration `env:"ITOOL_JUDGE_TIMEOUT" default:"60s" help:"${commands_judgetimeout}"`
}

// open prepares the judge; nil: none is given.
func (f judging) open() (*judge.Judge, error) {
	if f.Judge == "" {
		return nil, nil
	}
	if f.JudgeTimeout <= 0 {
		return nil, coded(exitUsage, "--judge-timeout: %v is not positive", f.JudgeTimeout)
	}
	return judge.Open(f.Judge, judge.Options{Timeout: f.JudgeTimeout, Token: os.Getenv("ITOOL_JUDGE_TOKEN")})
}

func (a *app) closeJudge() {
	if a.judge != nil {
		a.judge.Close()
	}
}

// workersJudge is the judge as a worker takes it: nil if there is none.
func (a *app) workersJudge() worker.Judge {
	if a.judge == nil {
		return nil
	}
	return a.judge
}

// nameJudge writes what the judge calls itself into the settings of a run, unless they name it. local says that
// the run is worked on in this process, which then must have the judge that the settings name.
func (a *app) nameJudge(ctx context.Context, cfg *config.Config, local bool) error {
	switch {
	case a.judge == nil && cfg.Judge != "" && local:
		return coded(exitUsage, "the settings name the judge %q: say where it is with --judge", cfg.Judge)
	case a.judge == nil:
		return nil
	}
	name, err := a.judge.Name(ctx)
	if err != nil {
		return fmt.Errorf("--judge: %w", err)
	}
	if cfg.Judge != "" && cfg.Judge != name {
		return coded(exitUsage, "the settings name the judge %q, --judge calls itself %q", cfg.Judge, name)
	}
	cfg.Judge = name
	if err := cfg.Validate(); err != nil {
		return coded(exitUsage, "%w", err)
	}
	return nil
}
