package line

import (
	"context"
	"errors"
	"sort"
	"strconv"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
)

// View is what a watcher sees of a run. It is read from the stream alone, so any
// process may look at any time.
type View struct {
	Run    string
	Rounds []RoundView // in the order of the line
	Failed int
	End    *schemas.End // nil while the run goes on
}

// RoundView is one round of one record: how many items, how many have a result.
type RoundView struct {
	Round       int
	Record      string // example, score, pair, verdict
	Total, Done int
	Gathered    bool
}

// Look reads a run's standing; what it costs grows with the rounds, not with their
// items. broker.ErrNoRun: the keeper has not opened it yet,
// or it was retired.
func Look(ctx context.Context, c *courier.Courier, run string) (View, error) {
	v := View{Run: run}
	for m, err := range c.Broker.List(ctx, run, "manifest.*.*") {
		if err != nil {
			return v, err
		}
		total, err := strconv.Atoi(m.Header["itool-rows"])
		if err != nil {
			return v, err
		}
		rv := RoundView{Round: m.Round, Record: m.Key, Total: total}
		if rv.Done, err = c.Broker.Count(ctx, run, broker.Filter(m.Key, m.Round)); err != nil {
			return v, err
		}
		if rv.Gathered, err = c.Broker.Has(ctx, broker.Address{Run: run, Record: schemas.RecordGather, Round: m.Round, Key: m.Key}); err != nil {
			return v, err
		}
		v.Rounds = append(v.Rounds, rv)
	}
	order := map[string]int{roundVerdicts.result: 0, roundExamples.result: 1, roundScores.result: 2, roundPairs.result: 3}
	sort.Slice(v.Rounds, func(i, j int) bool {
		a, b := v.Rounds[i], v.Rounds[j]
		if a.Round != b.Round {
			return a.Round < b.Round
		}
		return order[a.Record] < order[b.Record]
	})
	var err error
	if v.Failed, err = c.Broker.Count(ctx, run, "failed.*.*"); err != nil {
		return v, err
	}
	end, _, err := courier.Rows[schemas.End](ctx, c, run, schemas.RecordEnd, 0, schemas.KeyEnd)
	if err == nil && len(end) == 1 {
		v.End = &end[0]
	} else if err != nil && !errors.Is(err, broker.ErrNotExist) {
		return v, err
	}
	return v, nil
}
