package line

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
)

// Requeued is what Requeue did.
type Requeued struct {
	Items int      // failed items that are tried again
	Late  []string // failed items whose round is closed: "stage round key"
}

// Requeue lets workers try the items again that a run gave up, as long as their rounds are open. Their
// failure records stay; a result beats them. *OverError: the run has ended.
func (t Table) Requeue(ctx context.Context, c *courier.Courier, run string) (done Requeued, err error) {
	if end, err := c.End(ctx, run); err == nil {
		return done, &OverError{end.Status}
	} else if !errors.Is(err, broker.ErrNotExist) {
		return done, err
	}
	first := map[string]uint64{} // of every stage: the sequence of its first failed task
	for m, err := range c.Broker.List(ctx, run, schemas.RecordFailed+".*.*") {
		if err != nil {
			return done, err
		}
		rows, _, err := courier.Rows[schemas.Failed](ctx, c, run, schemas.RecordFailed, m.Round, m.Key)
		var infra *courier.InfraError
		if errors.As(err, &infra) || errors.Is(err, broker.ErrNoRun) || ctx.Err() != nil {
			return done, err
		}
		for _, f := range rows { // none of a foreign message
			task, open, err := t.failedTask(ctx, c, run, m.Address, f)
			switch {
			case err != nil:
				return done, fmt.Errorf("%v: %w", m.Address, err)
			case !open:
				done.Late = append(done.Late, fmt.Sprintf("%s %d %s", f.Stage, m.Round, m.Key))
			case task > 0:
				done.Items++
				if at, ok := first[f.Stage]; !ok || task < at {
					first[f.Stage] = task
				}
			}
		}
	}
	for _, stage := range slices.Sorted(maps.Keys(first)) {
		if err := c.Broker.Requeue(ctx, run, stage, first[stage]); err != nil {
			return done, err
		}
	}
	_ = c.Broker.Announce(ctx, broker.Hint, run, nil)
	return done, nil
}

// failedTask finds the task of a failure record. sequence is 0 if the item has a result by now; open is
// false if its round is closed, so that a result would come too late.
func (t Table) failedTask(
	ctx context.Context, c *courier.Courier, run string, at broker.Address, f schemas.Failed,
) (sequence uint64, open bool, err error) {
	row := slices.IndexFunc(t, func(row Row) bool { return row.Spec().Name == f.Stage })
	if row < 0 {
		return 0, false, fmt.Errorf("the line has no stage %q", f.Stage)
	}
	result := broker.Address{Run: run, Record: t[row].Spec().Writes, Round: at.Round, Key: at.Key}
	if has, err := c.Broker.Has(ctx, result); has || err != nil {
		return 0, true, err
	}
	for _, r := range t {
		if !t.inRound(r, f.Stage) {
			continue
		}
		gather := broker.Address{Run: run, Record: schemas.RecordGather, Round: at.Round, Key: r.Round.Result}
		if closed, err := c.Broker.Has(ctx, gather); closed || err != nil {
			return 0, false, err
		}
	}
	task, err := taskAddress(run, f.Subject)
	if err != nil {
		return 0, false, err
	}
	m, err := c.Broker.Get(ctx, task)
	return m.Sequence, true, err
}

// inRound reports whether the round that a row opens waits for a stage.
func (t Table) inRound(r Row, stage string) bool {
	if r.Round == nil {
		return false
	}
	through := t.through(r.Round.Result)
	return r.Spec().Name == stage ||
		slices.ContainsFunc(through, func(s stages.Spec) bool { return s.Name == stage })
}

// taskAddress reads the subject that a failure record names.
func taskAddress(run, subject string) (broker.Address, error) {
	parts := strings.Split(subject, ".")
	if len(parts) != 6 || parts[2] != run {
		return broker.Address{}, fmt.Errorf("%.80q is no task of run %s", subject, run)
	}
	round, err := strconv.Atoi(parts[4])
	if err != nil {
		return broker.Address{}, fmt.Errorf("%.80q has no round", subject)
	}
	return broker.Address{Run: run, Record: parts[3], Round: round, Key: parts[5]}, nil
}

// inWork reports whether the stages that a round waits for have items to do: then an item that was given up
// may be tried again.
func (k *Keeper) inWork(ctx context.Context, s *runState, rd Round) (bool, error) {
	opener := slices.IndexFunc(k.Line, func(r Row) bool { return r.Round != nil && r.Round.Result == rd.Result })
	for _, row := range k.Line {
		stage := row.Spec().Name
		if !k.Line.inRound(k.Line[opener], stage) {
			continue
		}
		pending, inFlight, err := k.Courier.Broker.Depth(ctx, s.run.Name, stage)
		if errors.Is(err, broker.ErrNoStage) {
			continue
		}
		if err != nil || pending+inFlight > 0 {
			return true, err
		}
	}
	return false, nil
}
