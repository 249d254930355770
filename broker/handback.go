package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The server counts deliveries. It cannot tell a worker that handed its item back from a
// worker that crashed. So hand-backs are counted in a bucket, per run, stage and item.
const bucketHandBacks = "itool_handbacks"

// The count of an item starts again at zero if it was not handed back for this long.
const handBackTTL = 30 * 24 * time.Hour

func (b *Broker) handBacks(ctx context.Context, key string) (n int, revision uint64, err error) {
	kv, err := b.handBackBucket(ctx)
	if err != nil {
		return 0, 0, err
	}
	c, cancel := b.call(ctx)
	defer cancel()
	e, err := kv.Get(c, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	n, err = strconv.Atoi(string(e.Value()))
	if err != nil || n < 0 {
		return 0, 0, fmt.Errorf("hand-backs %s: %q is not a count", key, e.Value())
	}
	return n, e.Revision(), nil
}

// recordHandBack adds one to the count. Two holders of the same item may do so at once.
func (b *Broker) recordHandBack(ctx context.Context, key string) error {
	for {
		n, revision, err := b.handBacks(ctx, key)
		if err != nil {
			return err
		}
		kv, err := b.handBackBucket(ctx)
		if err != nil {
			return err
		}
		c, cancel := b.call(ctx)
		value := []byte(strconv.Itoa(n + 1))
		if revision == 0 {
			_, err = kv.Create(c, key, value)
		} else {
			_, err = kv.Update(c, key, value, revision)
		}
		cancel()
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return err
		} // another holder was faster: read the count again; in each attempt one holder succeeds
	}
}

func (b *Broker) handBackBucket(ctx context.Context) (jetstream.KeyValue, error) {
	return b.keyValue(ctx, bucket{name: bucketHandBacks, ttl: handBackTTL})
}

// HandBacks counts how often an item of a stage was handed back, by its place in the run's stream.
func (b *Broker) HandBacks(ctx context.Context, run, stage string, sequence uint64) (int, error) {
	key := run + "." + stage + "." + strconv.FormatUint(sequence, 10)
	n, _, err := b.handBacks(ctx, key)
	return n, b.explain(ctx, "hand-backs of "+key, err)
}
