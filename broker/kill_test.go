//go:build linux

package broker_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"itool/broker"
	"itool/broker/embed"
)

// TestKill runs the server, workers and trainers as child processes and kills them while
// they work. The child processes get their settings from these environment variables.
const (
	dirVar  = "ITOOL_BROKER_TEST_DIR"
	portVar = "ITOOL_BROKER_TEST_PORT"
	nameVar = "ITOOL_BROKER_TEST_NAME"
)

const (
	killAckWait  = 800 * time.Millisecond
	killItems    = 150
	killDuration = 5 * time.Second // how long processes are disturbed
	killTimeout  = 40 * time.Second
)

func runRole(role string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch role {
	case "server":
		return runServer(ctx)
	case "worker":
		return runWorker(ctx)
	case "trainer":
		return runTrainer(ctx)
	case "frozen":
		return runFrozen(ctx)
	}
	return errors.New("no such role")
}

func runServer(ctx context.Context) error {
	c := embed.Config{Dir: os.Getenv(dirVar)}
	if _, err := fmt.Sscan(os.Getenv(portVar), &c.Port); err != nil {
		return err
	}
	s, err := embed.Start(c)
	for end := time.Now().Add(5 * time.Second); err != nil && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond) // until the killed server's process and its lock are gone
		s, err = embed.Start(c)
	}
	if err != nil {
		return err
	}
	<-ctx.Done()
	s.Shutdown()
	return nil
}

// dial tries until the server answers: it may be down at the moment.
func dial(ctx context.Context, port string) (*broker.Broker, error) {
	for {
		config := broker.Config{URL: "nats://127.0.0.1:" + port, Name: os.Getenv(nameVar), Timeout: 2 * time.Second}
		b, err := broker.Connect(ctx, config)
		if err == nil || ctx.Err() != nil {
			return b, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// result is a worker's result for an item. It is the same in every attempt.
func result(key string) []byte {
	return fmt.Appendf(nil, "%x", sha256.Sum256([]byte(key)))
}

func runWorker(ctx context.Context) error {
	b, err := dial(ctx, os.Getenv(portVar))
	if err != nil {
		return nil // stopped before the server answered
	}
	defer b.Close()
	var p *broker.Puller
	for ctx.Err() == nil {
		if p == nil {
			p, _ = b.Pull(ctx, "r", "work", []string{"task.*.*"}, broker.PullOptions{AckWait: killAckWait})
		}
		if p != nil {
			if d, err := p.Next(ctx); err == nil {
				processItem(ctx, b, d)
				continue
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// processItem keeps trying to publish its item's result while the server is down, and
// hands the item back when the process is told to stop.
func processItem(ctx context.Context, b *broker.Broker, d *broker.Delivery) {
	uncancelled := context.WithoutCancel(ctx)
	end := time.Now().Add(time.Duration(20+rand.IntN(200)) * time.Millisecond)
	for time.Now().Before(end) {
		time.Sleep(20 * time.Millisecond)
		_ = d.Heartbeat(uncancelled)
		if ctx.Err() != nil {
			_ = d.HandBack(uncancelled)
			return
		}
	}
	to := d.Address
	to.Record = "result"
	header := map[string]string{"itool-worker": os.Getenv(nameVar)}
	for {
		if _, err := b.Publish(uncancelled, to, header, result(d.Key)); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = d.Ack(uncancelled) // if the ack gets lost, the item is delivered again and acked then
}

// TestKill does not run in parallel with other tests: while it starts processes, a socket
// that another test has just closed may stay open in one of them and keep its port.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("short: kills processes for seconds")
	}
	for name, test := range map[string]func(*testing.T){
		"queue": killQueue, "trainers": killTrainers, "frozen server": frozenServer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// killQueue: every item has exactly one result, and the right one, no matter which
// processes are killed.
func killQueue(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), killTimeout)
	defer cancel()
	c := newProcesses(t)
	c.spawn("server")
	b, err := dial(ctx, c.port)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.CreateRun(ctx, "r", 0); err != nil {
		t.Fatal(err)
	}
	workers := []string{"worker-1", "worker-2", "worker-3", "worker-4"}
	for _, w := range workers {
		c.spawn(w)
	}
	var published atomic.Bool
	go func() { // the publisher is never killed; it publishes everything twice
		defer published.Store(true)
		for range 2 {
			for i := range killItems {
				a := broker.Address{Run: "r", Record: "task", Key: fmt.Sprintf("k%04d", i)}
				for ctx.Err() == nil {
					if _, err := b.Publish(ctx, a, nil, nil); err == nil {
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
		}
	}()
	c.disturbAll(workers)
	waitUntil(ctx, t, "all results and an empty queue", func() bool {
		n, err := b.Count(ctx, "r", "result.0.*")
		waiting, inWork, err2 := b.Depth(ctx, "r", "work")
		return published.Load() && err == nil && err2 == nil && n == killItems && waiting+inWork == 0
	})
	for i := range killItems {
		key := fmt.Sprintf("k%04d", i)
		m, err := b.Get(ctx, broker.Address{Run: "r", Record: "result", Key: key})
		if err != nil || string(m.Data) != string(result(key)) {
			t.Errorf("%s: %q, %v", key, m.Data, err)
		}
	}
	if u, err := b.Usage(ctx, "r"); err != nil || u.Messages != 2*killItems {
		t.Errorf("%d messages, %v, want %d", u.Messages, err, 2*killItems)
	}
	t.Logf("%d items, %v", killItems, c.kills)
}

// frozenServer: no call waits longer than about Timeout for a server that does not answer.
func frozenServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), killTimeout)
	defer cancel()
	c := newProcesses(t)
	c.spawn("server")
	ready, err := dial(ctx, c.port)
	if err != nil {
		t.Fatal(err)
	}
	ready.Close()
	const limit = 500 * time.Millisecond
	b, err := broker.Connect(ctx, broker.Config{URL: "nats://127.0.0.1:" + c.port, Timeout: limit})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	a := broker.Address{Run: "r", Record: "task", Key: "k"}
	p, d, l := prepare(ctx, t, b, a)
	if err := c.procs["server"].Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitUntil(ctx, t, "the server to freeze", func() bool { _, err := b.Usage(ctx, "r"); return err != nil })
	for name, call := range map[string]func() error{
		"create run": func() error { return b.CreateRun(ctx, "x", 0) },
		"delete run": func() error { return b.DeleteRun(ctx, "r") },
		"runs":       func() error { _, err := b.Runs(ctx); return err },
		"publish":    func() error { _, err := b.Publish(ctx, a, nil, nil); return err },
		"get":        func() error { _, err := b.Get(ctx, a); return err },
		"keys":       func() error { _, err := b.Keys(ctx, "r", "task", 0); return err },
		"count":      func() error { _, err := b.Count(ctx, "r", "task.0.*"); return err },
		"pull": func() error {
			_, err := b.Pull(ctx, "r", "s", []string{"task.0.*"}, broker.PullOptions{})
			return err
		},
		"next":      func() error { _, err := p.Next(ctx); return err },
		"depth":     func() error { _, _, err := b.Depth(ctx, "r", "work"); return err },
		"heartbeat": func() error { return d.Heartbeat(ctx) },
		"hand back": func() error { return d.HandBack(ctx) },
		"ack":       func() error { return d.Ack(ctx) },
		"acquire":   func() error { _, err := b.Acquire(ctx, "m", "me", time.Minute); return err },
		"renew":     func() error { return l.Renew(ctx) },
	} {
		start := time.Now()
		if err := call(); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("%s: got %v, want unavailable", name, err)
		}
		if took := time.Since(start); took > 4*limit+10*time.Second {
			t.Errorf("%s took %v, the limit is %v", name, took, limit)
		}
	}
}

// prepare creates a run, takes one item from its queue, and acquires a lease.
func prepare(
	ctx context.Context, t *testing.T, b *broker.Broker, a broker.Address,
) (*broker.Puller, *broker.Delivery, *broker.Lease) {
	t.Helper()
	err := b.CreateRun(ctx, a.Run, 0)
	if err == nil {
		_, err = b.Publish(ctx, a, nil, nil)
	}
	var p *broker.Puller
	if err == nil {
		p, err = b.Pull(ctx, a.Run, "work", []string{"task.*.*"}, broker.PullOptions{})
	}
	var d *broker.Delivery
	if err == nil {
		d, err = p.Next(ctx)
	}
	var l *broker.Lease
	if err == nil {
		l, err = b.Acquire(ctx, "l", "me", time.Minute)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p, d, l
}

// runTrainer repeats: take the lease, read the last policy, train, commit the next policy.
func runTrainer(ctx context.Context) error {
	b, err := dial(ctx, os.Getenv(portVar))
	if err != nil {
		return nil
	}
	defer b.Close()
	for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		l, err := b.Acquire(ctx, "r.update", os.Getenv(nameVar), time.Second)
		if err != nil {
			continue
		}
		commitPolicy(ctx, b)
		_ = l.Renew(ctx) // an error does not matter: if another trainer was faster, the commit was refused
		_ = l.Release(ctx)
	}
	return nil
}

// commitPolicy publishes the next policy: its parent's name and its own.
func commitPolicy(ctx context.Context, b *broker.Broker) {
	last, parent, err := writeOnce{b}.last(ctx)
	if err != nil {
		return
	}
	time.Sleep(time.Duration(50+rand.IntN(150)) * time.Millisecond)
	_ = writeOnce{b}.commit(ctx, last+1, parent, fmt.Sprintf("%s.%d", os.Getenv(nameVar), rand.Uint64()))
}

// killTrainers: the policies form one chain without a fork, no matter which trainers are
// killed or frozen.
func killTrainers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), killTimeout)
	defer cancel()
	c := newProcesses(t)
	c.spawn("server")
	b, err := dial(ctx, c.port)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.CreateRun(ctx, "r", 0); err != nil {
		t.Fatal(err)
	}
	first := broker.Address{Run: "r", Record: "policy", Key: "policy"}
	if _, err := b.Publish(ctx, first, nil, []byte("- root")); err != nil {
		t.Fatal(err)
	}
	trainers := []string{"trainer-1", "trainer-2", "trainer-3"}
	for _, n := range trainers {
		c.spawn(n)
	}
	c.disturbAll(trainers)
	rounds := 0
	waitUntil(ctx, t, "some commits", func() bool {
		n, err := b.Count(ctx, "r", "policy.*.*")
		rounds = n
		return err == nil && n > 5
	})
	all, err := writeOnce{b}.all(ctx)
	if err == nil {
		err = checkChain(all)
	}
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d rounds, %v", rounds, c.kills)
}

func waitUntil(ctx context.Context, t *testing.T, what string, done func() bool) {
	t.Helper()
	for !done() {
		if ctx.Err() != nil {
			t.Fatalf("waiting for %s: %v", what, ctx.Err())
		}
		time.Sleep(50 * time.Millisecond)
	}
}
