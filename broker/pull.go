package broker

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// PullOptions are the settings of a stage's queue at the server. If two workers ask for
// different values, the larger value wins for both: so no worker loses items because another
// asked for less.
type PullOptions struct {
	AckWait       time.Duration // an item without a heartbeat for this long is delivered again; default 60 s
	MaxAckPending int           // items in work at once, over all workers; default 8192; at least 2 × workers × slots
}

// Puller takes one stage's items from one run. Many goroutines may use it at once.
type Puller struct {
	b          *Broker
	run, stage string
	filters    []string // subjects
	options    PullOptions
}

// Pull opens a stage's queue in a run and creates it if it does not exist. The keeper
// calls it too: so Depth works, and workers can be scaled on it, before the first worker
// comes. filters have the form "record.round.key", where each part may be "*". They must not
// overlap. They replace the filters of an earlier Pull; an item that was delivered and
// acked before is not delivered again because of that. Without an answer of the server the
// error is ErrUnavailable; if the run does not exist, it is ErrNoRun.
func (b *Broker) Pull(ctx context.Context, run, stage string, filters []string, o PullOptions) (*Puller, error) {
	if err := validToken("run", run); err != nil {
		return nil, err
	}
	if err := validToken("stage", stage); err != nil {
		return nil, err
	}
	if len(filters) == 0 {
		return nil, fmt.Errorf("broker: pull %s of run %s: no filters: the queue would stay empty", stage, run)
	}
	if o.AckWait <= 0 {
		o.AckWait = time.Minute
	}
	if o.MaxAckPending <= 0 {
		o.MaxAckPending = 8192
	}
	p := &Puller{b: b, run: run, stage: stage, options: o}
	for _, f := range filters {
		s, err := filterSubject(run, f)
		if err != nil {
			return nil, err
		}
		p.filters = append(p.filters, s)
	}
	sort.Strings(p.filters)
	if err := p.ensure(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// AckWait is how long an item may be in work without a heartbeat: send one at least every
// third of it.
func (p *Puller) AckWait() time.Duration { return p.options.AckWait }

// op names the operation in errors.
func (p *Puller) op() string { return "pull " + p.stage + " of run " + p.run }

// ensure creates the durable consumer, or raises the limits of the one that exists.
func (p *Puller) ensure(ctx context.Context) error {
	stream := streamRun + p.run
	want := jetstream.ConsumerConfig{
		Durable:        p.stage,
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        p.options.AckWait,
		MaxDeliver:     -1, // the worker counts attempts: a server that gives up on an item leaves no trace of it
		MaxAckPending:  p.options.MaxAckPending,
		MaxWaiting:     4096,
		FilterSubjects: p.filters,
	}
	write := func(c context.Context) (jetstream.Consumer, error) {
		return p.b.js.CreateOrUpdateConsumer(c, stream, want)
	}
	open := func(c context.Context) (jetstream.Consumer, error) {
		cons, err := p.b.js.Consumer(c, stream, p.stage)
		if err == nil && widen(&want, cons.CachedInfo().Config) {
			return write(c) // with what widen changed in want
		}
		return cons, err
	}
	_, err := openOrCreate(ctx, p.b, jetstream.ErrConsumerNotFound, open, write)
	return p.b.explain(ctx, p.op(), err)
}

// widen raises want to the limits of the existing consumer, have, and says whether have
// must change. An AckWait never shrinks: a worker that sends its heartbeats at the pace of
// the longer one would lose its items.
func widen(want *jetstream.ConsumerConfig, have jetstream.ConsumerConfig) bool {
	want.AckWait = max(want.AckWait, have.AckWait)
	want.MaxAckPending = max(want.MaxAckPending, have.MaxAckPending)
	old := append([]string(nil), have.FilterSubjects...)
	if have.FilterSubject != "" {
		old = append(old, have.FilterSubject)
	}
	sort.Strings(old)
	return want.AckWait != have.AckWait || want.MaxAckPending != have.MaxAckPending ||
		strings.Join(old, " ") != strings.Join(want.FilterSubjects, " ")
}

// Next takes one item, or answers ErrEmpty at once if the queue is empty. It never takes
// more than the item it returns. The caller must call Ack, Retry or HandBack on it.
func (p *Puller) Next(ctx context.Context) (*Delivery, error) {
	m, err := p.pull(ctx)
	if err != nil {
		return nil, err
	}
	switch status := m.Header.Get("Status"); {
	case m.Reply != "": // an item: it can be acked
	case status == "404", status == "408": // no message; the request has expired
		return nil, ErrEmpty
	case status == "409" && strings.Contains(m.Header.Get("Description"), "Exceeded MaxWaiting"):
		return nil, ErrEmpty
	case status == "503", status == "409" && strings.Contains(m.Header.Get("Description"), "Consumer"):
		return nil, p.reopen(ctx) // 503: the consumer has no leader now; 409: the consumer was deleted
	default:
		return nil, fmt.Errorf("broker: %s: %w: the server answers %s %s",
			p.op(), ErrUnavailable, status, m.Header.Get("Description"))
	}
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("broker: %s: %w", p.op(), err)
	}
	d := &Delivery{p: p, reply: m.Reply, delivered: int(meta.NumDelivered)}
	d.Message, err = message(m.Subject, m.Header, m.Data, meta.Sequence.Stream, meta.Timestamp)
	if err != nil {
		return nil, p.dropItem(m, err)
	}
	return d, nil
}

// dropItem removes an item with an invalid subject from the queue. A foreign client can
// publish one, and the server would deliver it again and again.
func (p *Puller) dropItem(m *nats.Msg, why error) error {
	p.b.log.Warn("broker: item dropped", "stage", p.stage, "err", why)
	if err := p.b.nc.Publish(m.Reply, []byte("+TERM not a record's subject")); err != nil {
		p.b.log.Warn("broker: item not dropped, it will be delivered again", "err", err)
	}
	return ErrEmpty
}

// saturatedWait is how long pull waits for an answer. A consumer that already has
// MaxAckPending items in work does not answer at all: then the queue counts as empty.
const saturatedWait = time.Second

// pull asks for one message, which comes to a new inbox. One inbox for all calls would not
// do: when this call stops waiting, the server must see that the inbox has no listener.
// Otherwise it would deliver an item that no worker receives, and that would count as a
// failed attempt.
func (p *Puller) pull(ctx context.Context) (*nats.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, p.b.explain(ctx, p.op(), err)
	}
	nc := p.b.nc
	inbox := nc.NewInbox()
	replies := make(chan *nats.Msg, 4)
	sub, err := nc.ChanSubscribe(inbox, replies)
	if err != nil {
		return nil, p.b.explain(ctx, p.op(), err)
	}
	subject := "$JS.API.CONSUMER.MSG.NEXT." + streamRun + p.run + "." + p.stage
	err = nc.PublishRequest(subject, inbox, []byte(`{"batch":1,"no_wait":true}`))
	if err != nil {
		_ = sub.Unsubscribe()
		return nil, p.b.explain(ctx, p.op(), err)
	}
	timer := time.NewTimer(min(saturatedWait, p.b.timeout))
	defer timer.Stop()
	select {
	case m := <-replies:
		_ = sub.Unsubscribe()
		return m, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return p.stopWaiting(ctx, sub, replies)
}

// stopWaiting ends the subscription without losing a message that is already on its way:
// it drains the subscription and waits until the server has confirmed its end.
func (p *Puller) stopWaiting(ctx context.Context, sub *nats.Subscription, replies chan *nats.Msg) (*nats.Msg, error) {
	closed := make(chan struct{})
	// If the connection closes meanwhile, the client calls the handler twice.
	end := sync.OnceFunc(func() { close(closed) })
	sub.SetClosedHandler(func(string) { end() })
	if err := sub.Drain(); err != nil {
		return nil, p.b.explain(ctx, p.op(), err)
	}
	timer := time.NewTimer(p.b.timeout)
	defer timer.Stop()
	select {
	case m := <-replies:
		return m, nil
	case <-timer.C:
		return nil, p.b.explain(ctx, p.op(), errNoAnswer)
	case <-closed:
	}
	select {
	case m := <-replies:
		return m, nil
	default:
	}
	if ctx.Err() != nil {
		return nil, p.b.explain(ctx, p.op(), ctx.Err())
	}
	if !p.b.nc.IsConnected() {
		return nil, p.b.explain(ctx, p.op(), nats.ErrDisconnected)
	}
	// A request that the server denies goes unanswered, like one to a queue that has all the
	// items in work that it may have.
	if p.b.denied.recent(p.b.timeout+time.Second) != "" {
		return nil, p.b.explain(ctx, p.op(), errNoAnswer)
	}
	return nil, ErrEmpty
}

// reopen is called when the queue does not exist any more. Either the run was deleted:
// then it answers ErrNoRun. Or only the queue was deleted: then it creates it again.
func (p *Puller) reopen(ctx context.Context) error {
	if err := p.ensure(ctx); err != nil {
		return err
	}
	return ErrEmpty
}

// Depth says how many items wait and how many are in work. Their sum is what is left to
// do, including the items that will be delivered again. Before the first Pull the error is
// ErrNoStage.
func (b *Broker) Depth(ctx context.Context, run, stage string) (pending, inFlight int, err error) {
	if err := validToken("run", run); err != nil {
		return 0, 0, err
	}
	if err := validToken("stage", stage); err != nil {
		return 0, 0, err
	}
	c, cancel := b.call(ctx)
	defer cancel()
	cons, err := b.js.Consumer(c, streamRun+run, stage)
	if err != nil {
		return 0, 0, b.explain(ctx, "depth of "+stage+" in run "+run, err)
	}
	i := cons.CachedInfo()
	return int(i.NumPending), i.NumAckPending, nil
}
