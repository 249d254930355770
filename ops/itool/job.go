package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/config"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/report"
	"itool/schemas"
)

// job is a whole run in this process: what `run` and `demo` do.
type job struct {
	name  string
	dir   string // broker, store, adapter and report go here
	base  fs.FS
	files []string
	cfg   config.Config
	slots int
	json  bool
	again string // the command that resumes it
}

// do publishes, works until the run ends, exports the adapter and reports.
func (j job) do(ctx context.Context, a *app) error {
	e, err := newEngine(a)
	if err != nil {
		return err
	}
	fresh := !exists(j.dir)
	s, err := openFolder(ctx, a, j.dir, anyPort)
	if err != nil {
		return err
	}
	defer s.close()
	if err := j.alone(ctx, s); err != nil {
		return err
	}
	if err := publish(ctx, s.Courier, e, j.request()); err != nil {
		if fresh { // a folder without a run is of no use to anybody
			s.close()
			os.RemoveAll(j.dir)
		}
		return err
	}
	end, err := j.work(ctx, a, s, e)
	if ctx.Err() != nil {
		return coded(exitInterrupted, "interrupted: what was done is kept; the same command resumes it:\n  %s", j.again)
	}
	if err != nil {
		return err
	}
	return j.conclude(ctx, a, s, end)
}

// alone refuses a folder of another run, whose adapter and report would be replaced.
func (j job) alone(ctx context.Context, s *site) error {
	for m, err := range s.Broker.Started(ctx) {
		if err != nil {
			return err
		}
		if m.Run != j.name {
			return fmt.Errorf("%s is the folder of run %s: give another --dir", j.dir, m.Run)
		}
	}
	return nil
}

func (j job) request() request {
	return request{name: j.name, base: j.base, files: j.files, cfg: j.cfg}
}

// localAckWait is how long a resumed run waits for items that were in work when it
// ended: the server forgets at its own end what was handed back to it. Within one
// process no heartbeat is late, so it can be short.
const localAckWait = 6 * time.Second

// work runs keeper, worker and display until the run ends or stalls.
func (j job) work(ctx context.Context, a *app, s *site, e *engine) (line.State, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	name := workerName(e.device.Name())
	w := newWorker(a, s, name, line.Stages(e.Engine), j.slots)
	w.AckWait = localAckWait
	stopWorker := until(ctx, w.Run)
	stopDisplay := until(ctx, func(ctx context.Context) error { return follow(ctx, a, s.Courier, j.name) })
	var end line.State
	err := newKeeper(a, s, name, localAckWait).Run(ctx, keeperInterval, func(st line.State) {
		if st.Run == j.name && (st.Ended || st.Stalled != "") {
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

// conclude exports the adapter, writes the report and says how the run ended.
func (j job) conclude(ctx context.Context, a *app, s *site, end line.State) error {
	r, err := report.Gather(ctx, s.Courier, j.name)
	if err != nil {
		return err
	}
	sum := r.Summary()
	if p := r.Final(); p != nil && p.Digest != r.Policies[0].Digest {
		sum.AdapterDir = filepath.Join(j.dir, "adapter")
		if err := exportAdapter(ctx, s.Courier, r, *p, sum.AdapterDir, true); err != nil {
			return err
		}
	}
	sum.Report = filepath.Join(j.dir, "report.html")
	if err := writeFile(sum.Report, r.HTML); err != nil {
		return err
	}
	if end.Stalled != "" {
		sum.Status, sum.Detail = "stalled", end.Stalled
	}
	if j.json {
		b, err := json.Marshal(sum)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.out, "%s\n", b)
	} else {
		if err := r.Text(a.out); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "\nadapter  %s\nreport   %s\n", orNone(sum.AdapterDir), sum.Report)
	}
	return verdict(j.name, sum.Status, sum.Detail)
}

// verdict turns the end of a run into an exit code.
func verdict(run, status, detail string) error {
	switch status {
	case schemas.StatusDone:
		return nil
	case schemas.StatusGuard:
		return coded(exitGuard, "run %s was stopped by the guard, its last good policy stands: %s", run, detail)
	case "stalled":
		return coded(exitStalled, "run %s is stalled: %s", run, detail)
	}
	return coded(exitFailed, "run %s %s: %s", run, status, detail)
}

// request is what publish needs.
type request struct {
	name  string
	base  fs.FS
	files []string
	cfg   config.Config
}

// publish starts the run, or finds it started already by the same request.
func publish(ctx context.Context, c *courier.Courier, e *engine, r request) error {
	text, digest, err := r.cfg.Freeze()
	if err != nil {
		return err
	}
	created := time.Now()
	old, err := started(ctx, c, r.name)
	if err != nil {
		return err
	}
	if old != nil {
		if old.ConfigDigest != digest {
			return fmt.Errorf("a run named %s is there with another configuration (%s): give the same settings to resume it, or another --name", r.name, differences(old.Config, text))
		}
		// The same request gives the same bytes only with the same time.
		if created, err = time.Parse(time.RFC3339, old.Created); err != nil {
			return fmt.Errorf("run %s: created: %w", r.name, err)
		}
	}
	return line.Publish(ctx, c, e.Engine, line.Request{
		Run: r.name, Seed: r.cfg.Seed, Config: text, Digest: digest, ShardRows: r.cfg.Line.ShardRows,
		Base: r.base, Files: r.files, Created: created,
	})
}

// started returns the run's description, or nil when there is no such run.
func started(ctx context.Context, c *courier.Courier, name string) (*schemas.Run, error) {
	for m, err := range c.Broker.Started(ctx) {
		if err != nil {
			return nil, err
		}
		if m.Run != name {
			continue
		}
		b, err := c.Open(ctx, m)
		if err != nil {
			return nil, err
		}
		rows, err := schemas.Decode[schemas.Run](b)
		if err != nil || len(rows) != 1 {
			return nil, fmt.Errorf("run %s: its start message holds %d rows instead of one: %w", name, len(rows), err)
		}
		return &rows[0], nil
	}
	return nil, nil
}

// differences names up to four settings that two configurations do not share.
func differences(old, now string) string {
	a, b := map[string]string{}, map[string]string{}
	flatten("", old, a)
	flatten("", now, b)
	var out []string
	for k := range b {
		if a[k] != b[k] {
			out = append(out, fmt.Sprintf("%s was %s, is %s", k, a[k], b[k]))
		}
	}
	sort.Strings(out)
	if len(out) > 4 {
		out = append(out[:4], "…")
	}
	return strings.Join(out, "; ")
}

func flatten(path, text string, into map[string]string) {
	var section map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &section) != nil {
		into[strings.TrimPrefix(path, ".")] = text
		return
	}
	for k, v := range section {
		flatten(path+"."+k, string(v), into)
	}
}

// mustExist turns a missing run into words.
func mustExist(ctx context.Context, c *courier.Courier, run string) error {
	old, err := started(ctx, c, run)
	if err != nil || old != nil {
		return err
	}
	var names []string
	for m, err := range c.Broker.Started(ctx) {
		if err != nil {
			return err
		}
		names = append(names, m.Run)
	}
	return fmt.Errorf("there is no run named %s; there are: %s", run, orNone(strings.Join(names, ", ")))
}

// notYet explains a run that nobody has opened.
func notYet(run string, err error) error {
	if errors.Is(err, broker.ErrNoRun) {
		return fmt.Errorf("run %s was published, but no keeper has opened it: start `itool work keeper`, or `itool up`", run)
	}
	return err
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
