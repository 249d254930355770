package ui

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/retire"
	"itool/schemas"
)

// Source is where runs are.
type Source interface {
	// List lists the runs, the last one first.
	List(ctx context.Context) ([]Listed, error)
	// Open reaches a run until release is called. broker.ErrNoRun or fs.ErrNotExist: there is no such run.
	Open(ctx context.Context, run string) (c *courier.Courier, release func(), err error)
}

// Listed is a run in the list.
type Listed struct {
	Run     string
	Status  string // as itool runs has it; "": unknown until the run is opened
	Created string // RFC 3339; "": unknown
	Seed    uint64
	Rows    int // of the datasets
	Detail  string
}

// Of is the source of the runs at one broker.
func Of(c *courier.Courier) Source { return &one{c: c, ended: map[string]string{}} }

// one is a broker with its store. It remembers how runs ended: that does not change.
type one struct {
	c     *courier.Courier
	mu    sync.Mutex
	ended map[string]string // by name and creation of the run
}

func (o *one) Open(context.Context, string) (*courier.Courier, func(), error) {
	return o.c, func() {}, nil
}

func (o *one) List(ctx context.Context) ([]Listed, error) {
	var all []Listed
	known := map[string]bool{}
	for run, err := range o.c.Started(ctx) {
		if err != nil {
			return nil, err
		}
		known[run.Name] = true
		l := Listed{Run: run.Name, Created: run.Created, Seed: run.Seed, Rows: rowsOf(run)}
		if l.Status, err = o.status(ctx, run); err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	retired, err := retire.List(ctx, o.c)
	if err != nil {
		return nil, err
	}
	for _, run := range retired {
		if !known[run] {
			all = append(all, Listed{Run: run, Status: "retired"})
		}
	}
	slices.SortStableFunc(all, func(a, b Listed) int { return strings.Compare(b.Created, a.Created) })
	return all, nil
}

func (o *one) status(ctx context.Context, run schemas.Run) (string, error) {
	id := run.Name + " " + run.Created
	o.mu.Lock()
	status, known := o.ended[id]
	o.mu.Unlock()
	if known {
		return status, nil
	}
	end, err := o.c.End(ctx, run.Name)
	switch {
	case err == nil:
		o.mu.Lock()
		o.ended[id] = end.Status
		o.mu.Unlock()
		return end.Status, nil
	case errors.Is(err, broker.ErrNoRun):
		return "published", nil
	case !errors.Is(err, broker.ErrNotExist):
		return "", err
	}
	said, err := line.ReadStatus(ctx, o.c, run.Name)
	if err != nil {
		return "", err
	}
	v := line.View{Status: said}
	switch {
	case v.Stalled() != "":
		return "stalled", nil
	case len(v.Waits()) > 0:
		return "waiting", nil
	}
	return "running", nil
}
