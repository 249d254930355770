// Package brokertest is the test suite for what package broker promises. It runs against
// any kind of server: embedded, over a socket, a cluster, or a server of your own.
//
//	func TestBroker(t *testing.T) {
//		brokertest.Run(t, func(t *testing.T) brokertest.Server { ... })
//	}
//
// A new kind of server starts by passing this suite. A server that a test cannot restart
// leaves Restart nil; the tests that need it are then skipped and say so.
package brokertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"itool/broker"
)

// Server is an empty server that only one test uses.
type Server struct {
	// Connect opens a new connection, which is closed when the test ends.
	Connect func(t *testing.T) *broker.Broker
	// Restart stops the server and starts it again with the same data and address. Open
	// connections must reconnect by themselves. Nil if a test cannot restart the server.
	Restart func(t *testing.T)
}

// Run runs the whole suite. It calls open once for each test; the tests run in parallel.
func Run(t *testing.T, open func(t *testing.T) Server) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Server)
	}{
		{"write once", writeOnce},
		{"write once with many writers at a time", writeOnceRace},
		{"write once after a restart", writeOnceRestart},
		{"a record is read as it was published", roundTrip},
		{"illegal names are refused", badNames},
		{"lists, counts and keys agree", listing},
		{"a removed record makes room for another", removal},
		{"runs and starts", runs},
		{"a deleted run refuses late publishes", deletedRun},
		{"a full stream refuses and loses nothing", fullStream},
		{"a message that is too large is refused", messageTooLarge},
		{"pulls from an empty queue are fast", emptyPulls},
		{"a pull takes one item and no more", noPrefetch},
		{"no item of a saturated queue is lost", saturated},
		{"queues say what is left, how often items came, and how old the oldest is", queueViews},
		{"an item without heartbeats is delivered again", missedHeartbeat},
		{"heartbeats keep an item", heartbeat},
		{"a stale holder is harmless", staleHolder},
		{"errors count as attempts, hand-backs do not", attempts},
		{"a queue survives a restart", queueRestart},
		{"filters select, and a second pull raises limits", filters},
		{"a lease has one holder", leaseExclusive},
		{"a lease runs out and is taken over", leaseExpiry},
		{"a renewed lease lasts", leaseRenew},
		{"announcements reach their listeners", announcements},
		{"a cancelled context stops every call", cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open(t))
		})
	}
}

// maxWait limits every wait of the suite. Only a broken server takes that long.
const maxWait = 30 * time.Second

// testContext returns the test's context with the deadline maxWait.
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

// createTasks creates a run with n tasks in round 0. The data of a task is its key.
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

// openQueue opens the queue of a stage "work" that takes all tasks of the run.
func openQueue(t *testing.T, b *broker.Broker, run string, ackWait time.Duration) *broker.Puller {
	t.Helper()
	p, err := b.Pull(testContext(t), run, "work", []string{"task.*.*"}, broker.PullOptions{AckWait: ackWait})
	check(t, err)
	return p
}

// nextItem waits for the next item, which must arrive within maxWait.
func nextItem(t *testing.T, p *broker.Puller) *broker.Delivery {
	t.Helper()
	var d *broker.Delivery
	poll(t, "an item", func(ctx context.Context) (err error) {
		d, err = p.Next(ctx)
		return err
	})
	return d
}

// poll repeats try until it succeeds. It repeats only after errors that can pass: an empty
// queue, an unavailable server, a lease that another holder has.
func poll(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	ctx := testContext(t)
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		passes := errors.Is(err, broker.ErrEmpty) || errors.Is(err, broker.ErrUnavailable) ||
			errors.Is(err, broker.ErrHeld)
		if !passes || ctx.Err() != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func wantEmpty(t *testing.T, p *broker.Puller) {
	t.Helper()
	if d, err := p.Next(testContext(t)); !errors.Is(err, broker.ErrEmpty) {
		t.Fatalf("next: got %v, %v, want ErrEmpty", d, err)
	}
}

func requireRestart(t *testing.T, s Server) {
	if s.Restart == nil {
		t.Skip("a test cannot restart this server")
	}
}
