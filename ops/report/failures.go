package report

import (
	"context"
	"errors"
	"slices"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
)

func (g *gatherer) readFailures(ctx context.Context) (err error) {
	if g.r.Failures, err = Failures(ctx, g.c, g.run); err != nil {
		return err
	}
	g.r.Refused, err = Refused(ctx, g.c, g.run)
	return err
}

// Failures lists the failed items of a run, by round and key.
func Failures(ctx context.Context, c *courier.Courier, run string) ([]Failure, error) {
	return failures(ctx, c, run, schemas.RecordFailed)
}

// Refused lists the results that keepers refused, by round and key.
func Refused(ctx context.Context, c *courier.Courier, run string) ([]Failure, error) {
	return failures(ctx, c, run, schemas.RecordRefused)
}

// failures reads the records of failed or refused. Foreign messages among them are left out.
func failures(ctx context.Context, c *courier.Courier, run, record string) ([]Failure, error) {
	var out []Failure
	var places []broker.Address
	for m, err := range c.Broker.List(ctx, run, record+".*.*") {
		if err != nil {
			return nil, err
		}
		places = append(places, m.Address)
	}
	slices.SortFunc(places, func(a, b broker.Address) int {
		if a.Round != b.Round {
			return a.Round - b.Round
		}
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	for _, at := range places {
		rows, _, err := courier.Rows[schemas.Failed](ctx, c, run, record, at.Round, at.Key)
		var infra *courier.InfraError
		if errors.As(err, &infra) || errors.Is(err, broker.ErrNoRun) || ctx.Err() != nil {
			return nil, err
		}
		for _, f := range rows {
			out = append(out, Failure{
				Round: at.Round, Key: at.Key, Stage: f.Stage, Reason: f.Reason, Attempts: int(f.Attempts),
				Error: f.Error, Subject: f.Subject, Worker: f.Worker,
			})
		}
	}
	return out, nil
}
