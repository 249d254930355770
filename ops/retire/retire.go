// Package retire gives back what a run holds at the broker. What report and export need of it is kept in
// the store, so that both still work:
//
//	done, err := retire.Run(ctx, courier, "r1", retire.Options{})
//	kept, err := retire.Load(ctx, courier, "r1") // later, and after a restart
//
// The run's records go: search trees, failures, progress. Its files in the store stay. A run that goes on
// is not retired unless that is forced.
package retire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/export"
	"itool/ops/report"
	"itool/schemas"
	"itool/stages/policy"
	"itool/storage"
)

// Kept is what is left of a retired run.
type Kept struct {
	Report *report.Report    `json:"report"`
	Probes []policy.Sequence `json:"probes"` // examples that a merged model is compared on
}

// Options of Run.
type Options struct {
	Force bool // retire a run that goes on, or whose report cannot be read, too
}

// Done says what was given back.
type Done struct {
	Records uint64 // that went
	Bytes   int64  // of the broker's room that are free again
	Kept    bool   // report and export still work
}

// UnfinishedError refuses a run that has not ended.
type UnfinishedError struct{ Run string }

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("run %s has not ended: `itool cancel %s` ends it, and --force retires it as it is", e.Run, e.Run)
}

const prefix = "retired/"

func key(run string) string { return prefix + run + ".json" }

// Run retires a run. It may be repeated after a crash. broker.ErrNoRun: there is no such run.
func Run(ctx context.Context, c *courier.Courier, run string, o Options) (Done, error) {
	usage, err := c.Broker.Usage(ctx, run)
	unopened := errors.Is(err, broker.ErrNoRun)
	if err != nil && !unopened {
		return Done{}, err
	}
	if unopened {
		if m, err := c.StartedAs(ctx, run); err == nil && m == nil {
			return Done{}, fmt.Errorf("retire %s: %w", run, broker.ErrNoRun)
		}
	}
	if !o.Force {
		if ended, err := c.Ended(ctx, run); err != nil && !unopened {
			return Done{}, err
		} else if !ended {
			return Done{}, &UnfinishedError{run}
		}
	}
	done := Done{Records: usage.Messages, Bytes: max(usage.QuotaBytes, int64(usage.Bytes))}
	if !unopened {
		err := keep(ctx, c, run)
		if err != nil && (!o.Force || ctx.Err() != nil) {
			return Done{}, fmt.Errorf("keep the report of run %s: %w; --force retires the run without", run, err)
		}
		done.Kept = err == nil
	}
	if err := c.Broker.DeleteRun(ctx, run); err != nil {
		return Done{}, err
	}
	_ = c.Broker.Announce(ctx, broker.Hint, run, nil) // workers drop its items sooner
	return done, nil
}

// keep writes what report and export need.
func keep(ctx context.Context, c *courier.Courier, run string) error {
	r, err := report.Gather(ctx, c, run)
	if err != nil {
		return err
	}
	probes, err := export.Probes(ctx, c, run)
	if err != nil {
		return err
	}
	body, err := json.Marshal(Kept{r, probes})
	if err != nil {
		return err
	}
	_, err = c.Store.Put(ctx, key(run), strings.NewReader(string(body)), int64(len(body)))
	return err
}

// maxKept bounds what Load reads, in bytes.
const maxKept = 256 << 20

// Load reads what is left of a retired run. storage.ErrNotExist: no run of that name was retired here.
func Load(ctx context.Context, c *courier.Courier, run string) (Kept, error) {
	var k Kept
	if err := schemas.ValidName(run); err != nil {
		return k, fmt.Errorf("run %q: %w", run, storage.ErrNotExist)
	}
	r, _, err := c.Store.Get(ctx, key(run))
	if err != nil {
		return k, err
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, maxKept))
	if err == nil {
		err = json.Unmarshal(body, &k)
	}
	if err == nil && k.Report == nil {
		err = errors.New("it holds no report")
	}
	if err != nil {
		return Kept{}, fmt.Errorf("what is left of the retired run %s: %w", run, err)
	}
	return k, nil
}

// List names the retired runs.
func List(ctx context.Context, c *courier.Courier) (runs []string, err error) {
	for info, err := range c.Store.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		if run, ok := strings.CutSuffix(strings.TrimPrefix(info.Key, prefix), ".json"); ok {
			runs = append(runs, run)
		}
	}
	return runs, nil
}
