package broker

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// Topic is a kind of news that may be lost: nothing may depend on it but speed.
type Topic string

const (
	Hint     Topic = "hint"     // something changed: look
	Progress Topic = "progress" // how far a worker is
)

// Announce tells whoever listens now. That nobody does is not an error.
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

// Listen yields news of one run, or of all with run "*", until ctx is done or the
// Broker is closed; then the channel closes. Of a message only Run and Data are set.
// Who reads slowly misses some.
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
		select {
		case messages <- Message{Address: Address{Run: m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]}, Data: m.Data}:
		default: // never hold up the connection
		}
	})
	if err != nil {
		return nil, b.explain(ctx, op, err)
	}
	// Called after the last message, so nobody sends on a closed channel; once only,
	// though a closing connection may call twice.
	end := sync.OnceFunc(func() { close(messages) })
	sub.SetClosedHandler(func(string) { end() })
	context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() })
	c, cancel := b.call(ctx)
	defer cancel()
	// What is announced after we return shall arrive.
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
