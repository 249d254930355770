package broker

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Traffic is one message that somebody sent about a run: a record that was published, which the server may
// have refused, or a signal about an item.
type Traffic struct {
	At     time.Time // when it was seen
	Signal string    // "publish", or of an item: "heartbeat", "ack", "retry" or another text

	// Of a publish.
	Address Address
	Header  map[string]string // with those for the server
	Data    []byte

	// Of a signal.
	Stage      string
	Sequence   uint64 // of the item in the run's stream
	Deliveries int    // of the item, this one included
	Delay      string // of a retry, as it was sent
}

// maxTraffic is how many messages wait for a slow reader; more are lost.
const maxTraffic = 4096

// Traffic yields what is sent about a run until ctx is done. It sees what passes the server that this
// connection is to, so it is for tests of workers on a server of their own.
func (b *Broker) Traffic(ctx context.Context, run string) (<-chan Traffic, error) {
	if err := validToken("run", run); err != nil {
		return nil, err
	}
	in, out := make(chan *nats.Msg, maxTraffic), make(chan Traffic)
	var subs []*nats.Subscription
	for _, subject := range []string{runPrefix + run + ".>", "$JS.ACK." + streamRun + run + ".>"} {
		sub, err := b.nc.ChanSubscribe(subject, in)
		if err != nil {
			return nil, b.explain(ctx, "listen to "+subject, err)
		}
		subs = append(subs, sub)
	}
	c, cancel := b.call(ctx)
	defer cancel()
	if err := b.nc.FlushWithContext(c); err != nil {
		return nil, b.explain(ctx, "listen to run "+run, err)
	}
	go func() {
		defer close(out)
		for {
			select {
			case m := <-in:
				if t, ok := traffic(m); ok {
					select {
					case out <- t:
					case <-ctx.Done():
					}
				}
			case <-ctx.Done():
				for _, sub := range subs {
					_ = sub.Unsubscribe()
				}
				return
			}
		}
	}()
	return out, nil
}

// signals are the texts of the signals that a worker sends.
var signals = map[string]string{"+WPI": "heartbeat", "+ACK": "ack", "": "ack", "-NAK": "retry"}

// traffic reads a message. ok is false if it is about no record and no item.
func traffic(m *nats.Msg) (t Traffic, ok bool) {
	t.At = time.Now()
	if strings.HasPrefix(m.Subject, runPrefix) {
		address, err := parseAddress(m.Subject)
		t.Signal, t.Address, t.Header, t.Data = "publish", address, map[string]string{}, m.Data
		for k, v := range m.Header {
			if len(v) > 0 {
				t.Header[k] = v[0]
			}
		}
		return t, err == nil
	}
	f := strings.Split(m.Subject, ".") // $JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.…
	if len(f) < 6 {
		return t, false
	}
	var err1, err2 error
	t.Stage = f[3]
	t.Deliveries, err1 = strconv.Atoi(f[4])
	t.Sequence, err2 = strconv.ParseUint(f[5], 10, 64)
	word, rest, _ := strings.Cut(string(m.Data), " ")
	t.Signal, t.Delay = word, rest
	if known, found := signals[word]; found {
		t.Signal = known
	}
	return t, err1 == nil && err2 == nil
}
