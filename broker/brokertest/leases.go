package brokertest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"itool/broker"
)

func leaseExclusive(t *testing.T, s Server) {
	ctx := testContext(t)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		b := s.Connect(t)
		wg.Go(func() {
			switch _, err := b.Acquire(ctx, "r.update.3", "someone", time.Minute); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, broker.ErrHeld) || !strings.Contains(err.Error(), "someone"):
				t.Errorf("acquire: %v, want held by someone", err)
			}
		})
	}
	wg.Wait()
	if n := won.Load(); n != 1 {
		t.Errorf("%d holders, want 1", n)
	}
	b := s.Connect(t)
	l, err := b.Acquire(ctx, "r.update.4", "me", time.Minute)
	check(t, err)
	check(t, l.Release(ctx))
	check(t, l.Release(ctx))
	wantErr(t, "renew a released lease", l.Renew(ctx), broker.ErrLost)
	l2, err := b.Acquire(ctx, "r.update.4", "me", time.Minute)
	check(t, err)
	check(t, l.Release(ctx)) // releasing the old lease does not free the new one
	check(t, l2.Renew(ctx))
	_, err = b.Acquire(ctx, "r.update.5", "me", time.Second/2)
	if err == nil {
		t.Error("a lease of half a second was accepted, want an error")
	}
}

func leaseExpiry(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	stale, err := b.Acquire(ctx, "r.update.1", "frozen", time.Second)
	check(t, err)
	check(t, stale.Renew(ctx)) // a renewed lease runs out too
	var successor *broker.Lease
	poll(t, "the lease to run out", func(ctx context.Context) (err error) {
		successor, err = b.Acquire(ctx, "r.update.1", "successor", time.Minute)
		return err
	})
	wantErr(t, "the frozen holder's renewal", stale.Renew(ctx), broker.ErrLost)
	check(t, stale.Release(ctx))
	check(t, successor.Renew(ctx))
}

func leaseRenew(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	l, err := b.Acquire(ctx, "r.update.1", "me", time.Second)
	check(t, err)
	tick := time.NewTicker(time.Second / 3)
	defer tick.Stop()
	for range 9 { // three times its ttl
		<-tick.C
		check(t, l.Renew(ctx))
		_, err = b.Acquire(ctx, "r.update.1", "other", time.Second)
		wantErr(t, "acquire by another", err, broker.ErrHeld)
	}
}

func announcements(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	check(t, b.Announce(ctx, broker.Hint, "r1", nil)) // no error without a listener
	listen, stop := context.WithCancel(ctx)
	defer stop()
	one, err := b.Listen(listen, broker.Progress, "r1")
	check(t, err)
	all, err := b.Listen(listen, broker.Progress, "*")
	check(t, err)
	sender := s.Connect(t)
	check(t, sender.Announce(ctx, broker.Hint, "r1", []byte("no")))
	check(t, sender.Announce(ctx, broker.Progress, "r2", []byte("two")))
	check(t, sender.Announce(ctx, broker.Progress, "r1", []byte("one")))
	for _, c := range []struct {
		from      <-chan broker.Message
		run, data string
	}{{one, "r1", "one"}, {all, "r2", "two"}, {all, "r1", "one"}} {
		select {
		case m := <-c.from:
			if m.Run != c.run || string(m.Data) != c.data {
				t.Errorf("got %s %q, want %s %q", m.Run, m.Data, c.run, c.data)
			}
		case <-ctx.Done():
			t.Fatalf("no announcement of %s arrived", c.run)
		}
	}
	stop()
	for _, c := range []<-chan broker.Message{one, all} {
		select {
		case m, open := <-c:
			if open {
				t.Errorf("after the context was cancelled: got %+v, want a closed channel", m)
			}
		case <-ctx.Done():
			t.Fatal("the channel stays open")
		}
	}
	wantErr(t, "announce to a name with a dot", b.Announce(ctx, broker.Hint, "a.b", nil), broker.ErrBadName)
	_, err = b.Listen(ctx, broker.Hint, ">")
	wantErr(t, "listen to >", err, broker.ErrBadName)
}

func cancelled(t *testing.T, s Server) {
	b := s.Connect(t)
	createTasks(t, b, "r", 1)
	p := openQueue(t, b, "r", maxWait)
	d := nextItem(t, p)
	l, err := b.Acquire(testContext(t), "l", "me", time.Minute)
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := address("r", "task", 0, "k000")
	for name, call := range map[string]func() error{
		"create run": func() error { return b.CreateRun(ctx, "x", 0) },
		"delete run": func() error { return b.DeleteRun(ctx, "r") },
		"set quota":  func() error { return b.SetQuota(ctx, "r", 1) },
		"usage":      func() error { _, err := b.Usage(ctx, "r"); return err },
		"runs":       func() error { _, err := b.Runs(ctx); return err },
		"start":      func() error { return b.Start(ctx, "x", nil, nil) },
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
		"ack":       func() error { return d.Ack(ctx) },
		"retry":     func() error { return d.Retry(ctx, 0) },
		"hand back": func() error { return d.HandBack(ctx) },
		"acquire":   func() error { _, err := b.Acquire(ctx, "m", "me", time.Minute); return err },
		"renew":     func() error { return l.Renew(ctx) },
		"release":   func() error { return l.Release(ctx) },
		"announce":  func() error { return b.Announce(ctx, broker.Hint, "r", nil) },
	} {
		wantErr(t, name, call(), context.Canceled)
	}
	check(t, d.Ack(testContext(t))) // the item and the lease still belong to this holder
	check(t, l.Renew(testContext(t)))
}
