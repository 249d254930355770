package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/reuse"
	"itool/schemas"
)

// HeaderReused is the header of a copied record. It names the run that computed the record.
const HeaderReused = reuse.Header

// reuse copies records from the run that has most records in common with run. It returns their number, and the other
// run's name.
func (l *Lab) reuse(ctx context.Context, run schemas.Run, runs map[string]schemas.Run) (
	n int, from string, err error) {
	var best []reuse.Link
	most := 0
	for _, name := range slices.Sorted(maps.Keys(runs)) {
		links, err := reuse.Common(run, runs[name])
		if err != nil {
			return 0, "", fmt.Errorf("run %s: %w", name, err)
		}
		has, err := reuse.Records(ctx, l.Courier, name, links)
		if errors.Is(err, broker.ErrNoRun) {
			continue // it was retired meanwhile
		}
		if err != nil {
			return 0, "", fmt.Errorf("run %s: %w", name, err)
		}
		if has <= most {
			continue
		}
		if ok, err := l.reusable(ctx, name); err != nil {
			return 0, "", err
		} else if ok {
			best, from, most = links, name, has
		}
	}
	if len(best) == 0 {
		return 0, "", nil
	}
	n, err = reuse.Copy(ctx, l.Courier, run, from, best)
	return n, from, err
}

// reusable reports whether records may be copied from a run: it is done or was cancelled, no item failed, and all
// records were computed at our kernel level. Another level gives other bytes. Of a cancelled run there may be a part of
// the records, which is right as far as it goes; one that has not ended may belong to another seed that is at work.
func (l *Lab) reusable(ctx context.Context, run string) (bool, error) {
	end, err := l.Courier.End(ctx, run)
	switch {
	case errors.Is(err, broker.ErrNotExist), errors.Is(err, broker.ErrNoRun):
		return false, nil
	case err != nil:
		return false, err
	case !slices.Contains([]string{schemas.StatusDone, schemas.StatusGuard, schemas.StatusCancelled}, end.Status):
		return false, nil
	}
	if failed, err := l.Courier.Broker.Count(ctx, run, "failed.*.*"); err != nil || failed > 0 {
		return false, err
	}
	for _, record := range line.Rows(nil).Records() {
		if record == schemas.RecordExample || record == schemas.RecordPair {
			continue // made without the kernels: the same bytes at every level
		}
		for m, err := range l.Courier.Broker.List(ctx, run, record+".*.*") {
			if err != nil {
				return false, err
			}
			worker := m.Header["itool-worker"] // its name ends with its kernel level
			computed := m.Header[courier.HeaderSeconds] != ""
			if computed && l.Device != "" && !strings.HasSuffix(worker, " "+l.Device) {
				l.Log.Info("a run of another kernel level is not reused", "run", run, "worker", worker)
				return false, nil
			}
		}
	}
	return true, nil
}
