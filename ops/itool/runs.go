package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/progress"
	"itool/ops/retire"
)

// runsCmd is `itool runs`: it lists all runs, one a line, and how far each is.
type runsCmd struct {
	target
	JSON bool `name:"json" help:"Print a JSON array of all runs instead of lines."`
}

// runStatus is one run in the list.
type runStatus struct {
	Run     string            `json:"run"`
	Status  string            `json:"status"` // published, running, waiting, retired, or the status of schemas.End
	Detail  string            `json:"detail,omitempty"`
	Failed  int               `json:"failed"`           // items that were given up
	Rounds  []roundStatus     `json:"rounds,omitempty"` // in the order of the line
	Waiting []courier.Waiting `json:"waiting,omitempty"`

	view line.View
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
	statusRetired   = "retired"
)

func (c *runsCmd) Run(ctx context.Context, a *app) error {
	s, err := c.open(ctx, a, "")
	if err != nil {
		return err
	}
	defer s.Close()
	all, err := runStatuses(ctx, s.Courier)
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		return e.Encode(all)
	}
	for _, r := range all {
		r.print(a)
	}
	if len(all) == 0 {
		fmt.Fprintln(a.out, "no runs")
	}
	return nil
}

// runStatuses looks at every run; the retired ones come last. It is never nil.
func runStatuses(ctx context.Context, c *courier.Courier) ([]runStatus, error) {
	waits, err := c.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	all, started := []runStatus{}, map[string]bool{}
	for m, err := range c.Broker.Started(ctx) {
		if err != nil {
			return nil, err
		}
		r, err := statusOf(ctx, c, m.Run, waits)
		if err != nil {
			return nil, err
		}
		started[m.Run] = true
		all = append(all, r)
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

func statusOf(ctx context.Context, c *courier.Courier, run string, waits []courier.Waiting) (runStatus, error) {
	r := runStatus{Run: run, Status: statusRunning}
	view, err := line.Rows(nil).Look(ctx, c, run)
	if errors.Is(err, broker.ErrNoRun) {
		r.Status = statusPublished
		return r, nil
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
	for _, w := range waits {
		if w.Run == "" || w.Run == run {
			r.Status, r.Waiting = statusWaiting, append(r.Waiting, w)
		}
	}
	return r, nil
}

func (r runStatus) print(a *app) {
	switch r.Status {
	case statusPublished:
		fmt.Fprintf(a.out, "%-32s published, no keeper has opened it yet\n", r.Run)
	case statusRunning, statusWaiting:
		fmt.Fprintf(a.out, "%-32s %s: %s%s\n", r.Run, r.Status, where(r.view), failures(r.view))
		for _, w := range progress.Waits(r.Waiting, r.Run) {
			fmt.Fprintf(a.out, "%-32s %s\n", "", w)
		}
	default:
		fmt.Fprintf(a.out, "%-32s %s\n", r.Run, r.Status)
	}
}
