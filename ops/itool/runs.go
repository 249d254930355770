package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/progress"
	"itool/ops/report"
	"itool/ops/retire"
	"itool/ops/site"
)

// runsCmd is `itool runs`: it lists all runs, one a line, and how far each is.
type runsCmd struct {
	target
	JSON bool `name:"json" help:"Print one JSON object with all runs instead of lines."`
}

// runStatus is one run in the list.
type runStatus struct {
	Run     string            `json:"run"`
	Dir     string            `json:"dir,omitempty"` // its folder, where several were looked into
	Status  string            `json:"status"`        // a constant below, or that of schemas.End
	Detail  string            `json:"detail,omitempty"`
	Failed  int               `json:"failed"`            // items that were given up
	Rounds  []roundStatus     `json:"rounds,omitempty"`  // in the order of the line
	Stalled string            `json:"stalled,omitempty"` // why a person must act, and how
	Waits   []string          `json:"waits,omitempty"`   // what the keeper knows that the run waits for
	Foreign int               `json:"foreign,omitempty"` // messages in open rounds that are no items
	Refused int               `json:"refused,omitempty"` // invalid results of open rounds
	Waiting []courier.Waiting `json:"waiting,omitempty"` // what workers say that they wait for

	view line.View
}

// runList is what --json prints.
type runList struct {
	Runs []runStatus `json:"runs"`
}

// roundStatus is one round of a run.
type roundStatus struct {
	Round    int            `json:"round"`
	Record   string         `json:"record"` // example, score, pair, verdict
	Total    int            `json:"total"`
	Done     int            `json:"done"`
	Stages   map[string]int `json:"stages,omitempty"` // of an open round with several: items done by each
	Gathered bool           `json:"gathered"`
}

// The statuses of runs that have not ended.
const (
	statusPublished = "published" // no keeper has opened it yet
	statusRunning   = "running"
	statusWaiting   = "waiting" // some of its items wait for something
	statusStalled   = "stalled" // a person must act
	statusRetired   = "retired"
)

func (c *runsCmd) Run(ctx context.Context, a *app) error {
	all, err := c.all(ctx, a)
	if err != nil {
		return err
	}
	if c.JSON {
		return printIndentedJSON(a.out, schemaRuns, runList{all})
	}
	for _, r := range all {
		r.print(a)
	}
	if len(all) == 0 {
		fmt.Fprintln(a.out, "no runs")
	}
	return nil
}

// all looks at the runs of the given place; without one at those in ./itool-up and in all folders of ./itool-runs.
func (c *runsCmd) all(ctx context.Context, a *app) (all []runStatus, err error) {
	conn, err := c.site()
	if err != nil {
		return nil, err
	}
	dirs := []string{c.Dir}
	if conn.Broker == "" && (c.Dir == "" || !site.HasRuns(c.Dir)) {
		if below := folders(localRuns(cmp.Or(c.Dir, runsDir))); len(below) > 0 {
			dirs = below
		}
		if c.Dir == "" && dirs[0] != "" && site.HasRuns(upDir) {
			dirs = slices.Insert(dirs, 0, upDir)
		}
	}
	all = []runStatus{}
	for _, dir := range dirs {
		of := c.target
		of.Dir = dir
		some, err := of.statuses(ctx, a)
		if err != nil {
			return nil, err
		}
		if len(dirs) > 1 || c.Dir != dir {
			for i := range some {
				some[i].Dir = dir
			}
		}
		all = append(all, some...)
	}
	return all, nil
}

func (t target) statuses(ctx context.Context, a *app) ([]runStatus, error) {
	s, waits, err := t.openToLook(ctx, a)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return runStatuses(ctx, s.Courier, waits)
}

// runStatuses looks at every run; the retired ones, which the store knows, come last. It is never nil. away says
// that the store does not answer.
func runStatuses(ctx context.Context, c *courier.Courier, away []courier.Waiting) ([]runStatus, error) {
	waits, err := c.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	waits = append(waits, away...)
	all, started := []runStatus{}, map[string]bool{}
	for m, err := range c.Broker.Started(ctx) {
		if err != nil {
			return nil, err
		}
		r, err := statusOf(ctx, c, m.Run, waits, line.View{})
		if err != nil {
			return nil, err
		}
		started[m.Run] = true
		all = append(all, r)
	}
	if len(away) > 0 {
		return all, nil
	}
	retired, err := retire.List(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, run := range retired {
		if !started[run] {
			all = append(all, runStatus{Run: run, Status: statusRetired})
		}
	}
	return all, nil
}

// statusOf looks at one run. waits is what all workers say that they wait for, which explains why a run stands still;
// before is what an earlier look saw.
func statusOf(ctx context.Context, c *courier.Courier, run string, waits []courier.Waiting, before line.View) (
	runStatus, error,
) {
	r := runStatus{Run: run, Status: statusRunning}
	view, err := line.Rows(nil).LookAgain(ctx, c, run, before)
	if errors.Is(err, broker.ErrNoRun) {
		r.Status = statusPublished
		view = line.View{}
		view.Status, err = line.ReadStatus(ctx, c, run)
		r.keeperSays(view)
		return r, err
	}
	if err != nil {
		return r, err
	}
	r.view, r.Failed = view, view.Failed
	for _, v := range view.Rounds {
		rs := roundStatus{Round: v.Round, Record: v.Record, Total: v.Total, Done: v.Done, Gathered: v.Gathered}
		for _, step := range v.Steps {
			if rs.Stages == nil {
				rs.Stages = map[string]int{}
			}
			rs.Stages[step.Stage] = step.Done
		}
		r.Rounds = append(r.Rounds, rs)
	}
	if view.End != nil {
		r.Status, r.Detail = view.End.Status, view.End.Detail
		return r, nil
	}
	r.keeperSays(view)
	for _, w := range waits {
		if w.Run == "" || w.Run == run {
			if r.Status == statusStalled {
				r.Waiting = append(r.Waiting, w)
				continue
			}
			r.Status, r.Waiting = statusWaiting, append(r.Waiting, w)
		}
	}
	return r, nil
}

// keeperSays takes over what the run's keeper says, or that there is none.
func (r *runStatus) keeperSays(v line.View) {
	if v.Status != nil {
		r.Foreign, r.Refused = v.Status.Foreign, v.Status.Refused
	}
	r.Stalled, r.Waits = v.Stalled(), v.Waits()
	switch {
	case r.Stalled != "":
		r.Status = statusStalled
	case len(r.Waits) > 0 && r.Status == statusRunning:
		r.Status = statusWaiting
	}
}

func (r runStatus) print(a *app) {
	switch r.Status {
	case statusPublished, statusRunning, statusWaiting, statusStalled:
		place := ", no keeper has opened it yet"
		if r.view.Run != "" {
			place = ": " + where(r.view) + failures(r.view)
		}
		fmt.Fprintf(a.out, "%-32s %s%s\n", r.Run, r.Status, place)
		if r.Stalled != "" {
			fmt.Fprintf(a.out, "%-32s %s\n", "", report.Plain(r.Stalled))
		}
		for _, w := range r.Waits {
			fmt.Fprintf(a.out, "%-32s %s\n", "", report.Plain(w))
		}
		if r.Foreign+r.Refused > 0 {
			fmt.Fprintf(a.out, "%-32s %d foreign messages are ignored, %d results were refused\n",
				"", r.Foreign, r.Refused)
		}
		for _, w := range progress.Waits(r.Waiting, r.Run) {
			fmt.Fprintf(a.out, "%-32s %s\n", "", w)
		}
	default:
		fmt.Fprintf(a.out, "%-32s %s\n", r.Run, r.Status)
	}
}
