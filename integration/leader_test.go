package integration

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"itool/broker"
	"itool/integration/results"
	"itool/integration/rig"
)

// resumeWithin is how long work may stand still when the server that leads a run's stream dies:
// the other servers notice, elect a leader, and clients reconnect.
const resumeWithin = 15 * time.Second

// TestLeaderKilled: the server that leads a run's stream is killed twice while records are
// published and worked on. Nothing that was acknowledged is lost, and work resumes by itself.
func TestLeaderKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills nats-servers for some 20 seconds; the full test run does it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	r := results.Begin("Cluster: a leader that dies, a node that is cut off")
	rows := [][]string{{"what", "50 more records and 50 more results after"}}
	c := rig.NATS(t, rig.ClusterOptions{})
	b := connect(t, c, 0, 1, 2)
	if err := errors.Join(b.EnsureReplicas(ctx), b.CreateRun(ctx, "r", 0)); err != nil {
		t.Fatal(err)
	}
	l := &load{t: t, acked: map[string]bool{}}
	var all sync.WaitGroup
	for i := range 3 {
		writer, worker := connect(t, c, i, (i+1)%rig.Nodes), connect(t, c, i, (i+1)%rig.Nodes)
		all.Go(func() { l.publish(ctx, writer, strconv.Itoa(i)) })
		all.Go(func() { l.work(ctx, worker) })
	}
	for range 2 {
		l.await("work", time.Minute, 50)
		leader := c.Leader("RUN_r")
		if leader < 0 {
			t.Fatal("the stream has no leader")
		}
		c.Kill(leader)
		killed := time.Now()
		l.await("work after its leader was killed", resumeWithin, 50)
		rows = append(rows, []string{"SIGKILL of the server that leads the run's stream",
			time.Since(killed).Round(100 * time.Millisecond).String()})
		c.Start(t, leader)
		awaitCopies(t, b)
	}
	if results.Wanted() {
		leader := c.Leader("RUN_r")
		c.Isolate(leader)
		cut := time.Now()
		l.await("work after its leader was cut off", resumeWithin, 50)
		rows = append(rows, []string{"the leader cut off from the others and from its clients",
			time.Since(cut).Round(100 * time.Millisecond).String()})
		time.Sleep(time.Until(cut.Add(2 * time.Minute)))
		c.Heal(leader)
		healed := time.Now()
		awaitCopies(t, b)
		rows = append(rows, []string{"two minutes later it is let in again: until its copies are current",
			time.Since(healed).Round(100 * time.Millisecond).String()})
	}
	l.stop.Store(true)
	all.Wait()
	lost := l.check(ctx, b)
	t.Log("\n" + results.Table(rows...))
	if err := r.Write(fmt.Sprintf("Three nats-servers, three copies; three writers and three workers. %d tasks were "+
		"acknowledged; lost of them, or of their results: %d. Asked for: work goes on within %v.\n\n%s",
		len(l.acked), lost, resumeWithin, results.Table(rows...))); err != nil {
		t.Error(err)
	}
}

// load publishes tasks and works on them until stop.
type load struct {
	t    *testing.T
	stop atomic.Bool

	published, worked atomic.Int64

	mu    sync.Mutex
	acked map[string]bool // keys of the tasks whose publishing was acknowledged
}

func (l *load) publish(ctx context.Context, b *broker.Broker, name string) {
	for i := 0; !l.stop.Load() && ctx.Err() == nil; i++ {
		at := broker.Address{Run: "r", Record: "task", Key: fmt.Sprintf("%s-%d", name, i)}
		for ctx.Err() == nil {
			if _, err := b.Publish(ctx, at, nil, []byte(at.Key)); err == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		l.mu.Lock()
		l.acked[at.Key] = true
		l.mu.Unlock()
		l.published.Add(1)
		time.Sleep(5 * time.Millisecond)
	}
}

// work turns tasks into results until there are none left and no more come.
func (l *load) work(ctx context.Context, b *broker.Broker) {
	var p *broker.Puller
	for ctx.Err() == nil {
		if p == nil {
			p, _ = b.Pull(ctx, "r", "work", []string{"task.*.*"}, broker.PullOptions{AckWait: 5 * time.Second})
			continue
		}
		d, err := p.Next(ctx)
		switch {
		case err == nil:
			l.finish(ctx, b, d)
		case errors.Is(err, broker.ErrEmpty) && l.stop.Load():
			if pending, inFlight, err := b.Depth(ctx, "r", "work"); err == nil && pending+inFlight == 0 {
				return
			}
		}
		if err != nil {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func (l *load) finish(ctx context.Context, b *broker.Broker, d *broker.Delivery) {
	to := d.Address
	to.Record = "result"
	for ctx.Err() == nil {
		if _, err := b.Publish(ctx, to, nil, d.Data); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if d.Ack(ctx) == nil { // if not, the item comes again
		l.worked.Add(1)
	}
}

// await waits until so many more tasks are published and so many more are done.
func (l *load) await(what string, within time.Duration, more int64) {
	l.t.Helper()
	published, worked := l.published.Load()+more, l.worked.Load()+more
	for end := time.Now().Add(within); l.published.Load() < published || l.worked.Load() < worked; {
		if time.Now().After(end) {
			l.t.Fatalf("no %s within %v: %d of %d published, %d of %d done",
				what, within, l.published.Load(), published, l.worked.Load(), worked)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// awaitCopies waits until all servers have all messages again.
func awaitCopies(t *testing.T, b *broker.Broker) {
	t.Helper()
	await(t, "copies that are current on all nodes", func() bool {
		all, err := b.Copies(t.Context())
		behind := 0
		for _, s := range all {
			behind += s.Behind
		}
		return err == nil && len(all) > 0 && behind == 0
	})
}

// check: every acknowledged task is there and has its result. It returns how many are not.
func (l *load) check(ctx context.Context, b *broker.Broker) (allLost int) {
	l.t.Helper()
	for _, record := range []string{"task", "result"} {
		keys, err := b.Keys(ctx, "r", record, 0)
		if err != nil {
			l.t.Fatal(err)
		}
		found := map[string]bool{}
		for _, k := range keys {
			found[k] = true
		}
		lost := 0
		for k := range l.acked {
			if !found[k] {
				lost++
			}
		}
		allLost += lost
		if lost > 0 || len(keys) != len(l.acked) {
			l.t.Errorf("%s: %d acknowledged tasks, %d records, %d lost", record, len(l.acked), len(keys), lost)
		}
	}
	l.t.Logf("%d tasks published and done", len(l.acked))
	return allLost
}
