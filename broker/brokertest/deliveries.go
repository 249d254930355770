package brokertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"itool/broker"
)

// shortAckWait is an AckWait that a test can wait for.
const shortAckWait = 300 * time.Millisecond

func wantDepth(t *testing.T, b *broker.Broker, pending, inFlight int) {
	t.Helper()
	p, f, err := b.Depth(testContext(t), "r", "work")
	if err != nil || p != pending || f != inFlight {
		t.Errorf("depth: got %d waiting, %d in work, %v, want %d, %d", p, f, err, pending, inFlight)
	}
}

func wantAttempts(t *testing.T, d *broker.Delivery, want int) {
	t.Helper()
	if n, err := d.FailedAttempts(testContext(t)); n != want || err != nil {
		t.Errorf("failed attempts: got %d, %v, want %d", n, err, want)
	}
}

func emptyPulls(t *testing.T, s Server) {
	b := s.Connect(t)
	createTasks(t, b, "r", 0)
	_, _, err := b.Depth(testContext(t), "r", "work")
	wantErr(t, "depth before the first pull", err, broker.ErrNoStage)
	p := openQueue(t, b, "r", maxWait)
	wantDepth(t, b, 0, 0)
	start := time.Now()
	for range 50 {
		wantEmpty(t, p)
	}
	// One that waited for an answer that never comes would take a second alone.
	if d := time.Since(start); d > 50*50*time.Millisecond {
		t.Errorf("50 empty pulls took %v", d)
	}
}

func noPrefetch(t *testing.T, s Server) {
	b := s.Connect(t)
	createTasks(t, b, "r", 4)
	p := openQueue(t, b, "r", maxWait)
	wantDepth(t, b, 4, 0)
	seen := map[string]bool{}
	for i := range 4 {
		d := nextItem(t, p)
		if string(d.Data) != d.Key || seen[d.Key] {
			t.Errorf("item %d: %+v", i, d.Message)
		}
		seen[d.Key] = true
		wantAttempts(t, d, 0)
		wantDepth(t, b, 3-i, 1)
		check(t, d.Ack(testContext(t)))
		wantDepth(t, b, 3-i, 0)
	}
	wantEmpty(t, p)
}

// A consumer that may have no more in work stays silent; what it then sends to a
// puller that has just stopped waiting must not be lost.
func saturated(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	createTasks(t, b, "r", 3)
	p, err := b.Pull(ctx, "r", "work", []string{"task.0.*"}, broker.PullOptions{AckWait: time.Minute, MaxAckPending: 1})
	check(t, err)
	d := nextItem(t, p)
	wantEmpty(t, p)
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = p.Next(soon)
	wantErr(t, "next with a short deadline", err, context.DeadlineExceeded)
	for i := range 3 {
		check(t, d.Ack(ctx))
		if i < 2 {
			d = nextItem(t, p)
			wantAttempts(t, d, 0) // it was not delivered to nobody meanwhile
		}
	}
	wantDepth(t, b, 0, 0)
}

func missedHeartbeat(t *testing.T, s Server) {
	b := s.Connect(t)
	createTasks(t, b, "r", 1)
	p := openQueue(t, b, "r", shortAckWait)
	first := nextItem(t, p)
	wantEmpty(t, p)
	for i := 1; i <= 3; i++ {
		d := nextItem(t, p)
		if d.Address != first.Address || d.Sequence != first.Sequence {
			t.Fatalf("got %+v, want %+v again", d.Message, first.Message)
		}
		wantAttempts(t, d, i)
	}
}

func heartbeat(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	createTasks(t, b, "r", 1)
	p := openQueue(t, b, "r", shortAckWait)
	d := nextItem(t, p)
	beat := time.NewTicker(p.AckWait() / 4)
	defer beat.Stop()
	last, lost := time.Now(), 0
	for beats := 0; beats < 14; beats++ { // three and a half AckWaits
		<-beat.C
		check(t, d.Heartbeat(ctx))
		again, err := p.Next(ctx)
		if gap := time.Since(last); err == nil && gap < p.AckWait() {
			t.Fatalf("it came again %v after a heartbeat", gap)
		} else if err == nil { // this machine was too busy to beat in time: once more
			d, beats = again, 0
			lost++
		}
		last = time.Now()
	}
	wantAttempts(t, d, lost)
	check(t, d.Ack(ctx))
	wantDepth(t, b, 0, 0)
}

func staleHolder(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	createTasks(t, b, "r", 2)
	p := openQueue(t, b, "r", shortAckWait)
	stale, other := nextItem(t, p), nextItem(t, p)
	check(t, other.Ack(ctx))
	holder := nextItem(t, p) // the first came back
	check(t, stale.Ack(ctx))
	check(t, stale.Heartbeat(ctx))
	check(t, stale.Retry(ctx, 0))
	// The item was acked once, by whomever; nothing done now brings it back or hangs.
	check(t, holder.Heartbeat(ctx))
	start := time.Now()
	check(t, holder.Ack(ctx))
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("an ack of what is acked took %v", d)
	}
	wantDepth(t, b, 0, 0)
	wantEmpty(t, p)
}

func attempts(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	createTasks(t, b, "r", 1)
	p := openQueue(t, b, "r", maxWait)
	d := nextItem(t, p)
	for i, step := range []struct {
		name   string
		settle func(*broker.Delivery) error
		want   int // failed attempts afterwards
	}{
		{"hand back", func(d *broker.Delivery) error { return d.HandBack(ctx) }, 0},
		{"error", func(d *broker.Delivery) error { return d.Retry(ctx, 0) }, 1},
		{"hand back twice by one holder", func(d *broker.Delivery) error { return errors.Join(d.HandBack(ctx), d.HandBack(ctx)) }, 1},
		{"hand back", func(d *broker.Delivery) error { return d.HandBack(ctx) }, 1},
		{"error with delay", func(d *broker.Delivery) error { return d.Retry(ctx, 200*time.Millisecond) }, 2},
		{"error with a negative delay", func(d *broker.Delivery) error { return d.Retry(ctx, -1) }, 3},
	} {
		start := time.Now()
		if err := step.settle(d); err != nil {
			t.Fatalf("step %d, %s: %v", i, step.name, err)
		}
		wantDepth(t, b, 0, 1) // on its way back is still to do
		d = nextItem(t, p)
		if step.name == "error with delay" && time.Since(start) < 200*time.Millisecond {
			t.Errorf("it came back after %v", time.Since(start))
		}
		wantAttempts(t, d, step.want)
	}
	// What has been settled is out of our hands: nothing more is said about it.
	check(t, d.HandBack(ctx))
	now := nextItem(t, p)
	check(t, errors.Join(d.Retry(ctx, 0), d.HandBack(ctx), d.Ack(ctx)))
	wantEmpty(t, p)
	wantDepth(t, b, 0, 1)
	check(t, now.Ack(ctx))
	check(t, now.HandBack(ctx))
	wantEmpty(t, p)
}

func queueRestart(t *testing.T, s Server) {
	requireRestart(t, s)
	b, ctx := s.Connect(t), testContext(t)
	createTasks(t, b, "r", 3)
	p := openQueue(t, b, "r", 2*time.Second)
	done, inHand := nextItem(t, p), nextItem(t, p)
	check(t, done.Ack(ctx))
	s.Restart(t)
	poll(t, "the server", func(ctx context.Context) error { return inHand.Heartbeat(ctx) })
	check(t, inHand.Ack(ctx))
	d := nextItem(t, p)
	if d.Key == done.Key || d.Key == inHand.Key {
		t.Errorf("%s came again", d.Key)
	}
	check(t, d.Ack(ctx))
	wantEmpty(t, p)
	wantDepth(t, b, 0, 0)
}

func filters(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	check(t, b.CreateRun(ctx, "r", 0))
	for round := range 2 {
		for _, record := range []string{"task", "pair", "policy"} {
			publish(t, b, address("r", record, round, fmt.Sprint(record, round)))
		}
	}
	p, err := b.Pull(ctx, "r", "work", []string{"pair.1.*", "policy.*.*"}, broker.PullOptions{AckWait: time.Minute})
	check(t, err)
	var got []string
	for range 3 {
		d := nextItem(t, p)
		got = append(got, d.Key)
		check(t, d.Ack(ctx))
	}
	wantEmpty(t, p)
	if fmt.Sprint(got) != "[policy0 pair1 policy1]" {
		t.Errorf("got %v", got)
	}
	p2, err := b.Pull(ctx, "r", "work", []string{"policy.*.*", "pair.1.*"}, broker.PullOptions{AckWait: 2 * time.Minute, MaxAckPending: 5})
	check(t, err)
	if p2.AckWait() != 2*time.Minute {
		t.Errorf("AckWait %v", p2.AckWait())
	}
	publish(t, b, address("r", "pair", 1, "more"))
	if d := nextItem(t, p); d.Key != "more" {
		t.Errorf("got %s", d.Key)
	}
	_, err = b.Pull(ctx, "r", "clash", []string{"pair.*.*", "pair.1.*"}, broker.PullOptions{})
	if err == nil {
		t.Error("overlapping filters were taken")
	}
	_, err = b.Pull(ctx, "r", "nothing", nil, broker.PullOptions{})
	if err == nil {
		t.Error("no filters were taken")
	}
	other, err := b.Pull(ctx, "r", "other", []string{"pair.1.*"}, broker.PullOptions{})
	check(t, err)
	if d := nextItem(t, other); d.Key != "pair1" {
		t.Errorf("a second stage on the same record got %s", d.Key)
	}
}
