package line

import (
	"context"
	"time"

	"itool/broker"
)

// Run steps every started run until ctx ends: on hints, and at least once per interval. onState, if
// not nil, gets the state after every step.
func (k *Keeper) Run(ctx context.Context, interval time.Duration, onState func(State)) error {
	hints, err := k.Courier.Broker.Listen(ctx, broker.Hint, "*")
	if err != nil {
		return err
	}
	if onState == nil {
		onState = func(State) {}
	}
	turn := time.After(0)
	listen, again := hints, (<-chan time.Time)(nil)
	for {
		var began time.Time
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again:
			listen, again = hints, nil
			continue
		case <-turn:
			began = time.Now()
			k.turn(ctx, onState)
			turn = time.After(interval)
		case m, ok := <-listen:
			if began = time.Now(); !ok {
				hints, listen = nil, nil // the connection was closed
				continue
			}
			k.onHint(ctx, m, listen, onState)
		}
		// Hints may use at most a quarter of the time: a step costs the server something, and
		// every result sends a hint.
		listen, again = nil, time.After(max(3*time.Since(began), 10*time.Millisecond))
	}
}

// turn steps every run, and forgets the runs that do not exist any more.
func (k *Keeper) turn(ctx context.Context, onState func(State)) {
	present := map[string]bool{}
	for m, err := range k.Courier.Broker.Started(ctx) {
		if err != nil {
			if ctx.Err() == nil {
				k.Log.Warn("read the list of runs; trying again", "error", err)
			}
			return
		}
		present[m.Run] = true
		k.report(ctx, onState)(k.Step(ctx, m))
	}
	for run := range k.runs {
		if !present[run] {
			delete(k.runs, run)
			if k.Observe != nil {
				k.Observe(Observation{Run: run, Ended: true})
			}
		}
	}
}

// onHint steps the run of this hint and those of the hints that wait behind it.
func (k *Keeper) onHint(ctx context.Context, m broker.Message, more <-chan broker.Message, onState func(State)) {
	runs := map[string]bool{m.Run: true}
	for len(more) > 0 {
		m := <-more
		runs[m.Run] = true
	}
	for run := range runs {
		s := k.runs[run]
		if s == nil || !s.read {
			k.turn(ctx, onState) // a new run
			return
		}
		if !s.state.Ended {
			k.report(ctx, onState)(k.step(ctx, s))
		}
	}
}

func (k *Keeper) report(ctx context.Context, onState func(State)) func(State, error) {
	return func(st State, err error) {
		switch {
		case ctx.Err() != nil:
		case err != nil:
			k.Log.Warn("step; trying again", "run", st.Run, "error", err)
		default:
			onState(st)
		}
	}
}
