package line

import (
	"context"
	"errors"
	"slices"
	"sort"
	"strconv"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
)

// View shows how far a run is. It is read from the run's stream alone, so any process may look at
// any time.
type View struct {
	Run    string
	Rounds []RoundView // in the order of the line
	Failed int
	Status *Status      // what its keeper says; nil: there is no keeper
	End    *schemas.End // nil while the run goes on
}

// RoundView is one round of one record: how many items, how many have a result.
type RoundView struct {
	Round       int
	Record      string // example, score, pair, verdict
	Title       string // what the round does, such as "score with"; the name of its policy follows if OfPolicy
	OfPolicy    bool
	Total, Done int
	Gathered    bool
	// Steps are the stages that an item of the round goes through, in order, if there are several and the
	// round is open. The last one makes the result that Done counts.
	Steps []Step
}

// Step is one stage of a round: how many items it has answered.
type Step struct {
	Stage string
	Done  int
}

// Slowest is what the round waits for: the first stage that has not answered all items.
func (r RoundView) Slowest() (s Step, ok bool) {
	for _, s := range r.Steps {
		if s.Done < r.Total {
			return s, true
		}
	}
	return Step{}, false
}

// Look reads where a run stands. Its cost grows with the rounds, not with their items.
// broker.ErrNoRun: the keeper has not opened the run yet, or it was retired.
func (t Table) Look(ctx context.Context, c *courier.Courier, run string) (View, error) {
	return t.LookAgain(ctx, c, run, View{})
}

// LookAgain is Look by somebody who has looked before: the rounds that were closed then are not counted again, so
// that its cost grows with the open rounds.
func (t Table) LookAgain(ctx context.Context, c *courier.Courier, run string, before View) (View, error) {
	v := View{Run: run}
	for m, err := range c.Broker.List(ctx, run, "manifest.*.*") {
		if err != nil {
			return v, err
		}
		if i := slices.IndexFunc(before.Rounds, func(r RoundView) bool {
			return r.Gathered && r.Round == m.Round && r.Record == m.Key
		}); i >= 0 {
			v.Rounds = append(v.Rounds, before.Rounds[i])
			continue
		}
		total, err := strconv.Atoi(m.Header["itool-rows"])
		if err != nil {
			return v, err
		}
		rv := RoundView{Round: m.Round, Record: m.Key, Total: total}
		rv.Title, rv.OfPolicy = t.title(m.Key)
		if rv.Done, err = c.Broker.Count(ctx, run, broker.Filter(m.Key, m.Round)); err != nil {
			return v, err
		}
		gather := broker.Address{Run: run, Record: schemas.RecordGather, Round: m.Round, Key: m.Key}
		if rv.Gathered, err = c.Broker.Has(ctx, gather); err != nil {
			return v, err
		}
		if !rv.Gathered {
			if rv.Steps, err = t.steps(ctx, c, run, rv); err != nil {
				return v, err
			}
		}
		v.Rounds = append(v.Rounds, rv)
	}
	sort.SliceStable(v.Rounds, func(i, j int) bool {
		a, b := v.Rounds[i], v.Rounds[j]
		if a.Round != b.Round {
			return a.Round < b.Round
		}
		return t.position(a.Record) < t.position(b.Record)
	})
	var err error
	if v.Failed, err = c.Broker.Count(ctx, run, "failed.*.*"); err != nil {
		return v, err
	}
	end, err := c.End(ctx, run)
	if err == nil {
		v.End = &end
		return v, nil
	} else if !errors.Is(err, broker.ErrNotExist) {
		return v, err
	}
	v.Status, err = ReadStatus(ctx, c, run)
	return v, err
}

// Stalled says why a run needs a person; "": it does not, or no keeper says so.
func (v View) Stalled() string {
	if v.Status == nil {
		return ""
	}
	return v.Status.Stalled
}

// Waits says what the run waits for, as far as its keeper knows.
func (v View) Waits() []string {
	switch {
	case v.End != nil:
		return nil
	case v.Status == nil:
		return []string{NoKeeper}
	}
	return v.Status.Waiting
}

// steps counts what the stages of a round have answered.
func (t Table) steps(ctx context.Context, c *courier.Courier, run string, r RoundView) (steps []Step, err error) {
	for _, spec := range t.through(r.Record) {
		done := r.Done
		if spec.Writes != r.Record {
			if done, err = c.Broker.Count(ctx, run, broker.Filter(spec.Writes, r.Round)); err != nil {
				return nil, err
			}
		}
		steps = append(steps, Step{Stage: spec.Name, Done: done})
	}
	return steps, nil
}

// through are the stages between the tasks of a round and its result, if there are several.
func (t Table) through(result string) (specs []stages.Spec) {
	at := slices.IndexFunc(t, func(row Row) bool { return row.Round != nil && row.Round.Result == result })
	if at < 0 || t[at].Spec().Writes == result {
		return nil
	}
	writes := ""
	for _, row := range t[at:] {
		if spec := row.Spec(); len(specs) == 0 || spec.Wakes == writes && !spec.Gather {
			specs, writes = append(specs, spec), spec.Writes
		}
		if writes == result {
			return specs
		}
	}
	return nil
}

// position orders the rounds of one number: first the evaluation of policy r, then the rounds that
// begin with it, in the order of the table.
func (t Table) position(record string) int {
	for i, row := range t {
		switch {
		case row.Round == nil || row.Round.Result != record:
		case row.When == EachPolicy:
			return i - len(t)
		default:
			return i
		}
	}
	return len(t)
}

// title says what a round does. A round that is not in the table is called by its record.
func (t Table) title(record string) (title string, ofPolicy bool) {
	for _, row := range t {
		if row.Round != nil && row.Round.Result == record {
			return row.Round.Title, row.When != Once
		}
	}
	return record, true
}
