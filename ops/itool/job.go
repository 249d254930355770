package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"itool/ops/job"
	"itool/ops/line"
	"itool/ops/progress"
	"itool/ops/site"
	"itool/ops/ui"
	"itool/schemas"
)

// wholeRun is a run in this process from start to end: what `run` and `demo` do.
type wholeRun struct {
	job.Request
	dir   string // broker, store, adapter and report go here
	slots int    // 0: by the model's size and the memory
	json  bool
	// curves: write the steps of all trainings at the end.
	curves bool
	web    webOption
	on     engineFlags // what computes
	again  string      // the command that resumes it
}

// do publishes, works until the run ends, exports the adapter and reports.
func (w wholeRun) do(ctx context.Context, a *app) error {
	if err := a.nameJudge(ctx, &w.Config, true); err != nil {
		return err
	}
	e, err := w.on.choose(ctx, a, &w.Config)
	if err != nil {
		return err
	}
	_, err = os.Stat(w.dir)
	isNew := err != nil
	if err := w.foreign(); err != nil {
		return err
	}
	privateFiles()
	s, err := site.OpenFolder(ctx, w.dir, site.AnyPort, a.log)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: name a folder that you may write to with --dir", err)
	}
	if err != nil {
		return err
	}
	defer s.Close()
	if err := job.Only(ctx, s.Courier, w.Name, w.dir); err != nil {
		return err
	}
	w.announce(ctx, a, e, isNew)
	published := a.tracePublish(ctx, &w.Request)
	j := newJob(a, s, e, w.Request, orCores(w.slots))
	err = j.Publish(ctx)
	published(err)
	if err != nil {
		if isNew { // the folder has no run and no use
			s.Close()
			os.RemoveAll(w.dir)
			_ = os.Remove(runsDir) // stays if there is anything in it
		}
		return err
	}
	if err := sayDatasets(ctx, a.errs, s.Courier, w.Name); err != nil {
		return err
	}
	return w.work(ctx, a, j)
}

// foreign refuses a folder with results that no run in it has made: the run would replace them.
func (w wholeRun) foreign() error {
	if site.HasRuns(w.dir) {
		return nil
	}
	for _, name := range []string{"adapter", "curves", "report.html"} {
		path := filepath.Join(w.dir, name)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is there already, and no run has made it: give --dir a new folder", path)
		}
	}
	return nil
}

// work does what is left of a run that is published.
func (w wholeRun) work(ctx context.Context, a *app, j *job.Job) error {
	defer w.web.beside(a, a.errs, ui.Of(j.Courier), w.Name, " --dir "+shellQuote(w.dir))()
	end, err := j.Work(ctx)
	if ctx.Err() != nil {
		return coded(exitInterrupted, "interrupted: what was done is kept; the same command resumes it:\n  %s", w.again)
	}
	if err != nil {
		return err
	}
	return w.conclude(ctx, a, j, end)
}

// conclude prints what the run did.
func (w wholeRun) conclude(ctx context.Context, a *app, j *job.Job, end line.State) error {
	r, sum, err := j.Conclude(ctx, end, w.dir, version())
	if err != nil {
		return err
	}
	if w.curves {
		if _, err := writeCurves(a.errs, filepath.Join(w.dir, "curves"), r, true); err != nil {
			return err
		}
	}
	if w.json {
		if err := printJSON(a.out, schemaSummary, sum); err != nil {
			return err
		}
	} else {
		if err := r.Short(a.out, a.color); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "adapter: %s\npage: %s\n", orNone(sum.AdapterDir), sum.Report)
	}
	return verdict(w.Name, sum.Status, sum.Detail)
}

// newJob is a run in this process that shows its progress on the screen.
func newJob(a *app, s *site.Site, e *engine, r job.Request, slots int) *job.Job {
	return &job.Job{
		Request: r, Local: newLocal(a, s, e, slots),
		Show: func(ctx context.Context) error { return progress.Follow(ctx, s.Courier, r.Name, a.display()) },
	}
}

// newLocal is keeper and worker in this process.
func newLocal(a *app, s *site.Site, e *engine, slots int) job.Local {
	return job.Local{
		Courier: s.Courier, Engine: e.Engine, Worker: workerName(e.device.Name()), Slots: slots, Log: a.log,
		Judge: a.workersJudge(), Tracer: a.workersTracer(),
	}
}

// verdict turns the end of a run into an exit code.
func verdict(run, status, detail string) error {
	switch status {
	case schemas.StatusDone:
		return nil
	case schemas.StatusGuard:
		return coded(exitGuard, "run %s was stopped by the guard, its last good policy stands: %s", run, detail)
	case job.StatusStalled:
		return coded(exitStalled, "run %s is stalled: %s", run, detail)
	}
	return coded(exitFailed, "run %s %s: %s", run, status, detail)
}
