package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"itool/ops/config"
	"itool/ops/dataset"
	"itool/ops/demo"
	"itool/ops/job"
	"itool/ops/lab"
	"itool/ops/line"
	"itool/ops/progress"
	"itool/ops/site"
	"itool/ops/whole"
	"itool/schemas"
)

// labCmd is `itool lab`.
type labCmd struct {
	Spec      string `arg:"" type:"existingfile" help:"What to compare: a YAML file (see the guide)."`
	Dir       string `placeholder:"DIR" help:"${lab_dir}"`
	Slots     int    `help:"Items in work at once; default: the number of cores."`
	AtOnce    int    `default:"1" help:"${lab_atonce}"`
	TuningLog string `default:"itool-runs/tuning.jsonl" placeholder:"FILE" help:"${lab_tuninglog}"`
	JSON      bool   `name:"json" help:"Print everything as one JSON object instead of tables."`
	Report    bool   `help:"Run nothing: only write report and tables of what is there."`
	Plan      bool   `help:"Run nothing: list the runs that the specification needs."`
}

func (c *labCmd) Help() string {
	return "Runs every arm of SPEC with every seed through the ordinary line, over one broker and store, " +
		"and compares them.\n" +
		"The same command again goes on where it stopped. " +
		"Arms that share settings share what was computed with them.\n\n" +
		"Exit codes: 0 all runs are done (also where the guard stopped one), 1 error, 2 wrong usage, " +
		"3 a run failed or was cancelled, 4 a run is stalled, 130 interrupted."
}

func (c *labCmd) Run(ctx context.Context, a *app) error {
	spec, err := lab.Read(c.Spec)
	if err != nil {
		return err
	}
	start := config.Default()
	if spec.Demo != "" {
		start = demo.Config(spec.Demo == "quick")
	}
	plan, err := spec.Plan(start)
	if err != nil {
		return err
	}
	if c.Plan {
		return printPlan(a.out, plan)
	}
	if c.Dir == "" {
		c.Dir = filepath.Join(runsDir, "lab-"+plan.Name)
	}
	if c.Report && !site.HasRuns(c.Dir) {
		return fmt.Errorf("%s holds no laboratory: run it first", c.Dir)
	}
	var sources []lab.Opened
	port := site.NoPort // for the report alone: another process may be working on it
	if !c.Report {
		for _, src := range plan.Sources {
			o, cleanup, err := labSource(ctx, a, spec.Demo == "quick", src)
			if err != nil {
				return err
			}
			defer cleanup()
			sources = append(sources, o)
		}
		port = site.AnyPort
	}
	s, err := site.OpenFolder(ctx, c.Dir, port, a.log)
	if err != nil {
		return err
	}
	defer s.Close()
	var failed error
	if !c.Report {
		failed = c.work(ctx, a, s, plan, sources)
	}
	// The report shows what is done, also after an error.
	r, reported := c.report(context.WithoutCancel(ctx), a, s, plan)
	if ctx.Err() != nil {
		interrupted := coded(exitInterrupted, "interrupted: what was done is kept; the same command resumes it:\n  %s",
			strings.Join(os.Args, " "))
		return errors.Join(interrupted, reported)
	}
	if failed != nil || reported != nil || c.Report {
		return errors.Join(failed, reported)
	}
	if plan.Tuning {
		fmt.Fprintf(a.errs, "itool: what was tried stands in %s\n", c.TuningLog)
	}
	return labVerdict(r, c.Dir)
}

// labSource opens what runs are made from. What it does not name is the demo's.
func labSource(ctx context.Context, a *app, quick bool, src lab.Source) (o lab.Opened, cleanup func(), err error) {
	o.Base = demo.Base()
	if src.Base != "" {
		dir, err := findBase(ctx, a, "base:", src.Base, nil)
		if err != nil {
			return o, nil, err
		}
		o.Base = os.DirFS(dir)
	}
	if len(src.Datasets) == 0 {
		o.Files, cleanup, err = demoFiles(quick)
	} else {
		o.Files, cleanup, err = dataset.WithAnswers(src.Datasets)
	}
	return o, cleanup, err
}

// work runs keeper, worker and laboratory until all runs have ended.
func (c *labCmd) work(ctx context.Context, a *app, s *site.Site, plan *lab.Plan, sources []lab.Opened) error {
	e, err := newEngine(a)
	if err != nil {
		return err
	}
	states, began := job.NewStates(), time.Now()
	return newLocal(a, s, e, orCores(c.Slots)).During(ctx, states.Set, func(ctx context.Context) error {
		l := &lab.Lab{
			Plan: plan, Courier: s.Courier, Engine: e.Engine, Sources: sources, Dir: c.Dir,
			Device: e.device.Name(), AtOnce: c.AtOnce, Log: a.log,
			Await: func(ctx context.Context, run string) (line.State, error) {
				if c.AtOnce <= 1 {
					stop := job.Until(ctx, func(ctx context.Context) error {
						return progress.Follow(ctx, s.Courier, run, a.display())
					})
					defer func() { _ = stop() }() // a run does not fail with its display
				}
				return states.Await(ctx, run)
			},
			OnEvent: func(ev lab.Event) error {
				c.printEvent(a, ev, time.Since(began))
				if !plan.Tuning || ev.End == (line.State{}) {
					return nil
				}
				at := ev.Number - 1
				err := lab.LogTuning(ctx, s.Courier, c.Dir, c.TuningLog, fromHere(c.Spec), plan, at, time.Now())
				if err != nil {
					err = fmt.Errorf("tuning log: %w", err)
				}
				return err
			},
		}
		return l.Run(ctx)
	})
}

func (c *labCmd) printEvent(a *app, ev lab.Event, since time.Duration) {
	at := fmt.Sprintf("%s lab %d/%d %s", since.Round(time.Second), ev.Number, ev.Of, ev.Run.Name)
	switch {
	case ev.End != (line.State{}):
		fmt.Fprintf(a.errs, "%s: %s%s\n", at, ev.End.Status, ev.End.Stalled)
	case ev.Reused > 0:
		fmt.Fprintf(a.errs, "%s: begins with %d records of %s\n", at, ev.Reused, ev.From)
	default:
		fmt.Fprintf(a.errs, "%s: begins\n", at)
	}
}

// fromHere is the path of a file relative to the working directory, if it is below it. A
// tuning log is kept with the project and must not name somebody's home folder.
func fromHere(file string) string {
	here, err := os.Getwd()
	if err != nil {
		return file
	}
	if rel, err := filepath.Rel(here, file); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return file
}

// report writes all that a laboratory leaves behind.
func (c *labCmd) report(ctx context.Context, a *app, s *site.Site, plan *lab.Plan) (*lab.Result, error) {
	r, err := lab.Measure(ctx, s.Courier, c.Dir, plan)
	if err != nil {
		return nil, err
	}
	for name, write := range map[string]func(io.Writer) error{
		"arms.csv": r.ArmsCSV, "differences.csv": r.DifferencesCSV, "runs.csv": r.RunsCSV, "report.html": r.HTML,
		"report.json": func(w io.Writer) error {
			return printIndentedJSON(w, schemaLab, r)
		},
	} {
		if err := whole.File(filepath.Join(c.Dir, name), write); err != nil {
			return nil, err
		}
	}
	if c.JSON {
		return r, printJSON(a.out, schemaLab, r)
	}
	if err := r.Text(a.out); err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(a.out, "\nreport   %s\ntables   arms.csv, differences.csv, runs.csv, report.json beside it\n",
		filepath.Join(c.Dir, "report.html"))
	return r, err
}

// labVerdict turns what became of the runs into an exit code.
func labVerdict(r *lab.Result, dir string) error {
	for _, run := range r.Runs {
		switch run.Status {
		case schemas.StatusDone, schemas.StatusGuard:
		case schemas.StatusFailed, schemas.StatusCancelled:
			return coded(exitFailed, "run %s %s: %s", run.Run, run.Status, run.Detail)
		default:
			return coded(exitStalled, "run %s is not done (%s): `itool failed %s --dir %s` says what failed",
				run.Run, run.Status, run.Run, shellQuote(dir))
		}
	}
	return nil
}

func printPlan(w io.Writer, plan *lab.Plan) error {
	fmt.Fprintf(w, "%s: %d arms × %d seeds, %d runs, measured on %s\n",
		plan.Name, len(plan.Arms), len(plan.Seeds), len(plan.Runs), plan.Part)
	fmt.Fprintf(w, "  every arm: %s\n", orNone(strings.Join(plan.Settings, " ")))
	for _, a := range plan.Arms {
		var runs []string
		for _, at := range a.Runs {
			runs = append(runs, plan.Runs[at].Name)
		}
		fmt.Fprintf(w, "  %s: %s\n    settings: %s\n    runs: %s\n",
			a.Name, a.Note, orNone(strings.Join(a.Differs, " ")), strings.Join(runs, ", "))
	}
	return nil
}
