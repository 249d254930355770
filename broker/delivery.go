package broker

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Delivery is one item in hand. It is somebody else's again when no heartbeat comes
// for AckWait; then nothing done to it here is an error, and nothing is to be trusted:
// only the write-once record says whose result counts.
type Delivery struct {
	Message
	p         *Puller
	reply     string
	delivered int
	settled   atomic.Bool
	counted   atomic.Bool // the hand-back, so that trying again does not count twice
}

// FailedAttempts counts the deliveries before this one that were not handed back
// cleanly: errors, crashes, lost heartbeats. It asks the server only when there were any.
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

// Heartbeat says that the item is still in work.
func (d *Delivery) Heartbeat(ctx context.Context) error {
	return d.send(ctx, "heartbeat for", "+WPI", false)
}

// Ack says that the item's result is stored. The server has confirmed when it returns.
func (d *Delivery) Ack(ctx context.Context) error { return d.send(ctx, "ack", "+ACK", true) }

// Retry gives the item back after an error of the work; it counts as a failed attempt,
// and it comes back after the delay.
func (d *Delivery) Retry(ctx context.Context, delay time.Duration) error {
	return d.send(ctx, "retry", fmt.Sprintf(`-NAK {"delay": %d}`, max(delay, 0).Nanoseconds()), true)
}

// HandBack gives the item back unharmed, as a worker does that was told to stop; it
// does not count as a failed attempt.
func (d *Delivery) HandBack(ctx context.Context) error {
	if d.settled.Load() {
		return nil
	}
	// Recorded first: a crash in between costs an AckWait, not an attempt.
	if !d.counted.Load() {
		if err := d.p.b.recordHandBack(ctx, d.handBackKey()); err != nil {
			return d.p.b.explain(ctx, d.op("hand back"), err)
		}
		d.counted.Store(true)
	}
	return d.send(ctx, "hand back", "-NAK", true)
}

// send sends a signal and waits until the server has it. What comes after the signal
// that settled the item is not sent: it would touch the next holder's delivery.
func (d *Delivery) send(ctx context.Context, what, signal string, settles bool) error {
	if d.settled.Load() {
		return nil
	}
	b := d.p.b
	c, cancel := b.call(ctx)
	defer cancel()
	find := func(c context.Context) error {
		_, err := b.js.Consumer(c, streamRun+d.Run, d.p.stage)
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
