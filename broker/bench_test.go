package broker_test

import (
	"fmt"
	"sync"
	"testing"

	"itool/broker"
	"itool/broker/embed"
)

func bench(b *testing.B) *broker.Broker {
	s := start(b, embed.Config{Dir: b.TempDir(), InProcessOnly: true})
	br := connect(b, broker.Config{InProcess: s})
	if err := br.CreateRun(b.Context(), "r", 0); err != nil {
		b.Fatal(err)
	}
	return br
}

func task(i int) broker.Address {
	return broker.Address{Run: "r", Record: "task", Key: fmt.Sprintf("%07d", i)}
}

// publishTasks publishes n tasks of size bytes, 64 at a time.
func publishTasks(b *testing.B, br *broker.Broker, n, size int) {
	b.Helper()
	data := make([]byte, size)
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := w; i < n; i += 64 {
				if _, err := br.Publish(b.Context(), task(i), nil, data); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkItem measures what the queue costs per item of a stage: pull, publish the
// result, ack.
func BenchmarkItem(b *testing.B) {
	br := bench(b)
	publishTasks(b, br, b.N, 1024)
	p, err := br.Pull(b.Context(), "r", "work", []string{"task.*.*"}, broker.PullOptions{})
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 1024)
	b.ResetTimer()
	for range b.N {
		d, err := p.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		a := d.Address
		a.Record = "pair"
		if _, err := br.Publish(b.Context(), a, d.Header, data); err != nil {
			b.Fatal(err)
		}
		if err := d.Ack(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	br := bench(b)
	data := make([]byte, 1024)
	b.ResetTimer()
	for i := range b.N {
		if _, err := br.Publish(b.Context(), task(i), nil, data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEmptyPull(b *testing.B) {
	br := bench(b)
	p, err := br.Pull(b.Context(), "r", "work", []string{"task.*.*"}, broker.PullOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		if _, err := p.Next(b.Context()); err == nil {
			b.Fatal("got an item from an empty queue")
		}
	}
}

// BenchmarkRound uses a round of 47,619 items: a million items over 21 rounds.
func BenchmarkRound(b *testing.B) {
	br := bench(b)
	publishTasks(b, br, 47_619, 200)
	b.Run("count", func(b *testing.B) {
		for range b.N {
			if n, err := br.Count(b.Context(), "r", "task.0.*"); err != nil || n != 47_619 {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("keys", func(b *testing.B) {
		for range b.N {
			if keys, err := br.Keys(b.Context(), "r", "task", 0); err != nil || len(keys) != 47_619 {
				b.Fatal(len(keys), err)
			}
		}
	})
}
