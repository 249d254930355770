package broker

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// bucket is a small map from a key to its last value, shared by all connections.
type bucket struct {
	name      string
	ttl       time.Duration // how long every key is kept; 0: without limit
	markerTTL time.Duration // > 0: single keys may have a time limit; how long an expired key leaves a marker
}

// keyValue opens a bucket and creates it if it does not exist. That happens on first
// use only, so that a worker that never uses it needs no permission to create streams.
func (b *Broker) keyValue(ctx context.Context, want bucket) (jetstream.KeyValue, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if kv := b.buckets[want.name]; kv != nil {
		return kv, nil
	}
	kv, err := openOrCreate(ctx, b, jetstream.ErrBucketNotFound,
		func(c context.Context) (jetstream.KeyValue, error) { return b.js.KeyValue(c, want.name) },
		func(c context.Context) (jetstream.KeyValue, error) {
			if _, err := b.js.CreateStream(c, b.bucketStream(want)); err != nil {
				return nil, err
			}
			return b.js.KeyValue(c, want.name)
		})
	if err == nil {
		b.buckets[want.name] = kv
	}
	return kv, err
}

// bucketStream has the settings of the client's own CreateKeyValue, but without direct
// reads: a replica that lags behind would tell a holder that its lease is lost.
func (b *Broker) bucketStream(want bucket) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:                   "KV_" + want.name,
		Subjects:               []string{"$KV." + want.name + ".>"},
		Storage:                jetstream.FileStorage,
		Discard:                jetstream.DiscardNew,
		MaxMsgsPerSubject:      1, // with more history, keys would outlive their time limit
		MaxBytes:               -1,
		MaxAge:                 want.ttl,
		AllowRollup:            true,
		DenyDelete:             true,
		AllowMsgTTL:            want.markerTTL > 0,
		SubjectDeleteMarkerTTL: want.markerTTL,
		Replicas:               b.replicas,
	}
}
