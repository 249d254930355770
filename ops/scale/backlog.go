package scale

import (
	"context"
	"errors"
	"time"

	"itool/broker"
	"itool/ops/courier"
)

// Backlog counts what is left to do for some stages, over all runs that go on. It is used by one goroutine.
type Backlog struct {
	Courier *courier.Courier
	Stages  []string

	asked map[string]time.Time // runs that go on, and when that was read
	over  map[string]time.Time // runs that are over, the same
}

const (
	// A run that has ended stays ended, but its name can be given to another run.
	askOverEvery = time.Minute
	// Only the items of a cancelled run stay in its queues, so a run with items is asked often.
	askEvery = 5 * time.Second
)

// Count returns how many items wait and how many are in work, anywhere.
func (b *Backlog) Count(ctx context.Context) (waiting, inWork int, err error) {
	runs, err := b.Live(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, run := range runs {
		queues, err := b.Courier.Broker.Queues(ctx, run)
		if errors.Is(err, broker.ErrNoRun) {
			continue // it was retired meanwhile
		}
		if err != nil {
			return 0, 0, err
		}
		for _, stage := range b.Stages {
			waiting += queues[stage].Pending
			inWork += queues[stage].InFlight
		}
	}
	return waiting, inWork, nil
}

// Live lists the runs that have neither ended nor been cancelled, sorted. What it knows of a run it does not
// ask again for some seconds.
func (b *Backlog) Live(ctx context.Context) ([]string, error) {
	all, err := b.Courier.Broker.Runs(ctx)
	if err != nil {
		return nil, err
	}
	asked, over := map[string]time.Time{}, map[string]time.Time{}
	var live []string
	for _, run := range all {
		if at, known := b.over[run]; known && time.Since(at) < askOverEvery {
			over[run] = at
			continue
		}
		if at, known := b.asked[run]; known && time.Since(at) < askEvery {
			asked[run], live = at, append(live, run)
			continue
		}
		switch ended, err := isOver(ctx, b.Courier, run); {
		case errors.Is(err, broker.ErrNoRun): // it was retired meanwhile
		case err != nil:
			return nil, err
		case ended:
			over[run] = time.Now()
		default:
			asked[run], live = time.Now(), append(live, run)
		}
	}
	b.asked, b.over = asked, over
	return live, nil
}

func isOver(ctx context.Context, c *courier.Courier, run string) (bool, error) {
	if ended, err := c.Ended(ctx, run); ended || err != nil {
		return ended, err
	}
	return c.Cancelled(ctx, run)
}
