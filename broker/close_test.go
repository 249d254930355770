package broker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"itool/broker"
	"itool/broker/embed"
)

// TestCloseDuringPull closes the connection while a pull from a saturated queue stops
// waiting: the client then reports the end of the subscription twice.
func TestCloseDuringPull(t *testing.T) {
	s := start(t, embed.Config{Dir: t.TempDir(), InProcessOnly: true})
	keep := connect(t, broker.Config{InProcess: s})
	if err := keep.CreateRun(t.Context(), "r", 1<<20); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b"} {
		if _, err := keep.Publish(t.Context(), broker.Address{Run: "r", Record: "x", Key: key}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	options := broker.PullOptions{MaxAckPending: 1, AckWait: time.Minute}
	first, err := keep.Pull(t.Context(), "r", "s", []string{"x.*.*"}, options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		b := connect(t, broker.Config{InProcess: s})
		p, err := b.Pull(t.Context(), "r", "s", []string{"x.*.*"}, options)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if d, err := p.Next(ctx); err == nil {
					t.Errorf("got %v while the queue is saturated", d.Address)
				}
			})
		}
		time.Sleep(time.Duration(i%6) * 200 * time.Microsecond)
		cancel()
		b.Close()
		wg.Wait()
	}
}
