// Package job does a whole run in one process, as `itool run`, `itool demo` and the pilot
// of `itool estimate` do: it publishes the run, works on it until it ends or needs a
// person, and writes the adapter and the report.
//
//	j := job.Job{Request: req, Local: job.Local{Courier: s.Courier, Engine: e, Slots: 2, Log: log}}
//	err := j.Publish(ctx)
//	end, err := j.Work(ctx)
//
// Everything is resumable: the same request finds its run and continues it. A run under
// the same name with other settings is an error. NewKeeper and NewWorker are the parts
// that processes of their own use (`itool up`, `itool work`).
package job

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"itool/ops/config"
	"itool/ops/courier"
	"itool/ops/export"
	"itool/ops/line"
	"itool/ops/report"
	"itool/ops/ui"
	"itool/ops/whole"
	"itool/ops/worker"
	"itool/stages"
)

// Request says what a run is made from.
type Request struct {
	Name     string   // one token of [A-Za-z0-9_-]
	Base     fs.FS    // a Hugging Face folder
	BaseName string   // by which a user named it, for exports; may be empty
	Files    []string // dataset files
	Config   config.Config

	Traceparent string // of the span that publishes it; "": none
}

// Job is a whole run in this process.
type Job struct {
	Request
	Local
	// Show displays progress until its context ends; nil: nothing is shown.
	Show func(context.Context) error
}

// AckWait is the time after which an item counts as lost, for keeper and worker in one
// process: a resumed run waits so long for the items that were in work when it ended. No
// heartbeat is late within a process, so it can be short.
const AckWait = 6 * time.Second

// KeeperInterval bounds how late a keeper is when a hint was lost.
const KeeperInterval = 2 * time.Second

// Publish starts the run, or finds it started by the same request.
func (j *Job) Publish(ctx context.Context) error {
	return Publish(ctx, j.Courier, j.Engine, j.Request)
}

// Work runs keeper, worker and display until the run ends or stalls, and returns that
// state. When ctx ends first, the state is empty.
func (j *Job) Work(ctx context.Context) (line.State, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := j.newWorker()
	stopWorker := Until(ctx, w.Run)
	stopDisplay := func() error { return nil }
	if j.Show != nil {
		stopDisplay = Until(ctx, j.Show)
	}
	var end line.State
	err := NewKeeper(j.Courier, j.Worker, AckWait, j.Log).Run(ctx, KeeperInterval, func(st line.State) {
		if st.Run == j.Name && (st.Ended || st.Stalled != "") {
			end = st
			cancel()
		}
	})
	displayed := stopDisplay()
	worked := stopWorker()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return end, errors.Join(err, worked, displayed)
}

// Conclude writes the last policy's adapter (adapter/) and the report (report.html) into
// dir and summarises the run. An adapter that Conclude wrote earlier is replaced. version
// is that of this program.
func (j *Job) Conclude(ctx context.Context, end line.State, dir, version string) (*report.Report, report.Summary,
	error) {
	r, err := report.Gather(ctx, j.Courier, j.Name)
	if err != nil {
		return nil, report.Summary{}, err
	}
	sum := r.Summary()
	if p := r.Final(); p != nil && p.Digest != r.Policies[0].Digest {
		sum.AdapterDir = filepath.Join(dir, "adapter")
		if err := export.Adapter(ctx, j.Courier, r, *p, sum.AdapterDir, version, true); err != nil {
			return nil, sum, err
		}
	}
	sum.Report = filepath.Join(dir, "report.html")
	freeze := func(w io.Writer) error { return ui.Freeze(ctx, w, r, j.Courier) }
	if err := whole.File(sum.Report, freeze); err != nil {
		return nil, sum, err
	}
	if err := private(sum.AdapterDir, sum.Report); err != nil {
		return nil, sum, err
	}
	if end.Stalled != "" {
		sum.Status, sum.Detail = StatusStalled, end.Stalled
	}
	return r, sum, nil
}

// private lets only their owner read folders and files, "" excepted: they show what the run learnt from.
func private(paths ...string) error {
	for _, path := range paths {
		err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			switch {
			case path == "":
				return nil
			case err != nil:
				return err
			case d.IsDir():
				return os.Chmod(name, 0o700)
			}
			return os.Chmod(name, 0o600)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// StatusStalled is a summary's status when the run waits for a person; see schemas.End for
// the others.
const StatusStalled = "stalled"

// NewKeeper makes a keeper of all runs. ackWait is how long it gives workers to send a
// heartbeat.
func NewKeeper(c *courier.Courier, name string, ackWait time.Duration, log *slog.Logger) *line.Keeper {
	return &line.Keeper{Courier: c, Worker: name, AckWait: ackWait, Log: log}
}

// NewWorker makes a worker of the given stages of all runs. It serves them in the order of line.Drain.
func NewWorker(c *courier.Courier, name string, work []stages.Stage, slots int, log *slog.Logger) *worker.Worker {
	return &worker.Worker{
		Courier: c, Stages: line.Drain(work), Name: name, Slots: slots, Log: log, Awaits: line.Rows(nil).Awaits,
	}
}

// Until runs f with a context that ends when stop is called; stop waits for f and returns
// its error. Call stop exactly once.
func Until(ctx context.Context, f func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}
