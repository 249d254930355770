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

// Lease is the right to do a piece of work alone, for a while. A holder that was
// frozen may believe in it longer than it lasts: it saves double work and no more.
type Lease struct {
	b     *Broker
	name  string
	value string // who and which acquisition
	ttl   time.Duration

	mu       sync.Mutex
	revision uint64
}

// Acquire takes the lease or says who has it (ErrHeld). name is one or more names with
// dots between; ttl is at least a second, and the server frees the lease within about
// a second after it. Renew three times as often.
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
	// The random part tells our own lost answers from another's success, and never
	// reaches a result.
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
		return "" // it has just been freed, or we cannot know
	}
	holder, _, _ := strings.Cut(string(e.Value()), "\n")
	return " by " + holder
}

// Renew makes the lease last its whole time from now. ErrLost: it ran out, and
// somebody else may have it. ErrUnavailable: try again, until the time is over.
func (l *Lease) Renew(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	op := "renew lease " + l.name
	c, cancel := l.b.call(ctx)
	defer cancel()
	// The client's Update knows no time limit; this is what it would send, with one.
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

// confirmHolder: the conflict may be with our own renewal, whose answer was lost.
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

// Release frees the lease at once. A lease that was lost already is not touched.
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
