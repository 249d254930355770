package brokertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"itool/broker"
)

// shortAckWait is short enough for a test to wait until it is over.
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
	// A single pull that waits for an answer until its time limit takes a second.
	if d := time.Since(start); d > 50*50*time.Millisecond {
		t.Errorf("50 empty pulls took %v", d)
	}
}

func queueViews(t *testing.T, s Server) {
	ctx, b := testContext(t), s.Connect(t)
	_, err := b.Queues(ctx, "r")
	wantErr(t, "queues of a run that does not exist", err, broker.ErrNoRun)
	createTasks(t, b, "r", 3)
	created := time.Now()
	p := openQueue(t, b, "r", maxWait)
	view := func(pending, inFlight int, deliveries uint64) broker.Queue {
		t.Helper()
		all, err := b.Queues(ctx, "r")
		q := all["work"]
		if err != nil || len(all) != 1 || q.Pending != pending || q.InFlight != inFlight || q.Deliveries != deliveries {
			t.Errorf("got %+v, %v; want %d waiting, %d in work, %d deliveries", all, err, pending, inFlight, deliveries)
		}
		return q
	}
	oldest := func(q broker.Queue, atLeast, atMost time.Duration) {
		t.Helper()
		age, err := b.Oldest(ctx, q)
		if err != nil || age < atLeast || age > atMost {
			t.Errorf("the oldest item is %v old, %v; want %v to %v", age, err, atLeast, atMost)
		}
	}
	view(3, 0, 0)
	first, second := nextItem(t, p), nextItem(t, p)
	if err := second.Ack(ctx); err != nil {
		t.Fatal(err)
	}
	<-time.After(200 * time.Millisecond)
	// The first one counts while it is in work.
	oldest(view(1, 1, 2), 200*time.Millisecond, time.Since(created)+time.Second)
	for _, d := range []*broker.Delivery{first, nextItem(t, p)} {
		if err := d.Ack(ctx); err != nil {
			t.Fatal(err)
		}
	}
	oldest(view(0, 0, 3), 0, 0)
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

// saturated: a consumer that has MaxAckPending items in work does not answer a pull. An
// item that it sends later, when the puller has just stopped waiting, must not be lost.
func saturated(t *testing.T, s Server) {
	b, ctx := s.Connect(t), testContext(t)
	createTasks(t, b, "r", 3)
	options := broker.PullOptions{AckWait: time.Minute, MaxAckPending: 1}
	p, err := b.Pull(ctx, "r", "work", []string{"task.0.*"}, options)
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
			wantAttempts(t, d, 0) // it was not delivered before without a receiver
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
			t.Fatalf("the item was delivered again %v after a heartbeat", gap)
		} else if err == nil { // this machine was too busy to send heartbeats in time: start again
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
	holder := nextItem(t, p) // the stale one's item, delivered again
	check(t, stale.Ack(ctx))
	check(t, stale.Heartbeat(ctx))
	check(t, stale.Retry(ctx, 0))
	// The item was acked once, no matter by which holder. No later call brings it back or hangs.
	check(t, holder.Heartbeat(ctx))
	start := time.Now()
	check(t, holder.Ack(ctx))
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("a second ack of the item took %v", d)
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
		{"hand back twice by one holder", func(d *broker.Delivery) error {
			return errors.Join(d.HandBack(ctx), d.HandBack(ctx))
		}, 1},
		{"hand back", func(d *broker.Delivery) error { return d.HandBack(ctx) }, 1},
		{"error with delay", func(d *broker.Delivery) error { return d.Retry(ctx, 200*time.Millisecond) }, 2},
		{"error with a negative delay", func(d *broker.Delivery) error { return d.Retry(ctx, -1) }, 3},
	} {
		start := time.Now()
		if err := step.settle(d); err != nil {
			t.Fatalf("step %d, %s: %v", i, step.name, err)
		}
		wantDepth(t, b, 0, 1) // an item that will be delivered again counts as in work
		d = nextItem(t, p)
		if step.name == "error with delay" && time.Since(start) < 200*time.Millisecond {
			t.Errorf("the item came back after %v, want at least 200ms", time.Since(start))
		}
		wantAttempts(t, d, step.want)
	}
	// After the first call that settles a delivery, further calls send nothing.
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
		t.Errorf("%s was delivered again", d.Key)
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
	longer := broker.PullOptions{AckWait: 2 * time.Minute, MaxAckPending: 5}
	p2, err := b.Pull(ctx, "r", "work", []string{"policy.*.*", "pair.1.*"}, longer)
	check(t, err)
	if p2.AckWait() != 2*time.Minute {
		t.Errorf("AckWait %v, want 2m0s", p2.AckWait())
	}
	publish(t, b, address("r", "pair", 1, "more"))
	if d := nextItem(t, p); d.Key != "more" {
		t.Errorf("got %s, want more", d.Key)
	}
	_, err = b.Pull(ctx, "r", "clash", []string{"pair.*.*", "pair.1.*"}, broker.PullOptions{})
	if err == nil {
		t.Error("overlapping filters were accepted")
	}
	_, err = b.Pull(ctx, "r", "nothing", nil, broker.PullOptions{})
	if err == nil {
		t.Error("an empty list of filters was accepted")
	}
	other, err := b.Pull(ctx, "r", "other", []string{"pair.1.*"}, broker.PullOptions{})
	check(t, err)
	if d := nextItem(t, other); d.Key != "pair1" {
		t.Errorf("a second stage on the same record got %s, want pair1", d.Key)
	}
}
