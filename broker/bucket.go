package broker

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// bucket is a small map from key to last value, shared by all.
type bucket struct {
	name      string
	ttl       time.Duration // of every key; 0 keeps them
	markerTTL time.Duration // > 0: single keys may have a time limit; how long their end is remembered
}

// keyValue opens a bucket and makes it when it is first needed, so that workers
// without the right to make streams do not need it.
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

// bucketStream is what the client's own CreateKeyValue makes but for one thing: no
// direct reads. A replica that lags would tell a holder that its lease is lost.
func (b *Broker) bucketStream(want bucket) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:                   "KV_" + want.name,
		Subjects:               []string{"$KV." + want.name + ".>"},
		Storage:                jetstream.FileStorage,
		Discard:                jetstream.DiscardNew,
		MaxMsgsPerSubject:      1, // more history would stretch time limits
		MaxBytes:               -1,
		MaxAge:                 want.ttl,
		AllowRollup:            true,
		DenyDelete:             true,
		AllowMsgTTL:            want.markerTTL > 0,
		SubjectDeleteMarkerTTL: want.markerTTL,
		Replicas:               b.replicas,
	}
}
