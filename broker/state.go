package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The state of a run is a short text that its keepers write again and again. Unlike the run's records it
// changes, and it disappears when it is not renewed: so a reader sees that there is no keeper, without
// comparing clocks.
const bucketStates = "itool_states"

// StateLife is how long a state lasts after it was set.
const StateLife = time.Minute

// maxState bounds a state, in bytes.
const maxState = 64 << 10

// SetState writes the state of a run; the last one counts.
func (b *Broker) SetState(ctx context.Context, run string, text []byte) error {
	op := "set the state of run " + run
	if err := validToken("run", run); err != nil {
		return err
	}
	if len(text) > maxState {
		return fmt.Errorf("broker: %s: %w: %d bytes, %d are the most", op, ErrTooLarge, len(text), maxState)
	}
	kv, err := b.states(ctx)
	if err != nil {
		return b.explain(ctx, op, err)
	}
	c, cancel := b.call(ctx)
	defer cancel()
	_, err = kv.Put(c, run, text)
	return b.explain(ctx, op, err)
}

func (b *Broker) states(ctx context.Context) (jetstream.KeyValue, error) {
	return b.keyValue(ctx, bucket{name: bucketStates, ttl: StateLife})
}

// State reads the state of a run. ErrNotExist: it was not set for StateLife, or never.
func (b *Broker) State(ctx context.Context, run string) ([]byte, error) {
	op := "state of run " + run
	if err := validToken("run", run); err != nil {
		return nil, err
	}
	c, cancel := b.call(ctx)
	defer cancel()
	kv, err := b.js.KeyValue(c, bucketStates) // a reader does not create it
	var e jetstream.KeyValueEntry
	if err == nil {
		e, err = kv.Get(c, run)
	}
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrBucketNotFound):
		return nil, fmt.Errorf("broker: %s: %w", op, ErrNotExist)
	case err != nil:
		return nil, b.explain(ctx, op, err)
	}
	return e.Value(), nil
}
