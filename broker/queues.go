package broker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Queue is what the server knows of a stage's queue in a run.
type Queue struct {
	Pending    int    // items that wait and were never delivered
	InFlight   int    // items in work, and items that come again after a pause
	Deliveries uint64 // since the queue was made, each repetition counted

	run, stage string
	filter     string    // subjects of its items
	next       uint64    // sequence behind the last item before which all are done
	at         time.Time // the server's clock when it answered
}

// Depth is what is left to do.
func (q Queue) Depth() int { return q.Pending + q.InFlight }

// Queues lists the queues of a run, by stage. It takes two requests, however many queues there are.
func (b *Broker) Queues(ctx context.Context, run string) (map[string]Queue, error) {
	if err := validToken("run", run); err != nil {
		return nil, err
	}
	op := "queues of run " + run
	c, cancel := b.call(ctx)
	defer cancel()
	s, err := b.js.Stream(c, streamRun+run)
	if err != nil {
		return nil, b.explain(ctx, op, err)
	}
	all := map[string]Queue{}
	list := s.ListConsumers(c)
	for i := range list.Info() {
		if i.Config.Durable == "" {
			continue // a reader of this package
		}
		q := Queue{
			Pending: int(i.NumPending), InFlight: i.NumAckPending, Deliveries: i.Delivered.Consumer,
			run: run, stage: i.Config.Durable, next: i.AckFloor.Stream + 1, at: i.TimeStamp,
		}
		if f := filtersOf(i.Config); len(f) == 1 {
			q.filter = f[0]
		}
		all[q.stage] = q
	}
	return all, b.explain(ctx, op, list.Err())
}

func filtersOf(c jetstream.ConsumerConfig) []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	return c.FilterSubjects
}

// Oldest is how long the oldest item of the queue has been in the stream without being done, by the
// server's clock; 0: there is none. It takes two requests: no list is read.
func (b *Broker) Oldest(ctx context.Context, q Queue) (time.Duration, error) {
	if q.Depth() == 0 || q.filter == "" {
		return 0, nil
	}
	op := "oldest item of " + q.stage + " in run " + q.run
	c, cancel := b.call(ctx)
	defer cancel()
	s, err := b.js.Stream(c, streamRun+q.run)
	if err != nil {
		return 0, b.explain(ctx, op, err)
	}
	m, err := s.GetMsg(c, q.next, jetstream.WithGetMsgSubject(q.filter))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil // it was done, or taken out, meanwhile
	}
	if err != nil {
		return 0, b.explain(ctx, op, err)
	}
	return max(q.at.Sub(m.Time), 0), nil
}
