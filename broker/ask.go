package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Answer lets answer reply to every question of Ask about the topic, until ctx ends or the Broker is closed.
// It uses no stream: it works while the server cannot write.
func (b *Broker) Answer(ctx context.Context, topic string, answer func() []byte) error {
	if err := validToken("topic", topic); err != nil {
		return err
	}
	sub, err := b.nc.Subscribe(askPrefix+topic, func(m *nats.Msg) {
		_ = m.Respond(answer()) // the asker may have left
	})
	if err != nil {
		return b.explain(ctx, "answer "+topic, err)
	}
	context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() })
	c, cancel := b.call(ctx)
	defer cancel()
	// A process that asks once Answer has returned gets an answer. While the connection is away the subscription
	// waits for it.
	_ = b.nc.FlushWithContext(c)
	return nil
}

const askPrefix = "itool.ask."

// maxAnswers bounds how many answers Ask collects.
const maxAnswers = 10_000

// Ask collects the answers that come within patience; there may be none. One that is late is missing.
func (b *Broker) Ask(ctx context.Context, topic string, patience time.Duration) (answers [][]byte, err error) {
	if err := validToken("topic", topic); err != nil {
		return nil, err
	}
	op := "ask for " + topic
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, b.explain(ctx, op, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := b.nc.PublishRequest(askPrefix+topic, inbox, nil); err != nil {
		return nil, b.explain(ctx, op, err)
	}
	c, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for len(answers) < maxAnswers {
		m, err := sub.NextMsgWithContext(c)
		switch {
		case ctx.Err() != nil:
			return answers, fmt.Errorf("broker: %s: %w", op, ctx.Err())
		case errors.Is(err, context.DeadlineExceeded):
			return answers, nil
		case err == nil && m.Header.Get("Status") == "503", errors.Is(err, nats.ErrNoResponders):
			return answers, nil // there is no process that answers
		case err != nil:
			return answers, b.explain(ctx, op, err)
		}
		answers = append(answers, m.Data)
	}
	return answers, nil
}
