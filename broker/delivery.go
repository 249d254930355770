package broker

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Delivery is one item that this worker has in work. If it sends no heartbeat for
// AckWait, the server delivers the item to another worker. The methods then still answer
// without an error although they no longer have an effect that can be relied on: only
// the write-once record decides whose result counts.
type Delivery struct {
	Message
	p         *Puller
	reply     string
	delivered int
	settled   atomic.Bool // Ack, Retry or HandBack succeeded
	counted   atomic.Bool // the hand-back was recorded: a second attempt does not count twice
}

// FailedAttempts counts the earlier deliveries of this item that were not handed back:
// errors, crashes, missed heartbeats. It asks the server only if there were earlier ones.
func (d *Delivery) FailedAttempts(ctx context.Context) (int, error) {
	if d.delivered <= 1 {
		return 0, nil
	}
	n, _, err := d.p.b.handBacks(ctx, d.handBackKey())
	if err != nil {
		return 0, d.p.b.explain(ctx, d.op("count attempts of"), err)
	}
	return max(d.delivered-1-n, 0), nil
}

// Heartbeat tells the server that the item is still in work.
func (d *Delivery) Heartbeat(ctx context.Context) error {
	return d.send(ctx, "heartbeat for", "+WPI", false)
}

// Ack tells the server that the item's result is stored. It returns when the server has
// confirmed it.
func (d *Delivery) Ack(ctx context.Context) error { return d.send(ctx, "ack", "+ACK", true) }

// Retry gives the item back after the work on it failed. It counts as a failed attempt.
// The item is delivered again after the delay.
func (d *Delivery) Retry(ctx context.Context, delay time.Duration) error {
	return d.send(ctx, "retry", nak(delay), true)
}

// nak is the signal that gives an item back.
func nak(delay time.Duration) string {
	return fmt.Sprintf(`-NAK {"delay": %d}`, max(delay, 0).Nanoseconds())
}

// Deliveries counts how often the item was delivered, this time included; hand-backs count.
func (d *Delivery) Deliveries() int { return d.delivered }

// HandBack gives the item back without a failure, as a worker does that was told to
// stop. It does not count as a failed attempt.
func (d *Delivery) HandBack(ctx context.Context) error { return d.HandBackFor(ctx, 0) }

// HandBackFor is HandBack of an item that this worker cannot serve now: no worker gets it
// before the delay is over.
func (d *Delivery) HandBackFor(ctx context.Context, delay time.Duration) error {
	if d.settled.Load() {
		return nil
	}
	// Recorded first: a crash before the signal then costs one AckWait, not an attempt.
	if !d.counted.Load() {
		if err := d.p.b.recordHandBack(ctx, d.handBackKey()); err != nil {
			return d.p.b.explain(ctx, d.op("hand back"), err)
		}
		d.counted.Store(true)
	}
	return d.send(ctx, "hand back", nak(delay), true)
}

// send sends a signal about the item and waits until the server confirms it. After the
// signal that settled the item nothing is sent: it would act on the next delivery.
func (d *Delivery) send(ctx context.Context, what, signal string, settles bool) error {
	if d.settled.Load() {
		return nil
	}
	b := d.p.b
	c, cancel := b.call(ctx)
	defer cancel()
	find := func(c context.Context) error { // is there still a queue that could have answered?
		try, stop := b.try(c)
		defer stop()
		_, err := b.js.Consumer(try, streamRun+d.Run, d.p.stage)
		return err
	}
	_, err := retryUnanswered(c, find, func() (*nats.Msg, error) {
		return b.nc.RequestWithContext(c, d.reply, []byte(signal))
	})
	if err == nil && settles {
		d.settled.Store(true)
	}
	return b.explain(ctx, d.op(what), err)
}

func (d *Delivery) op(what string) string { return what + " " + d.Address.String() }

func (d *Delivery) handBackKey() string {
	return d.Run + "." + d.p.stage + "." + strconv.FormatUint(d.Sequence, 10)
}
