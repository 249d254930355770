package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const bucketLeases = "itool_leases"

// Lease is the right to do a piece of work alone, for a limited time. A holder that was
// suspended may believe that it still has the lease after it ran out. So a lease saves
// duplicate work and guarantees nothing more.
type Lease struct {
	b     *Broker
	name  string
	value string // holder and a random text that is different for each acquisition
	ttl   time.Duration

	mu       sync.Mutex
	revision uint64
}

// Acquire takes the lease, or answers ErrHeld and names the holder. name consists of one
// or more names with dots between them. ttl is at least a second; the server frees the
// lease within about a second after it. Renew it at least every ttl/3.
func (b *Broker) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (*Lease, error) {
	for token := range strings.SplitSeq(name, ".") {
		if err := validToken("lease", token); err != nil {
			return nil, err
		}
	}
	if ttl < time.Second {
		return nil, fmt.Errorf("broker: lease %s: %v is too short: the server counts in seconds", name, ttl)
	}
	op := "acquire lease " + name
	kv, err := b.leases(ctx)
	if err != nil {
		return nil, b.explain(ctx, op, err)
	}
	// If an answer gets lost, the random part tells whether we or another process took
	// the lease. It never reaches a result.
	l := &Lease{b: b, name: name, value: holder + "\n" + rand.Text(), ttl: ttl}
	c, cancel := b.call(ctx)
	defer cancel()
	l.revision, err = kv.Create(c, name, []byte(l.value), jetstream.KeyTTL(ttl))
	if errors.Is(err, jetstream.ErrKeyExists) {
		return nil, fmt.Errorf("broker: %s: %w%s", op, ErrHeld, b.heldBy(ctx, kv, name))
	}
	if err != nil {
		return nil, b.explain(ctx, op, err)
	}
	return l, nil
}

func (b *Broker) heldBy(ctx context.Context, kv jetstream.KeyValue, name string) string {
	c, cancel := b.call(ctx)
	defer cancel()
	e, err := kv.Get(c, name)
	if err != nil {
		return "" // it was freed just now, or the holder cannot be read
	}
	holder, _, _ := strings.Cut(string(e.Value()), "\n")
	return " by " + holder
}

// Renew makes the lease last its full ttl from now. ErrLost means that it ran out and
// that another process may have it. ErrUnavailable means try again until ttl is over.
func (l *Lease) Renew(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	op := "renew lease " + l.name
	c, cancel := l.b.call(ctx)
	defer cancel()
	// The client's Update has no time limit; this sends the same message with one.
	ack, err := l.b.js.Publish(c, "$KV."+bucketLeases+"."+l.name, []byte(l.value),
		jetstream.WithExpectLastSequencePerSubject(l.revision), jetstream.WithMsgTTL(l.ttl))
	var api *jetstream.APIError
	if errors.As(err, &api) && conflict(api) {
		return l.confirmHolder(ctx, op)
	}
	if err != nil {
		return l.b.explain(ctx, op, err)
	}
	l.revision = ack.Sequence
	return nil
}

// confirmHolder reads the lease after a conflict: it may be a conflict with our own
// renewal, whose answer was lost. Then the lease is still ours.
func (l *Lease) confirmHolder(ctx context.Context, op string) error {
	kv, err := l.b.leases(ctx)
	if err != nil {
		return l.b.explain(ctx, op, err)
	}
	c, cancel := l.b.call(ctx)
	defer cancel()
	e, err := kv.Get(c, l.name)
	if errors.Is(err, jetstream.ErrKeyNotFound) || err == nil && string(e.Value()) != l.value {
		return fmt.Errorf("broker: %s: %w", op, ErrLost)
	}
	if err != nil {
		return l.b.explain(ctx, op, err)
	}
	l.revision = e.Revision()
	return nil
}

// Release frees the lease at once. If the lease was lost before, it does nothing.
func (l *Lease) Release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	op := "release lease " + l.name
	kv, err := l.b.leases(ctx)
	if err != nil {
		return l.b.explain(ctx, op, err)
	}
	c, cancel := l.b.call(ctx)
	defer cancel()
	err = kv.Purge(c, l.name, jetstream.LastRevision(l.revision), jetstream.PurgeTTL(time.Minute))
	var api *jetstream.APIError
	if errors.As(err, &api) && conflict(api) {
		return nil
	}
	return l.b.explain(ctx, op, err)
}

func (b *Broker) leases(ctx context.Context) (jetstream.KeyValue, error) {
	return b.keyValue(ctx, bucket{name: bucketLeases, markerTTL: time.Second})
}
