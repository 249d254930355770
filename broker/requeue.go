package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Requeue makes a stage's queue deliver the record with this sequence again, and all of its records behind
// it, although they were acked. Use it only for stages that do nothing for an item whose result exists. Items
// that are in work meanwhile may be delivered a second time. If the queue does not exist, nothing is lost:
// its first Pull delivers everything.
func (b *Broker) Requeue(ctx context.Context, run, stage string, sequence uint64) error {
	if err := validToken("run", run); err != nil {
		return err
	}
	if err := validToken("stage", stage); err != nil {
		return err
	}
	return b.explain(ctx, "requeue "+stage+" of run "+run, b.requeue(ctx, streamRun+run, stage, sequence))
}

// requeue resets the durable consumer. To delete and make it again would not do: the server may still be
// removing the files of the old one while it writes those of the new one, which then begins with the old state.
func (b *Broker) requeue(ctx context.Context, stream, stage string, sequence uint64) error {
	c, cancel := b.call(ctx)
	defer cancel()
	old, err := b.js.Consumer(c, stream, stage)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	// What was not acked yet must not be left out.
	from := max(min(sequence, old.CachedInfo().AckFloor.Stream+1), 1)
	_, err = b.js.ResetConsumerToSequence(c, stream, stage, from)
	if errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("nats-server before 2.14 cannot deliver items again, update it: %w", err)
	}
	return err
}
