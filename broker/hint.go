package broker

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// Topic is a kind of announcement. Announcements may get lost: they may make work start
// sooner, but nothing may depend on their arrival.
type Topic string

const (
	Hint     Topic = "hint"     // something changed in a run: look for work
	Progress Topic = "progress" // how far a worker has come
)

// Announce sends a message to all who listen at this moment. It is no error if there
// are no listeners.
func (b *Broker) Announce(ctx context.Context, topic Topic, run string, data []byte) error {
	subject, err := topic.subject(run)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return b.explain(ctx, "announce "+subject, err)
	}
	return b.explain(ctx, "announce "+subject, b.nc.Publish(subject, data))
}

// Listen yields the announcements of one run, or of all runs with run "*", until ctx is
// done or the Broker is closed; then the channel closes. Only Run and Data of a message
// are set. A reader that is too slow misses announcements.
func (b *Broker) Listen(ctx context.Context, topic Topic, run string) (<-chan Message, error) {
	subject := "itool." + string(topic) + ".*"
	if run != "*" {
		var err error
		if subject, err = topic.subject(run); err != nil {
			return nil, err
		}
	}
	op := "listen to " + subject
	messages := make(chan Message, 64)
	sub, err := b.nc.Subscribe(subject, func(m *nats.Msg) {
		run := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
		select {
		case messages <- Message{Address: Address{Run: run}, Data: m.Data}:
		default: // the reader is too slow; waiting for it would block the whole connection
		}
	})
	if err != nil {
		return nil, b.explain(ctx, op, err)
	}
	// The handler runs after the last message, so nothing is sent on a closed channel.
	// OnceFunc, because a closing connection may call the handler twice.
	end := sync.OnceFunc(func() { close(messages) })
	sub.SetClosedHandler(func(string) { end() })
	context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() })
	c, cancel := b.call(ctx)
	defer cancel()
	// Flush, so that the subscription is active at the server when Listen returns.
	if err := b.nc.FlushWithContext(c); err != nil && !errors.Is(err, context.Canceled) {
		_ = sub.Unsubscribe()
		return nil, b.explain(ctx, op, err)
	}
	return messages, nil
}

func (t Topic) subject(run string) (string, error) {
	if err := validToken("topic", string(t)); err != nil {
		return "", err
	}
	if err := validToken("run", run); err != nil {
		return "", err
	}
	return "itool." + string(t) + "." + run, nil
}
