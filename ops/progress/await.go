package progress

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/report"
	"itool/schemas"
)

// Stalled is the status that Await gives a run that needs a person; see schemas.End for the others.
const Stalled = "stalled"

// stallTime is how long a run must be stalled before Await believes it: a person may just have helped.
const stallTime = 5 * time.Second

// Await waits for the end of a run, or until it is stalled: its keeper says that a person must act, or the
// run waits for something and nothing happens in it for patience (0: then it is waited for without a limit).
// It waits for a run that is not opened yet and for a broker that does not answer.
func Await(ctx context.Context, c *courier.Courier, run string, patience time.Duration) (schemas.End, error) {
	var w watcher
	for {
		end, err := c.End(ctx, run)
		if err == nil {
			return end, nil
		}
		waitable := errors.Is(err, broker.ErrNotExist) || errors.Is(err, broker.ErrNoRun) ||
			errors.Is(err, broker.ErrUnavailable)
		if !waitable {
			return schemas.End{}, err
		}
		if why := w.look(ctx, c, run, patience); why != "" {
			return schemas.End{Status: Stalled, Detail: why}, nil
		}
		select {
		case <-ctx.Done():
			return schemas.End{}, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// watcher remembers since when a run is stalled, or waits.
type watcher struct {
	stalled, waits time.Time // zero: it is not, it does not
	records        uint64    // in the run's stream
}

// look says why the run needs a person; "": it does not.
func (w *watcher) look(ctx context.Context, c *courier.Courier, run string, patience time.Duration) string {
	now := time.Now()
	status, err := line.ReadStatus(ctx, c, run)
	if u, usageErr := c.Broker.Usage(ctx, run); usageErr == nil && u.Messages != w.records {
		w.records, w.waits = u.Messages, time.Time{} // something happens
	}
	view := line.View{Status: status}
	reasons := view.Waits()
	if err != nil {
		reasons = []string{"waiting: broker: " + err.Error()}
	}
	if view.Stalled() == "" {
		w.stalled = time.Time{}
	} else if w.stalled.IsZero() {
		w.stalled = now
	}
	if len(reasons) == 0 {
		w.waits = time.Time{}
	} else if w.waits.IsZero() {
		w.waits = now
	}
	switch {
	case !w.stalled.IsZero() && now.Sub(w.stalled) >= stallTime:
		return report.Plain(view.Stalled())
	case patience > 0 && !w.waits.IsZero() && now.Sub(w.waits) >= patience:
		return "nothing happened for " + patience.String() + ": " + report.Plain(strings.Join(reasons, "; "))
	}
	return ""
}

// keeperTime is how long a run may have no status before that is shown: a keeper needs a moment to open it.
const keeperTime = 10 * time.Second

// reasons say why the run does not go on: what its keeper knows, and what workers say.
func (t *Tracker) reasons(now time.Time) (out []string) {
	if why := t.view.Stalled(); why != "" {
		out = append(out, "stalled: "+report.Plain(why))
	}
	if t.view.Status != nil || t.view.End != nil {
		t.keeper = now
	}
	if t.view.Status != nil || now.Sub(t.keeper) > keeperTime {
		for _, w := range t.view.Waits() {
			out = append(out, report.Plain(w))
		}
	}
	out = append(out, t.waits...)
	if s := t.view.Status; s != nil && s.Foreign > 0 {
		out = append(out, fmt.Sprintf("%d foreign messages are ignored", s.Foreign))
	}
	if s := t.view.Status; s != nil && s.Refused > 0 {
		out = append(out, fmt.Sprintf("%d results were refused, their items are done again (itool failed %s)",
			s.Refused, t.run))
	}
	return out
}
