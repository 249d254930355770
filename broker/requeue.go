package broker

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// Requeue makes a stage's queue deliver the record with this sequence again, and all of its records behind
// it, although they were acked. So it suits stages that find an existing result and do nothing then. Items
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

// requeue makes the durable consumer again, because a consumer's start cannot be changed. If this process
// dies between the two steps, the next worker makes it, from the first record.
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
	info := old.CachedInfo()
	config := info.Config
	config.DeliverPolicy = jetstream.DeliverByStartSequencePolicy
	// What was not acked yet must not be left out.
	config.OptStartSeq = max(min(sequence, info.AckFloor.Stream+1), 1)
	if err := b.js.DeleteConsumer(c, stream, stage); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return err
	}
	_, err = b.js.CreateConsumer(c, stream, config)
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return nil // a worker was faster, and made it from the first record
	}
	return err
}
