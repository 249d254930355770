// Package brokertest proves what package broker promises, against any server.
//
//	func TestBroker(t *testing.T) {
//		brokertest.Run(t, func(t *testing.T) brokertest.Server { ... })
//	}
package brokertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"itool/broker"
)

// Server is an empty server of the test's own.
type Server struct {
	// Connect opens a new connection, closed when the test ends.
	Connect func(t *testing.T) *broker.Broker
	// Restart stops the server and starts it again on the same data and address;
	// connections mend themselves. Nil where that cannot be: those tests are skipped.
	Restart func(t *testing.T)
}

// Run runs the whole suite; open is called once for each test.
func Run(t *testing.T, open func(t *testing.T) Server) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Server)
	}{
		{"write once", writeOnce},
		{"write once among many at a time", writeOnceRace},
		{"write once after a restart", writeOnceRestart},
		{"records come back as they were", roundTrip},
		{"names that are not legal", badNames},
		{"lists, counts and keys agree", listing},
		{"runs and starts", runs},
		{"a deleted run refuses late publishes", deletedRun},
		{"a full stream refuses and loses nothing", fullStream},
		{"too large a message", messageTooLarge},
		{"empty pulls are quick", emptyPulls},
		{"a pull takes one and no more", noPrefetch},
		{"saturated: no item is lost", saturated},
		{"a missed heartbeat brings an item back", missedHeartbeat},
		{"a heartbeat keeps an item", heartbeat},
		{"a stale holder is harmless", staleHolder},
		{"attempts: errors count, hand-backs do not", attempts},
		{"a queue outlives a restart", queueRestart},
		{"filters choose, and a second pull widens", filters},
		{"a lease has one holder", leaseExclusive},
		{"a lease runs out and is taken over", leaseExpiry},
		{"a renewed lease lasts", leaseRenew},
		{"announcements", announcements},
		{"a done context stops every call", cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open(t))
		})
	}
}

// maxWait bounds every wait of the suite; nothing takes that long unless it is broken.
const maxWait = 30 * time.Second

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), maxWait)
	t.Cleanup(cancel)
	return ctx
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func address(run, record string, round int, key string) broker.Address {
	return broker.Address{Run: run, Record: record, Round: round, Key: key}
}

// createTasks makes a run with n tasks of round 0 whose data is their key.
func createTasks(t *testing.T, b *broker.Broker, run string, n int) {
	t.Helper()
	ctx := testContext(t)
	check(t, b.CreateRun(ctx, run, 0))
	for i := range n {
		publish(t, b, address(run, "task", 0, fmt.Sprintf("k%03d", i)))
	}
}

func publish(t *testing.T, b *broker.Broker, a broker.Address) {
	t.Helper()
	stored, err := b.Publish(testContext(t), a, nil, []byte(a.Key))
	if err != nil || !stored {
		t.Fatalf("publish %s: stored %v, %v", a, stored, err)
	}
}

func openQueue(t *testing.T, b *broker.Broker, run string, ackWait time.Duration) *broker.Puller {
	t.Helper()
	p, err := b.Pull(testContext(t), run, "work", []string{"task.*.*"}, broker.PullOptions{AckWait: ackWait})
	check(t, err)
	return p
}

// nextItem waits for an item that is due.
func nextItem(t *testing.T, p *broker.Puller) *broker.Delivery {
	t.Helper()
	var d *broker.Delivery
	poll(t, "an item", func(ctx context.Context) (err error) {
		d, err = p.Next(ctx)
		return err
	})
	return d
}

// poll repeats try until it succeeds; only "not yet" errors are repeated.
func poll(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	ctx := testContext(t)
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		again := errors.Is(err, broker.ErrEmpty) || errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrHeld)
		if !again || ctx.Err() != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func wantEmpty(t *testing.T, p *broker.Puller) {
	t.Helper()
	if d, err := p.Next(testContext(t)); !errors.Is(err, broker.ErrEmpty) {
		t.Fatalf("next: got %v, %v, want nothing", d, err)
	}
}

func requireRestart(t *testing.T, s Server) {
	if s.Restart == nil {
		t.Skip("this server cannot be restarted by a test")
	}
}
