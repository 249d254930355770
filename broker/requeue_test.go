package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"itool/broker"
	"itool/broker/embed"
)

// What was acked comes again from the record that is asked for; what was not acked is not left out.
func TestRequeue(t *testing.T) {
	s, err := embed.Start(embed.Config{Dir: t.TempDir(), InProcessOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	b, err := broker.Connect(t.Context(), broker.Config{InProcess: s})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.CreateRun(t.Context(), "r", 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Requeue(t.Context(), "r", "expand", 1); err != nil {
		t.Errorf("without a queue: %v", err)
	}
	for i := range 5 {
		at := broker.Address{Run: "r", Record: "root", Key: fmt.Sprint("k", i)}
		if _, err := b.Publish(t.Context(), at, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	options := broker.PullOptions{AckWait: 5 * time.Minute}
	q, err := b.Pull(t.Context(), "r", "expand", []string{"root.*.*"}, options)
	if err != nil {
		t.Fatal(err)
	}
	take := func(want ...string) {
		t.Helper()
		var got []string
		for range 100 {
			d, err := q.Next(t.Context())
			if errors.Is(err, broker.ErrEmpty) {
				if len(got) >= len(want) {
					break
				}
				time.Sleep(5 * time.Millisecond)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if n, err := d.FailedAttempts(t.Context()); err != nil || n != 0 {
				t.Errorf("%s has failed %d times, %v", d.Key, n, err)
			}
			if got = append(got, d.Key); d.Key == "k1" && len(want) == 5 {
				continue // stays in work
			}
			if err := d.Ack(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	take("k0", "k1", "k2", "k3", "k4")
	if err := b.Requeue(t.Context(), "r", "expand", 4); err != nil {
		t.Fatal(err)
	}
	take("k1", "k2", "k3", "k4") // k1 was in work
	if err := b.Requeue(t.Context(), "r", "expand", 4); err != nil {
		t.Fatal(err)
	}
	options.AckWait *= 2 // the next worker asks for more, which changes the queue
	if q, err = b.Pull(t.Context(), "r", "expand", []string{"root.*.*"}, options); err != nil {
		t.Fatal(err)
	}
	take("k3", "k4")
	if err := b.Requeue(t.Context(), "x", "expand", 4); !errors.Is(err, broker.ErrNoRun) {
		t.Errorf("without a run: %v", err)
	}
}
